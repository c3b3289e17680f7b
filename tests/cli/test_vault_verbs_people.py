"""``rekey``, ``slots remove|role|reseal``, ``migrate``: what they say, refuse and leave behind."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import TOKEN, Home, new_vault

OPEN = ("get", "demo", "auth.token", "--reveal")


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault and a second slot, ``cron``, whose key is in ``cron.key``."""
    home_ = new_vault(home)
    home_.run("slots", "add", "cron", "--new-key-file", "cron.key")
    return home_


def head(home: Home) -> dict[str, Any]:
    """Return the vault's header as the file says it."""
    found: dict[str, Any] = tomllib.loads(home.vault.read_text())["vault"]
    return found


def by_cron(home: Home, *words: str, code: int = 0) -> str:
    """Run with the key of the slot ``cron``, and return what was said."""
    done = home.run(*words, code=code, MCPVAULT_KEY_FILE="cron.key")
    return done.stdout + done.stderr


def test_rekey(home: Home) -> None:
    """A new epoch that both keys open; the verb says that git history stays, and no older generation does."""
    was = head(home)
    dry = home.run("rekey", "--dry-run", "--json")
    assert was == head(home)
    done = home.run("rekey", "--yes")

    assert "began epoch 2\n" == done.stdout
    assert "git history" in done.stderr
    assert {"epoch": 2, "due": 0, "new_root": False, "dry_run": True}.items() <= json.loads(dry.stdout).items()
    assert not home.vault.with_name("vault.toml.prev").exists()
    assert f"{TOKEN}\n" == home.run(*OPEN).stdout
    assert TOKEN in by_cron(home, *OPEN)


def test_nobody_is_asked_without_a_terminal(home: Home) -> None:
    """Exit 2 and the option to give; the vault is as it was."""
    was = head(home)
    for words in (("rekey",), ("slots", "remove", "cron"), ("slots", "role", "cron", "admin"), ("slots", "reseal")):
        assert "--yes" in home.run(*words, code=2).stderr
    assert was == head(home)


def test_removing_a_reader(home: Home) -> None:
    """It opens nothing more, every secret is due, the root stays."""
    root = head(home)["root"]
    done = home.run("slots", "remove", "cron", "--yes")

    assert "removed cron; the vault is at epoch 2\n" == done.stdout
    assert "1 sealed value is due now" in done.stderr
    assert ([slot["id"] for slot in head(home)["slots"]], root) == (["me"], head(home)["root"])
    assert "opens none of the vault's slots" in by_cron(home, *OPEN, code=6)
    assert f"{TOKEN}\n" == home.run(*OPEN).stdout


def test_removing_an_admin(home: Home) -> None:
    """A new root, which the host of the remaining slot confirms once, with the fingerprint that the verb printed."""
    home.run("slots", "add", "ada", "--new-key-file", "ada.key", "--role", "admin")
    by_cron(home, *OPEN)
    facts = json.loads(home.run("slots", "remove", "ada", "--yes", "--json").stdout)

    assert (["ada"], True, 1) == (facts["removed"], facts["new_root"], facts["due"])
    assert f"{TOKEN}\n" == home.run(*OPEN).stdout
    elsewhere = {"MCPVAULT_STATE_DIR": str(home.home / "elsewhere"), "MCPVAULT_KEY_FILE": "cron.key"}
    assert f"mcpvault trust {facts['root']}" in home.run(*OPEN, code=6, **elsewhere).stderr
    home.run("trust", facts["root"], **elsewhere)
    assert f"{TOKEN}\n" == home.run(*OPEN, **elsewhere).stdout


def test_what_is_refused(home: Home) -> None:
    """The own slot, one that is not there, and a reader's key, each before anybody is asked."""
    for words, said in (
        (("slots", "remove", "me"), "another admin removes it"),
        (("slots", "remove", "crom"), "did you mean 'cron'"),
        (("slots", "role", "me", "reader"), "another admin changes its role"),
        (("slots", "reseal", "crom", "--new-key-file", "k", "--yes"), "did you mean 'cron'"),
    ):
        assert said in home.run(*words, code=8).stderr
    assert "--new-key-file" in home.run("slots", "reseal", "cron", code=2).stderr
    assert not (home.home / "k").exists()
    assert "is a reader's" in by_cron(home, "rekey", code=8)


def test_roles(home: Home) -> None:
    """A reader that is made an admin changes the vault; made a reader again it only opens it, under a new root."""
    assert "made cron an admin\n" == home.run("slots", "role", "cron", "admin", "--yes").stdout
    by_cron(home, "set", "demo", "note", "by cron")
    done = home.run("slots", "role", "cron", "reader", "--yes")

    assert "made cron a reader\n" == done.stdout
    assert "has a new root" in done.stderr
    assert "is a reader's" in by_cron(home, "set", "demo", "note", "again", code=8)


def test_a_slot_gets_a_new_key(home: Home) -> None:
    """The old key file opens nothing more, the new one does; nothing is written in a dry run."""
    words = ("slots", "reseal", "cron", "--new-key-file", "new.key", "--yes")
    home.run(*words, "--dry-run")
    assert not (home.home / "new.key").exists()
    done = home.run(*words)

    assert "slot cron: another key\n" == done.stdout
    assert "mcpvault rekey" in done.stderr
    by_cron(home, *OPEN, code=6)
    (home.home / "new.key").rename(home.home / "cron.key")
    assert TOKEN in by_cron(home, *OPEN)


def test_a_compromised_key(home: Home) -> None:
    """Nothing of the old key is kept, and the value says why it is due."""
    home.run("rekey", "--yes")
    done = home.run("rekey", "--compromised", "--yes")

    assert "1 sealed value is due now" in done.stderr
    assert "retired" not in head(home)
    [version] = tomllib.loads(home.vault.read_text())["servers"]["demo"]["auth"]["token"]
    assert "key compromised" == version["due"]


def test_there_is_nothing_to_migrate(home: Home) -> None:
    """One format so far; said, and with ``--json`` too."""
    assert "nothing to migrate: the vault has format 1, the newest\n" == home.run("migrate").stdout
    assert {"format": 1, "current": 1, "migrated": False, "dry_run": True} == json.loads(
        home.run("migrate", "--dry-run", "--json").stdout
    )


def test_the_audit_log_stays_whole(home: Home) -> None:
    """Lines from before a rekey, and from a process that still holds the old key after it, are vouched for."""
    old = home.open()
    home.run(*OPEN)
    home.run("rekey", "--yes")
    old.resolve("demo")

    assert home.run("audit", "verify").stdout.startswith("whole: ")
