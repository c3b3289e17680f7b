"""``sign``: a hand edit is looked at and vouched for, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from vault_samples import Made, Remembered, altered, done, nobody_asked, tree

from mcpvault.errors import (
    BindingMismatchError,
    LiteralSecretError,
    McpVaultError,
    RoleError,
    TamperedError,
    UntrustedRootError,
    VaultChangedError,
    VaultFormatError,
    VaultNotFoundError,
)
from mcpvault.secret import Secret
from mcpvault.vault.differences import Difference
from mcpvault.vault.signing import check_seals, sign
from mcpvault.vault.vaultfile import VaultFile


def accept(_: Sequence[Difference]) -> bool:
    """Say yes to everything."""
    return True


def signed(made: Made, agree: Callable[[Sequence[Difference]], bool] = accept, **options: Any) -> VaultFile | None:
    """Sign the file as it stands, as admin unless *options* say otherwise."""
    return sign(made.path, **{"key": made.admin, "accept": agree, **options})


def paths(made: Made, **options: Any) -> list[str]:
    """Return the paths of the differences that somebody who signs is shown."""
    seen: list[str] = []

    def look(changes: Sequence[Difference]) -> bool:
        seen.extend(each.path for each in changes)
        return False

    assert signed(made, look, **options) is None
    return seen


def test_a_hand_edit_opens_for_nobody_until_it_is_signed(made: Made) -> None:
    """Then it opens for everybody, one serial higher, and the edit is in it."""
    altered(made.path, {"servers/web/note": "by hand"})
    with pytest.raises(TamperedError, match="the MAC does not hold"):
        made.open()

    vault = signed(made)

    assert vault is not None
    assert (3, "by hand") == (vault.document.header.serial, vault.entry("web").note)
    assert "by hand" == made.open(key=made.reader).entry("web").note


def test_what_is_not_accepted_is_not_signed(made: Made) -> None:
    """The file keeps its bytes."""
    altered(made.path, {"servers/web/note": "by hand"})
    before = made.path.read_bytes()

    assert signed(made, lambda _: False) is None

    assert before == made.path.read_bytes()


def test_the_difference_is_to_the_kept_generation(made: Made) -> None:
    """Exactly what was edited by hand since is shown."""
    done(made, lambda change: change.set_plain("web", "owner", "platform"))
    done(made, lambda change: change.set_plain("web", "owner", "platform team"))
    altered(made.path, {"servers/web/note": "by hand", "servers/tool/cwd": "/srv"})

    assert ["servers.web.owner", "servers.web.note", "servers.tool.cwd"] == paths(made)


@pytest.mark.parametrize("damage", ["missing", "no vault", "altered", "of another vault"])
def test_without_a_generation_to_believe_everything_is_shown(made: Made, damage: str) -> None:
    """A previous file that anybody could have put there proves nothing."""
    previous = made.path.with_name("vault.toml.prev")
    if damage == "missing":
        previous.unlink()
    elif damage == "no vault":
        previous.write_text("[vault]\n")
    elif damage == "altered":
        altered(previous, {"vault/serial": 7})
    else:
        altered(previous, {"vault/id": "A" * 22})
    altered(made.path, {"servers/web/note": "by hand"})

    shown = paths(made)

    assert "servers.web.url" in shown
    assert "vault.slots[alice]" in shown


def test_a_vault_without_a_previous_generation_can_be_signed(made: Made) -> None:
    """One above what the file claims."""
    made.path.with_name("vault.toml.prev").unlink()
    altered(made.path, {"servers/web/note": "by hand"})

    vault = signed(made)

    assert vault is not None
    assert 3 == vault.document.header.serial


def test_signing_keeps_the_generation_that_was_believed(made: Made) -> None:
    """The unsigned file never takes the place of one that verified."""
    believed = made.path.with_name("vault.toml.prev").read_bytes()
    altered(made.path, {"servers/web/note": "by hand"})

    signed(made)

    assert believed == made.path.with_name("vault.toml.prev").read_bytes()


def test_the_serial_rises_above_everything_seen(made: Made) -> None:
    """Above the anchor, above the kept generation, above what the file itself claims."""
    anchor, old = Remembered(), made.path.read_bytes()
    for text in ("a", "b", "c"):
        with made.open(anchor=anchor).change() as change:
            change.set_plain("web", "note", text)
    made.path.write_bytes(old)

    vault = signed(made, anchor=anchor)

    assert vault is not None
    assert 6 == vault.document.header.serial == anchor.records["alice"]["serial"]
    assert 6 == made.open(anchor=anchor).document.header.serial


@pytest.mark.parametrize("serial", ["as it was", "as seen"])
def test_whoever_signs_an_older_file_is_told(made: Made, serial: str) -> None:
    """A file that was put back, and a generation beside it that hides what is missing, are both named first."""
    anchor, old = Remembered(), made.path.read_bytes()
    for text in ("a", "b", "c"):
        with made.open(anchor=anchor).change() as change:
            change.set_plain("web", "note", text)
    for path in (made.path, made.path.with_name("vault.toml.prev")):
        path.write_bytes(old)
    if serial == "as seen":
        altered(made.path, {"vault/serial": 5})
    shown: list[Difference] = []

    assert signed(made, lambda changes: bool(shown.extend(changes)), anchor=anchor) is None

    assert ("vault.serial", "5, seen here", True) == (shown[0].path, shown[0].before, shown[0].alarming)
    expected = "so this file is an older one" if serial == "as it was" else "that the rest is compared with"
    assert expected in (shown[0].after or "")


def test_the_serial_rises_above_the_kept_generation(made: Made) -> None:
    """Even on a host that has no anchor."""
    old = made.path.read_bytes()
    for text in ("a", "b", "c"):
        done(made, lambda change, text=text: change.set_plain("web", "note", text))
    made.path.write_bytes(old)

    vault = signed(made)

    assert vault is not None
    assert 5 == vault.document.header.serial


def test_a_comment_alone_can_be_signed(made: Made) -> None:
    """Nothing differs, and the file is signed again."""
    made.path.write_text("# by hand\n" + made.path.read_text())
    made.path.with_name("vault.toml.prev").write_bytes(made.path.read_bytes())

    assert [] == paths(made)
    assert signed(made) is not None
    assert made.path.read_text().startswith("# by hand\n")


def test_a_reader_cannot_sign(made: Made) -> None:
    """Nothing is shown, nothing is written."""
    with pytest.raises(RoleError, match="slot 'cron' is a reader's and cannot sign"):
        signed(made, nobody_asked, key=made.reader)


def refusal(made: Made, expected: type[McpVaultError], **options: Any) -> McpVaultError:
    """Return the error with which signing is refused before anybody is asked; the file keeps its bytes."""
    before = made.path.read_bytes()
    with pytest.raises(expected) as caught:
        signed(made, nobody_asked, **options)
    assert expected is type(caught.value)
    assert before == made.path.read_bytes()
    return caught.value


@pytest.mark.parametrize(
    "change",
    [{"servers/web/url": "https://evil.example/mcp"}, {"servers/tool/args": ["--rw"]}, {"servers/tool/command": "sh"}],
    ids=["url", "args", "command"],
)
def test_a_value_that_would_go_elsewhere_is_not_signed(made: Made, change: dict[str, Any]) -> None:
    """An edit by hand cannot send a secret to another place; the hint tells how to do it knowingly."""
    altered(made.path, change)

    assert "mcpvault set NAME url URL" in (refusal(made, BindingMismatchError).hint or "")


def test_all_that_would_go_elsewhere_is_named_at_once(made: Made) -> None:
    """Nobody wants to find one after the other."""
    altered(made.path, {"servers/web/url": "https://evil.example/mcp", "servers/tool/command": "sh"})

    message = refusal(made, BindingMismatchError).message

    assert "servers.web.auth.token" in message
    assert "servers.tool.env.DB_PASSWORD" in message


def test_a_moved_value_is_not_signed(made: Made) -> None:
    """A sealed line that was pasted into another entry does not open there."""
    with made.open().change() as change:
        change.add_server("copy", {"url": "https://mcp.example.com/mcp"})
    altered(made.path, {"servers/copy/auth": tree(made.path)["servers"]["web"]["auth"]})

    assert "servers.copy.auth.token" in refusal(made, TamperedError).message


@pytest.mark.parametrize("stage", ["previous", "pending"])
def test_every_version_is_looked_at(made: Made, stage: str) -> None:
    """Also those that nobody uses just now."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("two")))
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("three"), stage="pending"))
    versions = tree(made.path)["servers"]["web"]["auth"]["token"]
    [index] = [number for number, version in enumerate(versions) if version["stage"] == stage]
    altered(made.path, {f"servers/web/auth/token/{index}/v": 99})

    refusal(made, TamperedError)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"servers/web/auth/token": "in-clear-in-clear"}, LiteralSecretError),
        ({"servers/web/auth/kind": "oath"}, VaultFormatError),
        ({"vault/root": "A" * 43}, UntrustedRootError),
    ],
    ids=["literal", "format", "root"],
)
def test_what_could_never_be_opened_is_not_signed(
    made: Made, change: dict[str, Any], expected: type[McpVaultError]
) -> None:
    """Format and root are judged as in opening."""
    altered(made.path, change)

    refusal(made, expected)


def test_there_must_be_a_file(made: Made) -> None:
    """No vault, nothing to sign."""
    made.path.unlink()

    with pytest.raises(VaultNotFoundError):
        signed(made)


def test_a_file_that_changes_while_it_is_looked_at_is_exit_7(made: Made) -> None:
    """What is signed is what was shown."""
    altered(made.path, {"servers/web/note": "by hand"})

    def slow(_: Sequence[Difference]) -> bool:
        altered(made.path, {"servers/web/url": "https://mcp.example.com/other"})
        return True

    with pytest.raises(VaultChangedError, match="changed while it was looked at"):
        signed(made, slow)
    with pytest.raises(TamperedError):
        made.open()


def test_the_text_of_the_hand_edit_stays(made: Made) -> None:
    """Comments, order and ciphertexts are the person's."""
    text = made.path.read_text().replace("[servers.web]", "# mind the gap\n[servers.web]\nnote   =   'odd'")
    made.path.write_text(text)

    signed(made)

    assert "# mind the gap\n[servers.web]\nnote   =   'odd'" in made.path.read_text()


def test_a_good_vault_passes_the_check_of_its_seals(made: Made) -> None:
    """Nothing is said, nothing is changed."""
    check_seals(made.open())
