"""An open vault: what can be read of it, and how a new one is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import vault_samples
from vault_samples import NOON, Made, Remembered, not_root

from mcpvault.errors import (
    BindingMismatchError,
    ConfigurationError,
    PermissionsError,
    UnknownFieldError,
    UnknownServerError,
)
from mcpvault.secret import Secret
from mcpvault.vault.documents import judged, parsed
from mcpvault.vault.slots import HostIdentity, NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile

# Creating


def test_a_new_vault_is_private_and_opens(tmp_path: Path) -> None:
    """Its folder is made, mode 0700, the file 0600; serial and epoch are 1."""
    made = vault_samples.empty(tmp_path / "a" / "b")
    header = made.open().document.header

    assert (0o700, 0o600) == (made.path.parent.stat().st_mode & 0o7777, made.path.stat().st_mode & 0o7777)
    assert (1, 1, 1) == (header.format, header.serial, header.epoch)
    assert "2026-07-28T12:00:00Z" == header.slots[0].created


def test_a_vault_id_may_be_chosen(tmp_path: Path) -> None:
    """``init`` names the key file after it before the vault is there."""
    key = RawKey.generate()
    text = VaultFile.create(tmp_path / "v", new_slots=[NewSlot.raw("a", key)], vault_id=bytes(16))

    assert "A" * 22 == parsed(text.encode(), tmp_path / "v").header.id


@pytest.mark.parametrize("what", ["file", "dangling link", "folder"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, what: str) -> None:
    """A vault may hold the only copy of a secret."""
    path = tmp_path / "v"
    if what == "file":
        path.write_text("something")
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match="there is a file already"):
        VaultFile.create(path, new_slots=[NewSlot.raw("a", RawKey.generate())])

    assert not (tmp_path / "nowhere").exists()


def test_a_vault_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Two ``init`` at once: the second one finds the first one's file under the lock."""

    def clock() -> float:
        (tmp_path / "v").write_text("the other one's")
        return NOON

    with pytest.raises(ConfigurationError, match="there is a file already"):
        VaultFile.create(tmp_path / "v", new_slots=[NewSlot.raw("a", RawKey.generate())], now=clock)

    assert "the other one's" == (tmp_path / "v").read_text()


@pytest.mark.parametrize(
    "new_slots",
    [
        [],
        [NewSlot.raw("a", RawKey.generate(), role="reader")],
        [NewSlot.recipient("a", HostIdentity.generate().public, role="admin")],
    ],
    ids=["no slot", "a reader", "an admin whose key is elsewhere"],
)
def test_a_new_vault_needs_an_admin_at_hand(tmp_path: Path, new_slots: list[NewSlot]) -> None:
    """Otherwise nobody could ever open it with its root."""
    with pytest.raises(ConfigurationError, match="needs an admin slot"):
        VaultFile.create(tmp_path / "v", new_slots=new_slots)

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("names", [("a b",), ("_a",), ("a", "A"), ("",)])
def test_a_vault_that_nobody_could_read_is_not_written(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Slot names are judged before the file is there."""
    new_slots = [NewSlot.raw(name, RawKey.generate()) for name in names]

    with pytest.raises(ConfigurationError, match="vault.slots"):
        VaultFile.create(tmp_path / "v", new_slots=new_slots)

    assert [] == os.listdir(tmp_path)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It returns the text all the same."""
    text = VaultFile.create(tmp_path / "a" / "v", new_slots=[NewSlot.raw("a", RawKey.generate())], dry_run=True)

    assert 1 == judged(text).header.serial
    assert [] == os.listdir(tmp_path)


def test_a_folder_that_cannot_be_made_is_exit_8(ground: Path) -> None:
    """The system's refusal is ours."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root(), pytest.raises(PermissionsError, match="cannot be made: Permission denied"):
        VaultFile.create(ground / "a" / "v", new_slots=[NewSlot.raw("a", RawKey.generate())])


# Reading


def test_an_entry_comes_typed_and_as_a_table(made: Made) -> None:
    """Both views are of what was verified."""
    vault = made.open()

    assert ("web", "http", "bearer") == (vault.entry("web").name, vault.entry("web").kind, vault.entry("web").auth.kind)
    assert "https://mcp.example.com/mcp" == vault.table("web")["url"]


@pytest.mark.parametrize("ask", ["entry", "table", "history"])
def test_an_unknown_entry_is_exit_8(made: Made, ask: str) -> None:
    """Whatever is asked of it."""
    with pytest.raises(UnknownServerError, match="no server 'wed'") as caught:
        getattr(made.open(), ask)("wed")

    assert "did you mean 'web'?" == caught.value.hint


def test_secrets_open_one_by_one(made: Made) -> None:
    """Nothing but what is asked for is unsealed."""
    vault = made.open(key=made.reader)

    assert Secret("web-token") == vault.secret("web", "auth.token")
    assert Secret("tool-password") == vault.secret("tool", "env.DB_PASSWORD")


@pytest.mark.parametrize("field", ["auth.value", "auth.kind", "auth", "url", "headers.X-Api-Key", "nothing", "url.x"])
def test_a_field_without_a_sealed_value_is_exit_8(made: Made, field: str) -> None:
    """The hint leads to what the entry has."""
    with pytest.raises(UnknownFieldError, match=f"servers.web.{field}: holds no sealed value") as caught:
        made.open().secret("web", field)

    assert (8, "run: mcpvault show web") == (caught.value.exit_code, caught.value.hint)


def test_a_stage_that_is_not_there_is_named(made: Made) -> None:
    """A value may have no ``pending`` version."""
    with pytest.raises(UnknownFieldError, match="of stage 'pending'"):
        made.open().secret("web", "auth.token", stage="pending")


def test_the_sealed_fields_of_an_entry(made: Made) -> None:
    """References and plain fields are none."""
    with made.open().change() as change:
        change.set_plain("web", "headers.X-Api-Key", "${env:KEY}")
        change.set_plain("web", "headers.X-Version", "1")
        change.set_secret("web", "headers.X-Odd", Secret("odd"))

    assert ["auth.token", "headers.X-Odd"] == sorted(made.open().sealed_fields("web"))


def test_history_shows_versions_and_no_secret(made: Made) -> None:
    """Newest first, each with the fingerprint that names its value."""
    vault = made.open()
    with vault.change() as change:
        change.set_secret("web", "auth.token", Secret("second"), not_after="2027-01-01T00:00:00Z")

    facts = [(each.version, each.stage, each.not_after, each.created) for each in vault.history("web")]
    prints = [each.fingerprint for each in vault.history("web")]

    assert [
        (2, "current", "2027-01-01T00:00:00Z", "2026-07-28T12:00:00Z"),
        (1, "previous", None, "2026-07-28T12:00:00Z"),
    ] == facts
    assert [vault.fingerprint(Secret("second")), vault.fingerprint(Secret("web-token"))] == prints


# Bindings


def moved(made: Made, server: str, **fields: object) -> VaultFile:
    """Return the vault as a writer without scruples would have signed it: moved, and not bound anew."""
    vault = made.open()
    with vault.change() as change:
        change.replace_server(server, {**vault.table(server), **fields})
    return made.open()


@pytest.mark.parametrize(
    "url", ["https://evil.example/mcp", "http://mcp.example.com/mcp", "https://mcp.example.com:8443/mcp"]
)
def test_a_value_for_another_origin_is_not_opened(made: Made, url: str) -> None:
    """Host, scheme and port count; both origins are named and the command that decides."""
    vault = moved(made, "web", url=url)

    with pytest.raises(BindingMismatchError, match=r"sealed for 'https://mcp\.example\.com:443'") as caught:
        vault.secret("web", "auth.token")

    assert (8, "web") == (caught.value.exit_code, caught.value.server)
    assert "mcpvault set web url" in (caught.value.hint or "")


def test_a_value_for_another_command_is_not_opened(made: Made) -> None:
    """Program and arguments count."""
    vault = moved(made, "tool", args=["--rw"])

    with pytest.raises(BindingMismatchError, match="sealed for 'db-mcp --ro', the entry names 'db-mcp --rw'") as caught:
        vault.secret("tool", "env.DB_PASSWORD")

    assert "mcpvault set tool command" in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["https://mcp.example.com/other?x=1", "HTTPS://MCP.example.com:443/mcp"])
def test_another_path_or_spelling_is_the_same_origin(made: Made, url: str) -> None:
    """The binding is to the canonical origin."""
    assert Secret("web-token") == moved(made, "web", url=url).secret("web", "auth.token")


def test_history_of_a_value_that_does_not_open(made: Made) -> None:
    """Its fingerprint is None; the rest is told."""
    vault = made.open()
    table = vault.table("web")
    version = {**table["auth"]["token"][0], "v": 9}
    with vault.change() as change:
        change.replace_server("web", {**table, "auth": {**table["auth"], "token": [version]}})

    assert [(9, None)] == [(each.version, each.fingerprint) for each in made.open().history("web")]


def test_the_clock_is_the_callers(made: Made) -> None:
    """So that tests and imports can say when."""
    vault = made.open(now=lambda: NOON + 60)
    with vault.change() as change:
        change.set_secret("web", "auth.token", Secret("later"))

    assert "2026-07-28T12:01:00Z" == vault.history("web")[0].created


def test_the_anchor_of_an_open_vault_is_known(made: Made) -> None:
    """``sign`` and ``trust`` go on with it."""
    anchor = Remembered()

    assert anchor is made.open(anchor=anchor).anchor
    assert made.open().anchor is None
