"""``sign`` after a hand edit: what it shows, what it refuses, and who decides."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from house import INTERRUPT, TOKEN, Home, new_vault

from mcpvault import Secret


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault; its previous generation is the signed file itself."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("plain", {"url": "https://plain.example.com/mcp", "note": "old words"})
        change.add_server("child", {"command": "/opt/x", "args": ["-v"]})
        change.set_secret("child", "env.DB_PASSWORD", Secret(TOKEN))
    previous(made).write_bytes(made.vault.read_bytes())
    return made


def previous(home: Home) -> Path:
    """Return the place of the previous generation."""
    return home.vault.with_name("vault.toml.prev")


def hand_edit(home: Home, *edits: tuple[str, str], add: str = "") -> None:
    """Change the vault's text as a person does, with an editor of theirs."""
    text = home.vault.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    home.vault.write_text(text + add)


def test_a_hand_edit_opens_for_nobody_until_it_is_signed(home: Home) -> None:
    """Exit 6 names the verb; after it the vault opens, comments and all."""
    hand_edit(home, ("old words", "new words"), add="# by hand\n")
    assert "an admin runs: mcpvault sign" in home.refused("get", "demo", code=6)
    assert "mcpvault sign" in home.refused("set", "demo", "note", "x", code=6)

    done = home.run("sign", "--yes")

    assert re.fullmatch(r"signed, serial \d+\n", done.stdout)
    assert ["  ~ servers.plain.note: 'old words' -> 'new words'"] == done.stderr.splitlines()
    assert "new words\n" == home.run("get", "plain", "note").stdout
    assert "# by hand" in home.vault.read_text()


def test_a_variable_that_steers_programs_is_not_signed(home: Home) -> None:
    """``run_env`` cannot be written by hand either where ``set`` refuses it."""
    hand_edit(home, ("old words", "new words"), add='[servers.plain.run_env]\nLD_PRELOAD = "url"\n')
    before = home.files()

    assert "servers.plain.run_env.LD_PRELOAD: steers" in home.refused("sign", "--yes", code=8)
    assert before == home.files()


def test_sign_asks_on_a_terminal(home: Home) -> None:
    """The changes are shown first; a no and ctrl-C leave the file unsigned."""
    hand_edit(home, ("old words", "new words"))
    before = home.files()

    shown = home.talk("sign", answers=[("sign 1 change [y/N]: ", "n\n")], code=2)
    home.talk("sign", answers=[("sign 1 change [y/N]: ", INTERRUPT)], code=130)
    assert "~ servers.plain.note: 'old words' -> 'new words'" in shown
    assert before == home.files()

    assert "signed, serial " in home.talk("sign", answers=[("sign 1 change [y/N]: ", "y\n")])
    home.run("get", "demo")


def test_without_a_terminal_nobody_signs_by_accident(home: Home) -> None:
    """It ends with exit 2 and the word ``--yes``; stdin is not read."""
    hand_edit(home, ("old words", "new words"))
    before = home.files()

    assert "give --yes" in home.run("sign", stdin="y\n", code=2).stderr
    assert before == home.files()


URL = 'url = "https://new.example/"\n'
ALARMING = [
    ('command = "/bin/sh"\nargs = ["-c", "x"]\n', "command = '/bin/sh'"),
    (URL, "url = 'https://new.example/'"),
    (URL + 'auth = { kind = "bearer", token = "${cmd:[\\"x\\"]}" }\n', "auth.token = '${cmd:"),
    (URL + 'headers = { X-V = "${file:/etc/passwd}" }\n', "headers.X-V = '${file:/etc/passwd}'"),
    (URL + "allow_http = true\n", "allow_http = True"),
]


@pytest.mark.parametrize(("added", "line"), ALARMING)
def test_what_can_send_or_run_is_marked(home: Home, added: str, line: str) -> None:
    """New addresses, commands, ``${cmd:}`` and ``${file:}`` stand after an exclamation mark."""
    hand_edit(home, add=f"\n[servers.new]\n{added}")

    assert f"! + servers.new.{line}" in home.run("sign", "--yes").stderr


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("plain.example.com", "evil.example.com", "! ~ servers.plain.url: 'https://plain.example.com/mcp' -> 'https://evil"),
        ("[vault]\n", "[vault]\nallow_commands = true\n", "! + vault.allow_commands = True"),
        ('note = "old words"\n', "", "  - servers.plain.note (was 'old words')"),
    ],
)  # fmt: skip
def test_what_was_changed_or_removed_is_named(home: Home, old: str, new: str, line: str) -> None:
    """A changed URL, a new switch of the vault, a field that is gone."""
    hand_edit(home, (old, new))

    assert line in home.run("sign", "--yes").stderr


REFUSED = [
    (8, "servers.demo.auth.token: sealed for", ("https://mcp.example.com", "https://evil.example.com")),
    (8, "servers.child.env.DB_PASSWORD: sealed for", ("/opt/x", "/tmp/x")),
    (8, "servers.child.env.DB_PASSWORD: sealed for", ('"-v"', '"-x"')),
    (8, "in clear", ('note = "old words"', 'auth = { kind = "bearer", token = "in-the-clear" }')),
    (6, "unknown key, did you mean 'note'?", ("note =", "nte =")),
    (6, "line ", ("[vault]", "[vault")),
]


@pytest.mark.parametrize(("code", "says", "swap"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_must_not_be_signed_is_refused(home: Home, code: int, says: str, swap: tuple[str, str]) -> None:
    """A sealed value whose binding is broken, a literal, a file that is no vault: ``--yes`` does not help."""
    hand_edit(home, swap)

    assert says in home.refused("sign", "--yes", code=code)


def test_every_broken_binding_is_named_at_once(home: Home) -> None:
    """An admin sees all of them, and how to let a value follow."""
    hand_edit(home, ("https://mcp.example.com", "https://evil.example.com"), ("/opt/x", "/tmp/x"))
    said = home.refused("sign", "--yes", code=8)

    assert ("demo.auth.token" in said, "child.env.DB_PASSWORD" in said, "mcpvault set NAME url" in said) == (True,) * 3


def test_a_moved_ciphertext_is_refused(home: Home) -> None:
    """A sealed value that was copied to another place of the same binding does not open there."""
    sealed = tomllib.loads(home.vault.read_text())["servers"]["demo"]["auth"]["token"][0]["sealed"]
    other = tomllib.loads(home.vault.read_text())["servers"]["child"]["env"]["DB_PASSWORD"][0]["sealed"]
    hand_edit(home, (other, sealed))

    assert "servers.child.env.DB_PASSWORD" in home.refused("sign", "--yes", code=6)


def test_sign_as_json(home: Home) -> None:
    """``--json`` is one document with the serial and the changes; ``--dry-run`` signs nothing and asks nothing."""
    hand_edit(home, ("old words", "new words"))
    before = home.files()
    change = {"path": "servers.plain.note", "before": "'old words'", "after": "'new words'", "alarming": False}

    dry = json.loads(home.run("sign", "--dry-run", "--json").stdout)
    assert {"serial": None, "dry_run": True, "changes": [change]} == dry
    assert before == home.files()

    done = json.loads(home.run("sign", "--yes", "--json").stdout)
    serial = tomllib.loads(home.vault.read_text())["vault"]["serial"]
    assert {"serial": serial, "dry_run": False, "changes": [change]} == done


def test_without_a_previous_generation_everything_is_shown(home: Home) -> None:
    """What cannot be compared is looked at whole; the same if the previous generation cannot be believed."""
    hand_edit(home, ("old words", "new words"))
    previous(home).write_text(home.vault.read_text())
    forged = home.run("sign", "--dry-run").stderr
    previous(home).unlink()
    missing = home.run("sign", "--dry-run").stderr

    assert "! + servers.demo.url = 'https://mcp.example.com/mcp'" in missing
    assert forged == missing
    assert TOKEN not in missing


def test_a_file_that_changes_while_it_is_looked_at_is_not_signed(home: Home) -> None:
    """What was shown is what is signed: exit 7, look again."""
    hand_edit(home, ("old words", "shown words"))

    def meanwhile(_: str) -> str:
        hand_edit(home, ("shown words", "slipped in"))
        return "y\n"

    said = home.talk("sign", answers=[("[y/N]: ", meanwhile)], code=7)

    assert "changed while it was looked at" in said
    assert "slipped in" in home.vault.read_text()
    home.run("get", "demo", code=6)


def test_signing_goes_on_above_what_this_host_has_seen(home: Home) -> None:
    """An older file that was edited and signed gets a serial above the anchor's, so that it opens here."""
    old = home.vault.read_text()
    for word in ("one", "two", "three"):
        home.run("set", "plain", "owner", word)
    home.vault.write_text(old)
    hand_edit(home, ("old words", "new words"))

    home.run("sign", "--yes")

    assert "new words\n" == home.run("get", "plain", "note").stdout
    assert tomllib.loads(old)["vault"]["serial"] + 4 == tomllib.loads(home.vault.read_text())["vault"]["serial"]
