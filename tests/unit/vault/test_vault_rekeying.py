"""A new epoch: everything opens as before, with the same keys of the same people, and nothing of the old one stays."""

from __future__ import annotations

import pytest
from vault_samples import Made, Remembered, done, refused, sealed_lines, text_key, tree, versions

from mcpvault.errors import ConfigurationError, RoleError, UntrustedRootError, WrongKeyError
from mcpvault.secret import Secret
from mcpvault.vault.keysources import Key
from mcpvault.vault.reopening import reopened
from mcpvault.vault.slots import NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile


def second_admin(made: Made, name: str = "bob") -> Key:
    """Add another admin; return the key."""
    raw = RawKey.generate()
    done(made, lambda change: change.add_slot(NewSlot.raw(name, raw)))
    return text_key(raw)


def secrets(vault: VaultFile) -> list[str]:
    """Return the sealed values."""
    return [vault.secret("web", "auth.token").reveal(), vault.secret("tool", "env.DB_PASSWORD").reveal()]


def test_a_new_epoch_opens_with_every_old_key(made: Made) -> None:
    """Admin and reader read the same values; epoch and serial are one more, every line and box is another."""
    before, was = tree(made.path), made.path.read_text()

    vault = done(made, lambda change: change.rekey())

    after = tree(made.path)
    assert ["web-token", "tool-password"] == secrets(vault) == secrets(made.open(key=made.reader))
    assert [before["vault"]["epoch"] + 1, before["vault"]["serial"] + 1] == [
        after["vault"]["epoch"],
        after["vault"]["serial"],
    ]
    assert not set(sealed_lines(was)) & set(sealed_lines(made.path.read_text()))
    for old, new in zip(before["vault"]["slots"], after["vault"]["slots"], strict=True):
        assert (old["pub"], old["pin"]) == (new["pub"], new["pin"])
        assert old["box"] != new["box"]


def test_the_old_key_opens_nothing_of_the_new_epoch(made: Made) -> None:
    """Another vault key is drawn, and no retired line gives it away."""
    old = made.open()
    vault = done(made, lambda change: change.rekey())

    assert old.keys.vault_key != vault.keys.vault_key
    assert [old.keys.vault_key] == vault.keys_of(1)
    assert [] == vault.keys_of(7)


def test_every_earlier_key_is_kept_until_its_time(made: Made) -> None:
    """Three epochs later state of the first still opens; half a year later its key is left behind."""
    first = made.open().keys.vault_key
    for _ in range(3):
        vault = done(made, lambda change: change.rekey())
    assert [first] == vault.keys_of(1)
    assert [3, 2, 1] == [row["epoch"] for row in tree(made.path)["vault"]["retired"]]

    late = made.open(now=lambda: 1_785_240_000.0 + 181 * 86_400)
    with late.change() as change:
        change.rekey()
    assert [4] == [row["epoch"] for row in tree(made.path)["vault"]["retired"]]


def test_no_key_is_kept_that_others_know(made: Made) -> None:
    """``compromised``: no retired key, those of earlier epochs neither, and every version is due."""
    done(made, lambda change: change.rekey())
    vault = done(made, lambda change: change.rekey(compromised=True))

    assert "retired" not in tree(made.path)["vault"]
    assert [] == vault.keys_of(1)
    assert {"key compromised"} == {version["due"] for version in versions(made)}


def test_nothing_older_stays_beside_the_file(made: Made) -> None:
    """The previous generation and what dead writers left are gone before the new file is in place."""
    done(made, lambda change: change.set_plain("web", "note", "a second generation"))
    left = made.path.with_name(f".{made.path.name}.tmp.1.abcd")
    left.write_text("half a vault")

    done(made, lambda change: change.rekey())

    assert [made.path.name] == sorted(path.name for path in made.path.parent.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_survive(made: Made, end: str) -> None:
    """A new epoch changes what is sealed and the header; what people wrote stays, marked once or twice."""
    text = f"# ours\n{made.path.read_text()}".replace("sealed =", "sealed   =").replace("\n", end)
    made.path.write_bytes(text.encode())

    for _ in range(2):
        done(made, lambda change: change.rekey(compromised=True))
    done(made, lambda change: change.rekey())

    after = made.path.read_bytes().decode()
    assert after.startswith(f"# ours{end}")
    assert f"{2 * end}[servers.web]" in after
    assert 2 == after.count("sealed   =") == after.count('due = "key compromised"')
    assert after.count("\n") == after.count(end)


def test_a_new_value_ends_the_mark(made: Made) -> None:
    """The mark belongs to the version: the next one is not due, the old one still says why it was."""
    done(made, lambda change: change.remove_slots(["cron"]))
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("fresh")))

    assert [None, "slot removed"] == [version.get("due") for version in versions(made)]


def test_a_removed_reader_opens_nothing_more(made: Made) -> None:
    """Its slot is gone, every secret is due, the root is the same and so are the pins."""
    root = made.open().root_fingerprint
    vault = done(made, lambda change: change.remove_slots(["cron"]))

    assert (root, ["alice"]) == (vault.root_fingerprint, [slot.id for slot in vault.document.header.slots])
    assert {"slot removed"} == {version["due"] for version in versions(made)}
    with pytest.raises(WrongKeyError):
        made.open(key=made.reader)


def test_a_removed_admin_takes_the_root_along(made: Made) -> None:
    """A new root: only the admin who did it is pinned, everybody else confirms it once, and the old pins are gone."""
    bob = second_admin(made)
    root = made.open().root_fingerprint

    with made.open(key=bob).change() as change:
        change.remove_slots(["alice"])

    vault = made.open(key=bob)
    assert root != vault.root_fingerprint
    with pytest.raises(UntrustedRootError):
        made.open(key=made.reader)
    assert ["web-token", "tool-password"] == secrets(made.open(key=made.reader, trusted_roots={vault.root_fingerprint}))
    assert [False, True] == ["pin" in slot for slot in tree(made.path)["vault"]["slots"]]


def test_a_fork_from_the_old_root_is_refused(made: Made) -> None:
    """A removed admin still signs with the old root and has an old file with everybody's pins: no host goes back."""
    bob, anchor = second_admin(made), Remembered()
    made.open(key=made.reader, anchor=anchor)
    old = made.path.read_bytes()
    with made.open(key=bob).change() as change:
        change.remove_slots(["alice"])
    root = made.open(key=bob).root_fingerprint
    made.open(key=made.reader, anchor=anchor, trusted_roots={root})

    made.path.write_bytes(old)
    for note in ("by", "somebody", "who is gone"):
        done(made, lambda change, note=note: change.set_plain("web", "note", note))  # type: ignore[misc]

    made.open(key=made.reader)
    for how in ({"trusted_roots": {root}}, {"anchor": anchor}):
        with pytest.raises(UntrustedRootError):
            made.open(key=made.reader, **how)


def test_a_pinned_owner_confirms_a_new_root_too(made: Made) -> None:
    """The pin of the new root is the owner's own, yet another host that saw the old one asks once."""
    bob, anchor = second_admin(made), Remembered()
    made.open(key=bob, anchor=anchor)
    with made.open(key=bob).change() as change:
        change.remove_slots(["alice"])
    root = made.open(key=bob).root_fingerprint

    with pytest.raises(UntrustedRootError, match="is new"):
        made.open(key=bob, anchor=anchor)
    made.open(key=bob, anchor=anchor, trusted_roots={root})
    made.open(key=bob, anchor=anchor)


def test_what_cannot_be_removed(made: Made) -> None:
    """A slot that is not there, and the one that is open; the file stays as it is."""
    assert "did you mean 'cron'" in str(
        refused(made, lambda change: change.remove_slots(["crom"]), ConfigurationError).hint
    )
    error = refused(made, lambda change: change.remove_slots(["cron", "alice"]), ConfigurationError)
    assert "another admin removes it" == error.hint
    with pytest.raises(RoleError), made.open(key=made.reader).change() as change:
        change.rekey()


def test_a_reader_becomes_an_admin_and_back(made: Made) -> None:
    """Promoted it signs, in the same epoch; demoted there is a new root, and nothing is due: it still reads."""
    done(made, lambda change: change.set_role("cron", "admin"))
    assert 1 == made.open().document.header.epoch
    with made.open(key=made.reader).change() as change:
        change.set_plain("web", "note", "by cron")

    root = made.open().root_fingerprint
    vault = done(made, lambda change: change.set_role("cron", "reader"))
    assert (2, True) == (vault.document.header.epoch, root != vault.root_fingerprint)
    assert [None] == [version.get("due") for version in versions(made)]
    assert "reader" == made.open(key=made.reader, trusted_roots={vault.root_fingerprint}).role


def test_a_slot_gets_another_key(made: Made) -> None:
    """Name, role and place stay; the old key opens nothing of the new file, the new one is pinned."""
    raw = RawKey.generate()
    with made.open().change() as change:
        change.replace_slot(NewSlot.raw("alice", raw, role="reader"))

    assert "admin" == made.open(key=text_key(raw)).role
    assert ["alice", "cron"] == [slot["id"] for slot in tree(made.path)["vault"]["slots"]]
    with pytest.raises(WrongKeyError):
        made.open()


def test_resealing_makes_the_pin_that_was_missing(made: Made) -> None:
    """An owner who has confirmed a root by its fingerprint writes it down in the slot."""
    bob = second_admin(made)
    with made.open(key=bob).change() as change:
        change.set_role("alice", "reader")
        change.set_role("alice", "admin")
    root = made.open(key=bob).root_fingerprint

    with made.open(trusted_roots={root}).change() as change:
        change.reseal_slots()

    assert root == made.open().root_fingerprint


def test_an_open_vault_goes_on_in_the_next_epoch(made: Made) -> None:
    """Whoever holds a slot that stays opens the new file with what it knows; a removed one is told so."""
    admin, reader = made.open(), made.open(key=made.reader)
    done(made, lambda change: change.rekey())

    assert (2, "reader") == (reopened(reader).document.header.epoch, reopened(reader).role)
    assert (True, False) == (admin.reread(), admin.reread())
    assert ["web-token", "tool-password"] == secrets(admin)

    done(made, lambda change: change.remove_slots(["cron"]))
    with pytest.raises(WrongKeyError, match="slot 'cron' was removed"):
        reopened(reader)
