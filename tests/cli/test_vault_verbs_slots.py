"""``slots``: ways into the vault of every kind, and what a reader can do."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from house import INTERRUPT, TOKEN, Home, new_vault

from mcpvault.vault.slots import HostIdentity, NewSlot, RawKey

PASSPHRASE = "a passphrase of the slot tests"
OPEN = ("get", "demo", "auth.token", "--reveal")


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


def slots(home: Home) -> list[tuple[str, str, str]]:
    """Return id, kind and role of the vault's slots."""
    tables = tomllib.loads(home.vault.read_text())["vault"]["slots"]
    return [(slot["id"], slot["kind"], slot["role"]) for slot in tables]


def without_its_key(home: Home) -> Home:
    """Take the first key away, as on another host."""
    home.key.rename(home.home / "away")
    return home


def test_slots_are_listed_without_a_key(home: Home) -> None:
    """Id, kind, role, whether the root is pinned, and the date; ``--json`` has the same."""
    with home.open().change() as change:
        change.add_slot(NewSlot.recipient("web01", HostIdentity.generate().public))
    without_its_key(home)

    lines = [line.split("\t") for line in home.run("slots", "list").stdout.splitlines()]
    assert [["me", "raw", "admin", "pinned"], ["web01", "recipient", "reader", "needs trust"]] == [
        line[:4] for line in lines
    ]
    facts = json.loads(home.run("slots", "list", "--json").stdout)
    assert ["id", "kind", "role", "pinned", "created"] == [*facts[0]]
    assert [("me", True), ("web01", False)] == [(slot["id"], slot["pinned"]) for slot in facts]


def test_a_new_key_file_opens_as_a_reader(home: Home) -> None:
    """``--new-key-file`` writes a private key file; the default role only reads."""
    home.run("slots", "add", "cron", "--new-key-file", "keys/cron.key")
    without_its_key(home)

    assert 0o600 == (home.home / "keys" / "cron.key").stat().st_mode & 0o777
    assert ("cron", "raw", "reader") == slots(home)[1]
    assert f"{TOKEN}\n" == home.run(*OPEN, MCPVAULT_KEY_FILE="keys/cron.key").stdout


def test_an_admin_can_be_added(home: Home) -> None:
    """``--role admin`` may change the vault."""
    home.run("slots", "add", "ada", "--new-key-file", "ada.key", "--role", "admin")
    without_its_key(home)

    home.run("set", "demo", "note", "by ada", MCPVAULT_KEY_FILE="ada.key")
    assert ("ada", "raw", "admin") == slots(home)[1]


def test_a_passphrase_slot(home: Home) -> None:
    """The passphrase is asked for twice, not echoed, and opens the vault on a terminal."""
    typed = [("New passphrase: ", f"{PASSPHRASE}\n"), ("again: ", f"{PASSPHRASE}\n")]
    shown = home.talk("slots", "add", "ada", "--passphrase", answers=typed)
    without_its_key(home)

    assert "added slot ada (reader)" in shown
    assert PASSPHRASE not in shown
    assert TOKEN in home.talk(*OPEN, answers=[("Passphrase for ", f"{PASSPHRASE}\n")])


def test_a_keyring_slot(home: Home) -> None:
    """The OS keyring keeps the key under the vault's id and the slot's, and opens the vault."""
    variables = home.keyring()
    home.run("slots", "add", "desk", "--keyring", **variables)
    without_its_key(home)

    assert f"{TOKEN}\n" == home.run(*OPEN, **variables).stdout
    assert [f"mcpvault/{home.state.name}/desk"] == [*json.loads((home.home / "keyring.json").read_text())]


def test_a_host_gets_its_own_slot(home: Home, tmp_path: Path) -> None:
    """The whole way: keygen on the host, add by an admin, trust on the host, open; the private key never travels."""
    host = Home(tmp_path / "host")
    host.home.mkdir()
    public = host.run("slots", "keygen", "etc/host.key").stdout.strip()
    assert public.startswith("mvp1-")
    assert 0o600 == (host.home / "etc" / "host.key").stat().st_mode & 0o777

    done = home.run("slots", "add", "web01", "--recipient", public)
    assert "added slot web01 (reader)\n" == done.stdout
    trust = done.stderr.removeprefix("on that host, once: mcpvault ").split()

    host.vault.parent.mkdir(parents=True)
    shutil.copy(home.vault, host.vault)
    host.run(*OPEN, code=6, MCPVAULT_KEY_FILE="etc/host.key")
    host.run(*trust)
    assert f"{TOKEN}\n" == host.run(*OPEN, MCPVAULT_KEY_FILE="etc/host.key").stdout


def test_keygen_overwrites_nothing(home: Home) -> None:
    """A host's key is made once; ``--dry-run`` makes none."""
    assert {"path": "a.key", "public": None, "dry_run": True} == json.loads(
        home.run("slots", "keygen", "a.key", "--dry-run", "--json").stdout
    )
    public = json.loads(home.run("slots", "keygen", "a.key", "--json").stdout)["public"]

    assert public.startswith("mvp1-")
    assert "there is a file already" in home.refused("slots", "keygen", "a.key", code=8)


def test_add_as_json(home: Home) -> None:
    """``--json`` names slot, kind, role and root; ``--dry-run`` adds nothing and makes no key."""
    before = home.files()
    dry = json.loads(home.run("slots", "add", "x", "--new-key-file", "x.key", "--dry-run", "--json").stdout)
    root = home.open().file.root_fingerprint
    assert {"slot": "x", "kind": "raw", "role": "reader", "root": root, "dry_run": True} == dry
    assert before == home.files()


GOOD = "mvp1-" + "a" * 58
REFUSED = [
    (2, "expected one of", ["x"]),
    (2, "expected one of", ["x", "--passphrase", "--keyring"]),
    (2, "missing argument", []),
    (2, "--role", ["x", "--new-key-file", "x.key", "--role", "owner"]),
    (8, "a slot 'me' with that name", ["me", "--new-key-file", "x.key"]),
    (8, "a slot 'me' with that name", ["ME", "--new-key-file", "x.key"]),
    (8, "expected a slot name", ["a b", "--new-key-file", "x.key"]),
    (8, "expected a slot name", ["", "--new-key-file", "x.key"]),
    (8, "there is a file already", ["x", "--new-key-file", "taken"]),
    (8, "whoever copies it", ["x", "--new-key-file", ".config/mcpvault/x.key"]),
    (8, "mcpvault slots keygen", ["x", "--recipient", "mvp1-short"]),
    (8, "mcpvault slots keygen", ["x", "--recipient", GOOD]),
    (8, "did not take the key", ["x", "--keyring"]),
    (2, "no terminal", ["x", "--passphrase"]),
]


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused(home: Home, code: int, says: str, words: list[str]) -> None:
    """One clear line, the vault unchanged, and no key left behind for a slot that is not there."""
    (home.home / "taken").touch()

    assert says in home.refused("slots", "add", *words, code=code)


@pytest.mark.parametrize(("second", "code"), [("another\n", 2), ("\n", 2), (INTERRUPT, 130)])
def test_leaving_the_passphrase_prompt_adds_nothing(home: Home, second: str, code: int) -> None:
    """A second passphrase that differs, an empty one and ctrl-C leave the vault alone."""
    before = home.files()
    typed = [("New passphrase: ", f"{PASSPHRASE}\n"), ("again: ", second)]
    home.talk("slots", "add", "ada", "--passphrase", answers=typed, code=code)

    assert before == home.files()


def test_a_group_without_a_verb_shows_its_help(home: Home) -> None:
    """``mcpvault slots`` and ``mcpvault`` alone are exit 2 with the help on stderr; a wrong verb gets a suggestion."""
    for words, verb in ((("slots",), "keygen"), ((), "exit-codes"), (("client",), "disconnect")):
        said = home.run(*words, code=2)
        assert ("", True) == (said.stdout, verb in said.stderr)
    assert "did you mean 'list'?" in home.refused("slots", "lst", code=2)
    assert "did you mean 'slots'?" in home.refused("slot", "list", code=2)


@pytest.fixture
def reader(home: Home) -> dict[str, str]:
    """The variable that names a reader's key; the admin's is gone."""
    key = RawKey.generate()
    with home.open().change() as change:
        change.add_slot(NewSlot.raw("cron", key, role="reader"))
        change.add_server("child", {"command": "/opt/x", "approved": False})
    without_its_key(home)
    (home.home / "cron.key").touch(0o600)
    (home.home / "cron.key").write_text(key.text.reveal())
    home.run("get", "demo", MCPVAULT_KEY_FILE="cron.key")  # from now on the anchor knows the slot
    return {"MCPVAULT_KEY_FILE": "cron.key"}


CHANGES = [
    ("add", "x", "https://x.example/mcp", "--bearer-stdin"),
    ("set", "demo", "note", "x"),
    ("set", "demo", "url", "https://elsewhere.example/mcp", "--yes"),
    ("edit",),
    ("remove", "demo", "--yes"),
    ("approve", "child", "--yes"),
    ("slots", "add", "y", "--new-key-file", "y.key"),
    ("sign", "--yes"),
    ("client", "connect", "https://x.example/mcp", "--name", "x"),
    ("client", "disconnect", "demo"),
]


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_reader_cannot_write(home: Home, reader: dict[str, str], words: tuple[str, ...]) -> None:
    """Exit 8 names the slot and whom to ask, also in a dry run; no file is touched and no editor opened."""
    said = home.refused(*words, code=8, stdin="a-token\n", EDITOR="touch opened", **reader)

    assert ("'cron' is a reader's" in said, "ask an admin" in said) == (True, True)


def test_a_reader_is_not_asked_in_vain(home: Home, reader: dict[str, str]) -> None:
    """Prompts and confirmations come only where the answer can be used."""
    for words in (("add", "x", "https://x.example/mcp", "--bearer-prompt"), ("set", "demo", "auth.token", "--prompt"),
                  ("remove", "demo"), ("approve", "child"), ("slots", "add", "z", "--passphrase")):  # fmt: skip
        assert "reader's" in home.talk(*words, code=8, **reader)


def test_a_reader_reads_everything(home: Home, reader: dict[str, str]) -> None:
    """Values, history and the active server are a reader's too."""
    assert f"{TOKEN}\n" == home.run(*OPEN, **reader).stdout
    assert "v1" in home.run("history", "demo", **reader).stdout
    home.run("client", "sessions", "switch", "demo", **reader)
