"""References looked up: variables, files, credentials, keyring; all that is missing at once, nothing recursive."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reference_samples import missing, resolved, resolver
from vault_samples import MemoryKeyring

from mcpvault.errors import ConfigurationError, UnresolvedReferenceError


@pytest.fixture
def svc(ring: MemoryKeyring) -> MemoryKeyring:
    """A keyring with two entries of the service ``svc``."""
    ring.held = {("svc", "me/too"): "from-the-ring", ("svc", "empty"): ""}
    return ring


def private_file(folder: Path, text: str, mode: int = 0o600, name: str = "secret") -> Path:
    """Return a new file of *mode*."""
    path = folder / name
    path.write_text(text, newline="")
    path.chmod(mode)
    return path


# env


@pytest.mark.parametrize("text", ["${env:X}", "${X}"])
def test_a_variable(text: str) -> None:
    """Both spellings give its value."""
    assert "value" == resolved(text, env={"X": "value"})


def test_values_are_put_into_text() -> None:
    """Several, with literals around them."""
    assert "Bearer a-b $ ${lit}" == resolved("Bearer ${A}-${B} $ $${lit}", env={"A": "a", "B": "b"})


@pytest.mark.parametrize("value", ["${B}", "$${B}", "${file:/etc/passwd}", "${", "a\nb"])
def test_nothing_is_recursive(value: str) -> None:
    """What a reference gives is not looked at again."""
    assert value == resolved("${A}", env={"A": value, "B": "inner"})


def test_an_unset_variable_is_missing() -> None:
    """The reason is told."""
    error = missing("${env:X}")

    assert ("servers.web.auth.token: ${env:X}",) == error.missing
    assert "is not set" in error.message


def test_an_empty_variable_is_missing() -> None:
    """An empty token is never meant."""
    assert "is empty" in missing("${X}", env={"X": ""}).message


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """Over all fields of the entry, in their order; values that are there are not shown."""
    mine = resolver(env={"THERE": "there-is-a-secret"}, credentials_dir=tmp_path)
    for path, text in (
        ("url", "https://a/${A}/${THERE}"),
        ("auth.token", "${env:B}"),
        ("headers.X", "${file:/no}${cred:c}"),
    ):
        mine.resolve(path, text, secret=path != "url")

    with pytest.raises(UnresolvedReferenceError) as caught:
        mine.finish()

    assert (
        "servers.web.url: ${A}",
        "servers.web.auth.token: ${env:B}",
        "servers.web.headers.X: ${file:/no}",
        "servers.web.headers.X: ${cred:c}",
    ) == caught.value.missing
    assert [] == [each for each in caught.value.missing if each not in caught.value.message]
    assert "there-is-a-secret" not in caught.value.message


def test_finish_is_silent_where_nothing_is_missing() -> None:
    """Twice, too."""
    mine = resolver(env={"X": "x"})
    mine.resolve("auth.token", "${X}", secret=True)

    mine.finish()
    mine.finish()


# Defaults and optional fields


@pytest.mark.parametrize(("env", "expected"), [({}, "d"), ({"X": ""}, "d"), ({"X": "x"}, "x")])
def test_a_default_stands_in_where_the_field_is_not_secret(env: dict[str, str], expected: str) -> None:
    """For an unset variable and for an empty one."""
    assert expected == resolved("${X:-d}", secret=False, env=env)


def test_an_empty_default_is_a_value() -> None:
    """Somebody wrote it down."""
    assert "a" == resolved("a${X:-}", secret=False)


def test_a_secret_has_no_default() -> None:
    """A default would be a secret in clear; even where the variable is set."""
    with pytest.raises(ConfigurationError, match=r"servers\.web\.auth\.token: a secret cannot have a default"):
        resolved("${X:-d}", env={"X": "x"})


@pytest.mark.parametrize("env", [{}, {"X": ""}], ids=["unset", "empty"])
def test_an_optional_field_vanishes(env: dict[str, str]) -> None:
    """The whole field, not only the reference."""
    assert resolved("Bearer ${X?}", env=env) is None
    assert "Bearer x" == resolved("Bearer ${X?}", env={"X": "x"})


@pytest.mark.parametrize(
    "text", ["${file:/not/there?}", "${cred:none?}", "${keyring:svc/none?}", "${keyring:svc/empty?}"]
)
@pytest.mark.parametrize("inside", [True, False], ids=["unit", "shell"])
def test_every_optional_reference_vanishes_where_nothing_is_there(
    svc: MemoryKeyring, tmp_path: Path, text: str, inside: bool
) -> None:
    """With systemd's folder and without."""
    assert resolved(text, credentials_dir=tmp_path if inside else None) is None


def test_what_is_refused_is_no_absence(tmp_path: Path, svc: MemoryKeyring) -> None:
    """A header must not vanish because its file is open to others, or its keyring broken: that is told."""
    svc.locked = True
    path = private_file(tmp_path, "s", 0o644)

    assert "lets others at it" in missing(f"${{file:{path}?}}").message
    assert "KeyringLocked" in missing("${keyring:svc/me?}").message
    assert "in a vault only" in missing("${file:/not/there?}", schemes=("env",)).message


# file and cred


@pytest.mark.parametrize(("text", "expected"), [("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s", " s")])
def test_a_file_without_one_line_end(tmp_path: Path, text: str, expected: str) -> None:
    """``echo secret > file`` is what people do."""
    assert expected == resolved(f"${{file:{private_file(tmp_path, text)}}}")


@pytest.mark.parametrize("mode", [0o660, 0o604, 0o644, 0o620])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """The rules for secret files hold, and the refusal is told among what is missing."""
    path = private_file(tmp_path, "open-secret", mode)

    error = missing(f"${{file:{path}}}")

    assert f"mode {mode:04o} lets others at it" in error.message
    assert "open-secret" not in error.message


def test_an_empty_file_is_missing(tmp_path: Path) -> None:
    """It is there, and holds nothing."""
    assert "is empty" in missing(f"${{file:{private_file(tmp_path, '')}}}").message


def test_a_credential(tmp_path: Path) -> None:
    """Below systemd's folder a group may read."""
    private_file(tmp_path, "from-systemd\n", 0o440, "token")

    assert "from-systemd" == resolved("${cred:token}", credentials_dir=tmp_path)


def test_a_credential_outside_of_a_unit_is_missing() -> None:
    """The reason names the variable."""
    assert "CREDENTIALS_DIRECTORY is not set" in missing("${cred:token}").message


def test_a_credential_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """The system's reason is told."""
    assert "No such file" in missing("${cred:token}", credentials_dir=tmp_path).message


# keyring


def test_a_keyring_entry(svc: MemoryKeyring) -> None:
    """Service up to the first slash, user after it."""
    assert "from-the-ring" == resolved("${keyring:svc/me/too}")


@pytest.mark.parametrize("user", ["none", "empty"])
def test_a_keyring_entry_that_is_not_there_is_missing(svc: MemoryKeyring, user: str) -> None:
    """Like an unset variable."""
    assert "is not set" in missing(f"${{keyring:svc/{user}}}").message


def test_a_broken_keyring_is_told_by_its_kind(svc: MemoryKeyring) -> None:
    """What the backend says is not quoted."""
    svc.locked = True

    message = missing("${keyring:svc/me}").message

    assert "the OS keyring failed: KeyringLocked" in message
    assert "dbus" not in message


def test_without_the_keyring_package_its_references_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the extra."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert "mcpvault-sdk[keyring]" in missing("${keyring:a/b}").message
