"""``trust``: which root this host believes, and which older file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from house import INTERRUPT, TOKEN, Home, new_vault

from mcpvault.vault.slots import HostIdentity, NewSlot


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


@pytest.fixture
def host(home: Home, tmp_path: Path) -> Home:
    """Another host with a copy of the vault, and the key of a reader's slot without a pin."""
    identity = HostIdentity.generate()
    with home.open().change() as change:
        change.add_slot(NewSlot.recipient("web01", identity.public))
    there = Home(tmp_path / "host")
    there.vault.parent.mkdir(parents=True)
    shutil.copy(home.vault, there.vault)
    key = there.home / "host.key"
    key.touch(0o600)
    key.write_text(identity.text.reveal() + "\n")
    return there


KEY = {"MCPVAULT_KEY_FILE": "host.key"}


def root(home: Home) -> str:
    """Return the fingerprint that an admin reads out."""
    return home.open().file.root_fingerprint


def test_a_host_trusts_nothing_on_first_use(home: Home, host: Home) -> None:
    """A slot without a pin opens nothing until somebody vouches for the root by its fingerprint, once."""
    said = host.refused("get", "demo", code=6, **KEY)
    assert f"mcpvault trust {root(home)}" in said

    assert f"trusted {root(home)}\n" == host.run("trust", root(home)).stdout
    assert f"{TOKEN}\n" == host.run("get", "demo", "auth.token", "--reveal", **KEY).stdout


def test_a_systemd_credential_vouches_too(home: Home, host: Home) -> None:
    """``trusted-root`` in the credentials folder is as good, and leaves no mark on the host."""
    credentials = host.home / "creds"
    credentials.mkdir(mode=0o700)
    (credentials / "trusted-root").touch(0o600)
    (credentials / "trusted-root").write_text(root(home) + "\n")
    (host.home / "host.key").rename(credentials / "mcpvault.key")

    host.run("get", "demo", CREDENTIALS_DIRECTORY=str(credentials))
    (credentials / "trusted-root").write_text("mvr1-" + "a" * 32)

    host.run("get", "demo", code=6, CREDENTIALS_DIRECTORY=str(credentials))


@pytest.mark.parametrize(
    ("code", "says", "words"),
    [
        (6, "not the one you were told", ["mvr1-" + "a" * 32]),
        (2, "expected a root fingerprint", ["mvr1-short"]),
        (2, "expected a root fingerprint", ["web01"]),
        (2, "expected either", []),
        (2, "expected either", ["mvr1-" + "a" * 32, "--accept"]),
    ],
)
def test_another_root_is_not_trusted(host: Home, code: int, says: str, words: list[str]) -> None:
    """A fingerprint that is not the file's, or is none, is refused and nothing is recorded."""
    assert says in host.refused("trust", *words, code=code)


def test_trust_as_json(home: Home, host: Home) -> None:
    """``--json`` names the root; ``--dry-run`` compares and records nothing."""
    before = host.files()
    assert {"root": root(home), "dry_run": True} == json.loads(
        host.run("trust", root(home), "--dry-run", "--json").stdout
    )
    assert before == host.files()

    assert {"root": root(home), "dry_run": False} == json.loads(host.run("trust", root(home), "--json").stdout)
    assert {"trusted-roots"} == {Path(name).name for name in host.files().keys() - before.keys()}


def rolled_back(home: Home) -> None:
    """Put an older file back, as a restored backup does."""
    old = home.vault.read_bytes()
    home.run("set", "demo", "note", "newer words")
    home.vault.write_bytes(old)


def test_a_rollback_is_noticed_and_can_be_accepted(home: Home) -> None:
    """Exit 6 names the serials; ``--accept`` shows the difference and asks; then the older file is the one."""
    rolled_back(home)
    said = home.refused("get", "demo", code=6)
    assert ("rolled back" in said, "mcpvault trust --accept" in said) == (True, True)

    before = home.files()
    shown = home.talk("trust", "--accept", answers=[("go on from this file [y/N]: ", "n\n")], code=2)
    home.talk("trust", "--accept", answers=[("go on from this file [y/N]: ", INTERRUPT)], code=130)
    assert "this host has seen serial 3; the file has serial 2" in shown
    assert before == home.files()

    assert "accepted serial 2" in home.talk("trust", "--accept", answers=[("go on from this file [y/N]: ", "y\n")])
    home.run("get", "demo")


def test_without_a_terminal_nothing_is_accepted_by_accident(home: Home) -> None:
    """It ends with exit 2 and the word ``--yes``; ``--dry-run`` and ``--json`` only look."""
    rolled_back(home)
    before = home.files()

    assert "give --yes" in home.run("trust", "--accept", stdin="y\n", code=2).stderr
    dry = home.run("trust", "--accept", "--dry-run", "--json")
    assert {"serial": 2, "dry_run": True} == json.loads(dry.stdout)
    assert before == home.files()

    assert {"serial": 2, "dry_run": False} == json.loads(home.run("trust", "--accept", "--yes", "--json").stdout)
    home.run("get", "demo")


def test_a_fork_is_noticed(home: Home) -> None:
    """Two files of one serial: the one that was not seen here opens only after ``--accept``."""
    old = home.vault.read_bytes()
    home.run("set", "demo", "note", "one way")
    anchor = (home.state / "anchor.toml").read_bytes()
    home.vault.write_bytes(old)
    (home.state / "anchor.toml").unlink()
    home.run("set", "demo", "note", "another way")
    (home.state / "anchor.toml").write_bytes(anchor)

    assert "forked" in home.refused("get", "demo", code=6)
    home.run("trust", "--accept", "--yes")
    assert "another way\n" == home.run("get", "demo", "note").stdout


@pytest.mark.parametrize("damage", [b"not = [toml", b'me = "x"\n', b"\xff"])
def test_a_damaged_anchor_can_be_made_anew(home: Home, damage: bytes) -> None:
    """Nobody can tell what was seen: exit 6, and ``--accept`` mends it."""
    (home.state / "anchor.toml").write_bytes(damage)
    assert "mcpvault trust --accept" in home.refused("get", "demo", code=6)

    home.run("trust", "--accept", "--yes")
    home.run("get", "demo")


def test_a_changed_file_cannot_be_accepted(home: Home) -> None:
    """``--accept`` is about age: what was not signed stays closed."""
    home.vault.write_text(home.vault.read_text().replace("mcp.example.com", "evil.example.com"))

    assert "mcpvault sign" in home.refused("trust", "--accept", "--yes", code=6)
