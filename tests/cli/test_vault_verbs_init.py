"""``init``: a new vault and its first key, in every form."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from house import END, INTERRUPT, Home

PASSPHRASE = "four-words-that-nobody-says"


@pytest.fixture
def home(home: Path) -> Home:
    """A home without a vault."""
    return Home(home)


def slots(home: Home) -> list[tuple[str, str, str]]:
    """Return id, kind and role of the vault's slots."""
    tables = tomllib.loads(home.vault.read_text())["vault"]["slots"]
    return [(slot["id"], slot["kind"], slot["role"]) for slot in tables]


def test_init_makes_a_vault_and_its_key(home: Home) -> None:
    """Both are private, the key lies outside the vault's folder, and what was made is named."""
    done = home.run("init", USER="ada")

    assert [f"made {home.vault}", f"key: {home.key}"] == done.stdout.splitlines()[:2]
    assert "root: mvr1-" in done.stdout
    assert "back up the key" in done.stderr
    assert {0o600} == {mode for mode, _ in home.files().values()}
    assert [("ada", "raw", "admin")] == slots(home)
    assert home.key.read_text().startswith("mvk1-")
    assert home.key.read_text() not in done.stdout + done.stderr


def test_the_new_vault_opens_at_once(home: Home) -> None:
    """After ``init`` no variable has to be set for a change."""
    home.run("init")
    home.run("add", "linear", "https://mcp.linear.app/mcp", "--bearer-env", "LINEAR_TOKEN")

    assert "linear\tbearer\thttps://mcp.linear.app/mcp\t\n" == home.run("list").stdout


def test_init_as_json(home: Home) -> None:
    """``--json`` is one document with the vault, its id, the key's place, the slot and the root."""
    facts = json.loads(home.run("init", "--slot", "ops@web-01.x", "--json").stdout)

    assert {"vault": str(home.vault), "id": home.key.stem, "key": str(home.key), "slot": "ops@web-01.x",
            "root": facts["root"], "recovery": False} == facts  # fmt: skip
    assert [("ops@web-01.x", "raw", "admin")] == slots(home)


def test_the_vault_can_be_named(home: Home) -> None:
    """``--vault`` and ``MCPVAULT_FILE`` name another file; the option wins."""
    home.run("init", "--vault", "a/b/one.toml", MCPVAULT_FILE="/nonexistent/x")
    home.run("init", MCPVAULT_FILE=str(home.home / "two.toml"))

    assert (home.home / "a" / "b" / "one.toml").exists()
    assert "" == home.run("list", MCPVAULT_FILE=str(home.home / "two.toml")).stdout
    assert not home.vault.exists()


def test_a_new_key_file_goes_where_it_is_wanted(home: Home) -> None:
    """``--new-key-file`` makes the folders on the way; the key is then named by MCPVAULT_KEY_FILE."""
    path = home.home / "etc" / "mcpvault" / "key"
    home.run("init", "--new-key-file", "etc/mcpvault/key")

    assert 0o600 == path.stat().st_mode & 0o777
    assert "no key at hand" in home.run("get", "x", code=6).stderr
    assert "there is no server 'x'" in home.run("get", "x", code=8, MCPVAULT_KEY_FILE=str(path)).stderr


def test_a_key_beside_the_vault_is_refused(home: Home) -> None:
    """Whoever copied the folder would have both."""
    assert "whoever copies it" in home.refused("init", "--new-key-file", str(home.vault.parent / "key"), code=8)


def test_a_key_file_is_never_overwritten(home: Home) -> None:
    """A file that exists stays as it is, and no vault is made."""
    (home.home / "key").write_text("something else")

    assert "there is a file already" in home.refused("init", "--new-key-file", "key", code=8)


def test_a_vault_is_never_overwritten(home: Home) -> None:
    """A second ``init`` is exit 8 and leaves vault and key alone, whatever kind of key it would make."""
    home.run("init")

    for options in ([], ["--passphrase"], ["--keyring"], ["--new-key-file", "other"], ["--dry-run"]):
        assert "there is a vault already" in home.refused("init", *options, code=8)


def test_a_dangling_link_is_no_place_for_a_vault(home: Home) -> None:
    """A link to nothing counts as a file: what it leads to is not made."""
    home.vault.parent.mkdir(parents=True)
    home.vault.symlink_to(home.home / "elsewhere.toml")

    assert "there is a vault already" in home.refused("init", code=8)


def test_a_dry_run_makes_nothing(home: Home) -> None:
    """It names the places and writes no file."""
    done = home.run("init", "--dry-run")

    assert f"would make {home.vault}" == done.stdout.splitlines()[0]
    assert {} == home.files()


@pytest.mark.parametrize("slot", ["a b", ".hidden", "x" * 65, "naïve", "a\nb"])
def test_a_bad_slot_name_leaves_nothing_behind(home: Home, slot: str) -> None:
    """Neither a vault that nobody could read nor the key of a vault that was never made."""
    assert "expected a slot name" in home.refused("init", "--slot", slot, code=8)
    assert {} == home.files()


def test_the_ways_to_keep_the_key_exclude_each_other(home: Home) -> None:
    """Two of ``--new-key-file``, ``--passphrase`` and ``--keyring`` are a usage error."""
    home.refused("init", "--passphrase", "--keyring", code=2)
    home.refused("init", "--passphrase", "--new-key-file", "x", code=2)


def test_a_passphrase_is_asked_for_twice_and_not_echoed(home: Home) -> None:
    """A passphrase vault is made on a terminal, and opened there; the passphrase is never shown."""
    made = home.talk("init", "--passphrase",
                     answers=[("New passphrase: ", f"{PASSPHRASE}\n"), ("again: ", f"{PASSPHRASE}\n")])  # fmt: skip
    added = home.talk("add", "x", "https://x.example/mcp", answers=[("Passphrase for ", f"{PASSPHRASE}\n")])

    assert "key: your passphrase" in made
    assert "added x" in added
    assert PASSPHRASE not in made + added
    assert [("admin", "passphrase", "admin"), ("recovery", "recovery", "admin")] == slots(home)
    assert [] == [name for name in home.files() if name.endswith(".key")]

    wrong = home.talk("get", "x", answers=[("Passphrase for ", "not that one\n")], code=6)
    assert "mcpvault: error: the key from the prompt opens none of the vault's slots (admin, recovery)" in wrong
    assert "no key at hand" in home.run("get", "x", code=6).stderr


def test_two_passphrases_that_differ_make_nothing(home: Home) -> None:
    """A mistyped passphrase is noticed before there is a vault."""
    said = home.talk(
        "init", "--passphrase", answers=[("New passphrase: ", f"{PASSPHRASE}\n"), ("again: ", "two\n")], code=2
    )

    assert "the two passphrases differ" in said
    assert {} == home.files()


@pytest.mark.parametrize("typed", ["a", "eleven char", "aaaaaaaaaaaaaaaaaaaaaaaa", "abcdabcdabcdabcd"])
def test_a_passphrase_that_can_be_guessed_makes_nothing(home: Home, typed: str) -> None:
    """Too short or too uniform, it is refused before it is asked for again, and not repeated."""
    said = home.talk("init", "--passphrase", answers=[("New passphrase: ", f"{typed}\n")], code=2)

    assert "a passphrase has at least 12 characters, 5 of them different" in said
    assert "again" not in said
    assert {} == home.files()


@pytest.mark.parametrize(("typed", "code"), [(INTERRUPT, 130), (END, 130), ("\n", 2)])
def test_leaving_the_passphrase_prompt_makes_nothing(home: Home, typed: str, code: int) -> None:
    """Ctrl-C, ctrl-D and an empty line end it without a vault."""
    home.talk("init", "--passphrase", answers=[("New passphrase: ", typed)], code=code)

    assert {} == home.files()


def test_a_passphrase_needs_a_terminal(home: Home) -> None:
    """Without one nothing is read from stdin, and the hint says what to do."""
    assert "--new-key-file" in home.refused("init", "--passphrase", code=2, stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert {} == home.files()


def test_a_keyring_keeps_the_key(home: Home) -> None:
    """``--keyring`` puts the key into the OS keyring, and every later run takes it from there."""
    variables = home.keyring()
    facts = json.loads(home.run("init", "--keyring", "--json", **variables).stdout)
    home.run("add", "x", "https://x.example/mcp", **variables)

    [(name, key)] = json.loads((home.home / "keyring.json").read_text()).items()
    assert f"mcpvault/{facts['id']}" == name
    assert [("admin", "keyring", "admin")] == slots(home)
    assert [] == [path for path, (_, data) in home.files().items() if key.encode() in data and path != "keyring.json"]
    assert "no key at hand" in home.run("get", "x", code=6).stderr


def test_without_a_keyring_nothing_is_made(home: Home) -> None:
    """A host that has none says so, and no vault is left without its key."""
    assert "--new-key-file" in home.refused("init", "--keyring", code=8)
    assert {} == home.files()
