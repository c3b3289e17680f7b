"""Documents before any key: what is refused, with which error, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from vault_samples import Made, altered

from mcpvault.errors import (
    ConfigurationError,
    LiteralSecretError,
    UnknownServerError,
    VaultFormatError,
    VaultNotFoundError,
)
from mcpvault.secret import Secret
from mcpvault.vault import documents

LITERAL = "ghp_0123456789abcdefghij0123456789abcdef"


def test_a_vault_is_read_without_a_key(made: Made) -> None:
    """Names and shapes need no key."""
    assert ("web", "tool") == documents.read_document(made.path).server_names


def test_no_vault_is_exit_6(tmp_path: Path) -> None:
    """The error of the file passes through."""
    with pytest.raises(VaultNotFoundError):
        documents.read_document(tmp_path / "missing.toml")


def test_a_text_that_is_no_vault_is_exit_6_with_its_line(tmp_path: Path) -> None:
    """The error says where, and carries line and path as attributes."""
    path = tmp_path / "vault.toml"
    path.write_text("[vault]\nformat = 1\nid = 3\n")

    with pytest.raises(VaultFormatError) as caught:
        documents.read_document(path)

    assert (6, "vault.id", 3) == (caught.value.exit_code, caught.value.path, caught.value.line)
    assert caught.value.message.startswith(f"{path}: ")
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_literal_secret_is_exit_8_and_not_quoted(made: Made) -> None:
    """A token in clear makes the file unusable until it is sealed."""
    altered(made.path, {"servers/web/auth/token": LITERAL})

    with pytest.raises(LiteralSecretError) as caught:
        documents.read_document(made.path)

    shown = f"{caught.value.message} {caught.value.hint}"
    assert 8 == caught.value.exit_code
    assert "servers.web.auth.token" in shown
    assert LITERAL[4:14] not in shown


def test_what_a_change_would_make_is_judged_without_a_line(made: Made) -> None:
    """A line number would be of a text that nobody has."""
    text = made.path.read_text().replace('kind = "bearer"', 'kind = "oath"')

    with pytest.raises(ConfigurationError) as caught:
        documents.judged(text)

    assert 8 == caught.value.exit_code
    assert "servers.web.auth.kind" in caught.value.message
    assert "(line" not in caught.value.message


def test_a_literal_that_a_change_would_make_is_a_literal(made: Made) -> None:
    """The hint tells how to seal it."""
    altered(made.path, {"servers/web/auth/token": LITERAL})

    with pytest.raises(LiteralSecretError) as caught:
        documents.judged(made.path.read_text())

    assert "--stdin" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "hint"), [("wbe", "did you mean 'web'?"), ("Web", "did you mean 'web'?"), ("zzzz", "run: mcpvault list")]
)
def test_an_unknown_server_is_exit_8_with_the_nearest_name(made: Made, name: str, hint: str) -> None:
    """Names are case-sensitive; the hint helps."""
    with pytest.raises(UnknownServerError) as caught:
        documents.entry_of(documents.read_document(made.path), name)

    assert (8, hint, name) == (caught.value.exit_code, caught.value.hint, caught.value.server)


def test_an_entry_is_found_by_its_name(made: Made) -> None:
    """It comes typed, secrets sealed."""
    entry = documents.entry_of(documents.read_document(made.path), "tool")

    assert ("tool", "stdio", "db-mcp", ("--ro",)) == (entry.name, entry.kind, entry.command, entry.args)


def test_times_are_written_in_utc_and_whole_seconds() -> None:
    """As SPEC §1.3 wants them."""
    assert "2026-07-28T12:00:00Z" == documents.timestamp(lambda: 1_785_240_000.9)


@pytest.mark.parametrize("clock", [1e12, 253402300800.0, -1e11, 1e300, float("nan")])
def test_a_clock_that_is_far_off_is_named(clock: float) -> None:
    """Year 10000 and beyond cannot be written: the message is of the clock, not of the field."""
    with pytest.raises(ConfigurationError, match="this machine's clock"):
        documents.timestamp(lambda: clock)


def test_a_clock_is_believed_until_the_last_second(made: Made) -> None:
    """The year 9999 can be written, and a change under a clock beyond it leaves the file alone."""
    assert "9999-12-31T23:59:59Z" == documents.timestamp(lambda: 253402300799.0)

    before = made.path.read_bytes()
    vault = made.open()
    vault.now = lambda: 1e12
    with pytest.raises(ConfigurationError, match="this machine's clock"), vault.change() as change:
        change.set_secret("web", "auth.token", Secret("anything"))
    assert before == made.path.read_bytes()
