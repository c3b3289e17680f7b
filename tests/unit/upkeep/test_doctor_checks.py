"""The parts of ``doctor`` by themselves: the worst finding, a check that breaks, dates, versions."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import pytest

from mcpvault import Secret, Vault
from mcpvault.errors import EXIT_DONE, EXIT_INTERRUPTED, McpVaultError, PermissionsError
from mcpvault.state.files import StateDirectory
from mcpvault.state.token_file import BLOCK
from mcpvault.upkeep import host_checks
from mcpvault.upkeep.doctor import examine
from mcpvault.upkeep.due import due
from mcpvault.upkeep.findings import SEVERITY, Check, Finding, fail, guarded, ok, warn, worst
from mcpvault.vault.slots import NewSlot, RawKey

DAY = 86_400  # seconds


def failures(*codes: int) -> list[Finding]:
    """Return one failure a code."""
    return [fail("x", "x", "x", code=code) for code in codes]


def test_the_worst_finding_names_the_exit_code() -> None:
    """Whatever the order of the findings, the same failure decides; warnings alone are exit 0."""
    assert EXIT_DONE == worst([ok("a", "a"), warn("b", "b", "b")])
    for codes, code in (((4, 3), 3), ((3, 8), 8), ((8, 6, 4), 6), ((4, 9, 5), 9), ((1, 4), 1), ((4, 7), 7)):
        assert {code} == {worst(failures(*order)) for order in permutations(codes)}


def test_every_exit_code_of_an_error_has_a_severity() -> None:
    """A new class of error must be ranked, but usage, which no finding carries."""
    codes = {cls.exit_code for cls in McpVaultError.__subclasses__()} | {McpVaultError.exit_code}

    assert codes - {2, EXIT_DONE, EXIT_INTERRUPTED} == set(SEVERITY)


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (PermissionsError("open to others", hint="run: chmod"), 8, "the place: open to others"),
        (PermissionsError("the place: open to others", hint="run: chmod"), 8, "the place: open to others"),
        (OSError(13, "Permission denied", "/the/file"), 8, "/the/file: permission denied"),
        (ZeroDivisionError("no\nsuch thing"), 1, "the place: unexpected ZeroDivisionError: no"),
    ],
)
def test_a_check_that_breaks_is_a_finding(raised: Exception, code: int, words: str) -> None:
    """What a check has found stays, what it raises becomes one line with a hint, and the next check is made."""

    def looking() -> Check[int]:
        yield ok("fine", "fine")
        raise raised

    first, last = guarded("check", looking(), place="the place")

    assert ("ok", "fail", code, words) == (first.level, last.level, last.code, last.message)
    assert last.hint


def test_an_unexpected_error_is_redacted() -> None:
    """What a library says may hold a secret; the finding does not."""
    secret = Secret("secret-of-the-doctor-8Fq2")

    def looking() -> Check[None]:
        yield from ()
        raise RuntimeError(f"cannot use {secret.reveal()}")

    [finding] = guarded("check", looking())

    assert "8Fq2" not in finding.message


def test_the_versions_that_are_needed_are_there() -> None:
    """The libraries are named with their versions, and none is too old."""
    [finding] = host_checks.versions()

    assert "ok" == finding.level
    for name in ("mcpvault", "Python", "OpenSSL", "cryptography", "requests"):
        assert f"{name} " in finding.message


def test_a_library_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library older than what we ask for fails, with the command that brings a newer one."""
    metadata = tmp_path / "cryptography-46.0.3.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: cryptography\nVersion: 46.0.3\n")
    monkeypatch.syspath_prepend(tmp_path)

    old, _ = host_checks.versions()

    assert ("versions", "fail", 8) == (old.id, old.level, old.code)
    assert "cryptography is 46.0.3, expected 47 or newer" == old.message
    assert "run: pip install 'cryptography>=47'" == old.hint


def furnished(home: Path, policy: Mapping[str, str]) -> dict[str, str]:
    """Make a vault with one sealed secret and return the environment that opens it."""
    key = RawKey.generate()
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "MCPVAULT_KEY": key.text.reveal()}
    with Vault.create(slots=[NewSlot.raw("me", key)], env=env).change() as change:
        change.add_server("s", {"url": "https://h.example/mcp", "auth": {"kind": "bearer"}, "policy": dict(policy)})
        change.set_secret("s", "auth.token", Secret("token-of-the-doctor-3Kx7"))
    return env


@pytest.mark.parametrize(
    ("days", "check", "words"),
    [
        (0, None, ""),
        (85, "entry.age", "due soon"),
        (100, "entry.age", "overdue"),
        (-2, "clock.created", "clock has not reached"),
    ],
)
def test_the_age_of_a_secret(home: Path, days: int, check: str | None, words: str) -> None:
    """A secret is mentioned when its policy says so, or when it was sealed in the future."""
    env = furnished(home, {"max_age": "90d", "warn": "1w"})

    found = list(examine(env=env, offline=True, now=lambda: time.time() + days * DAY))

    dated = [finding for finding in found if finding.id in ("entry.age", "clock.created")]
    expected = [] if check is None else [(check, "warn")]
    assert expected == [(finding.id, finding.level) for finding in dated]
    assert all(words in finding.message for finding in dated)
    assert EXIT_DONE == worst(found)


@pytest.mark.parametrize("policy", [{}, {"warn": "1w"}])
@pytest.mark.parametrize("days", [75, 77, 82, 84, 89, 91])
def test_doctor_and_due_speak_of_age_alike(home: Path, days: int, policy: dict[str, str]) -> None:
    """Fourteen days before it is due where no policy says when, with the command that changes it without a gap."""
    env = furnished(home, {"max_age": "90d", **policy})
    then = time.time() + days * DAY
    [item] = due(Vault.open(env=env).document, then)

    found = [each for each in examine(env=env, offline=True, now=lambda: then) if each.id == "entry.age"]

    assert (item.state != "ok") == bool(found) == (days > (82 if policy else 75))
    assert {"run: mcpvault rotate s auth.token"} >= {each.hint for each in found}


def test_a_full_disk_does_not_look_writable(tmp_path: Path) -> None:
    """What a refresh would write is written and taken away again; permissions alone say nothing of room."""
    state = StateDirectory(tmp_path / "state")
    state.ensure()
    assert ["ok"] == [each.level for each in host_checks.state_folder(state) if each.id == "state.folder"]

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK - 1, limits[1]))  # as on a full disk
    try:
        [found] = [each for each in host_checks.state_folder(state) if each.id == "state.folder"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert ("fail", 8, True) == (found.level, found.code, found.message.startswith(str(state.path)))
    assert f"look: df -h {state.path}" in (found.hint or "")
    assert [] == state.leftovers()


def test_an_examination_changes_nothing(home: Path) -> None:
    """After a first look, a second one leaves every file as it was."""
    env = furnished(home, {})
    list(examine(env=env, offline=True))
    before = contents(home)

    list(examine(env=env, offline=True))

    assert before == contents(home)


def contents(home: Path) -> dict[str, bytes]:
    """Return every file below *home*, without what every run writes down."""
    files = (path for path in home.rglob("*") if path.is_file() and "audit" not in path.name)
    return {str(path): path.read_bytes() for path in files}
