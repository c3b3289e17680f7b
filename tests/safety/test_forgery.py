"""
What an attacker who can write the vault file, but holds no key of it, can do: nothing that is believed.

Each attack is made on the files, and answered by the real command line: one error line, a hint at most, the
exit code that says what to do, the file as the attacker left it, and no secret in what is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from storm_home import NEW, OLD, URL, Home, furnish

TAMPERED, CONFIGURATION = 6, 8
EVIL = "https://evil.example.net/mcp"
SEALED = re.compile(r'^sealed = "(.*)"$', re.MULTILINE)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make a home with a vault, once."""
    return furnish(tmp_path_factory.mktemp("forgery") / "home")


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")


def reads_are_refused(home: Home, code: int = TAMPERED) -> str:
    """Check that neither an entry nor a secret is given out, and that nothing is written; return what is said."""
    home.refused("get", "demo", "auth.token", "--reveal", code=code)
    home.refused("set", "demo", "note", "mine", code=code)
    return home.refused("get", "demo", code=code)


def swapped(text: str) -> str:
    """Swap the first two sealed values."""
    first, second = SEALED.findall(text)[:2]
    return text.replace(first, "\0").replace(second, first).replace("\0", second)


def copied(text: str) -> str:
    """Put the first sealed value in place of the second."""
    first, second = SEALED.findall(text)[:2]
    return text.replace(second, first)


def referring(text: str) -> str:
    """Put a reference in place of the first secret."""
    return re.sub(r"(?s)\[\[servers.demo.auth.token\]\].*?\n\n", 'token = "${env:A}"\n\n', text)


def blank(name: str, size: int) -> Callable[[str], str]:
    """Return what overwrites a value of the header with zero bytes."""
    return lambda text: re.sub(rf'^{name} = ".*"$', f'{name} = "{"A" * size}"', text, count=1, flags=re.MULTILINE)


def without(name: str) -> Callable[[str], str]:
    """Return what drops a line of the header or of the first slot."""
    return lambda text: re.sub(rf"^{name} = .*\n", "", text, count=1, flags=re.MULTILINE)


def exchange(old: str, new: str) -> Callable[[str], str]:
    """Return what replaces text everywhere."""
    return lambda text: text.replace(old, new)


# What an attacker writes, and whether the hint is to sign, where it was no attack.
EDITS: dict[str, tuple[Callable[[str], str], bool]] = {
    "retarget the url": (exchange(URL, EVIL), True),
    "retarget the url and the binding": (exchange("mcp.example.com", "evil.example.net"), True),
    "another path": (exchange(URL, URL + "/other"), True),
    "change a note": (exchange('"first"', '"second"'), True),
    "add an entry": (lambda text: f'{text}\n[servers.evil]\nurl = "{EVIL}"\n', True),
    "add a header": (exchange(f'url = "{URL}"\n', f'url = "{URL}"\nheaders = {{ X-A = "b" }}\n'), True),
    "rename an entry": (exchange("servers.spare", "servers.other"), True),
    "remove an entry": (lambda text: text[: text.index("[servers.files")], True),
    "approve a command": (exchange("approved = false", "approved = true"), True),
    "other arguments": (exchange('"files",', '"evil",'), True),
    "allow commands": (exchange("epoch = 1\n", "epoch = 1\nallow_commands = true\n"), True),
    "a reference for a secret": (referring, True),
    "swap sealed values": (swapped, True),
    "copy a sealed value": (copied, True),
    "a higher serial": (exchange("serial = 4\n", "serial = 5\n"), True),
    "a zero MAC": (blank("mac", 43), True),
    "a zero signature": (blank("sig", 86), True),
    "no MAC": (without("mac"), False),
    "no signature": (without("sig"), False),
    "no pin": (without("pin"), False),
    "another root": (blank("root", 43), False),
    "another box": (blank("box", 107), False),
    "another epoch": (exchange("epoch = 1\n", "epoch = 2\n"), False),
    "a reader's slot": (exchange('role = "admin"', 'role = "reader"'), False),
    "another format": (exchange("format = 1\n", "format = 2\n"), False),
    "a name twice, but for case": (exchange("[servers.spare", "[servers.Demo"), False),
    "a name with a Cyrillic letter": (exchange("[servers.demo", '[servers."dеmo"'), False),
    "an unknown key": (exchange('note = "first"', 'notes = "first"'), False),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edit_is_refused(home: Home, name: str) -> None:
    """A file that differs from what was signed opens for nobody (exit 6)."""
    edit, sign = EDITS[name]
    home.rewrite(edit)

    said = reads_are_refused(home)

    assert sign == ("mcpvault sign" in said), said


def test_comments_and_line_ends_are_no_edit(home: Home) -> None:
    """Comments, empty lines and CRLF are not authenticated: the vault opens as before."""
    home.rewrite(lambda text: ("# a comment\n\n" + text).replace("\n", "\r\n"))

    assert OLD == home.reveal("demo")


# Signing does not make an attack good


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("retarget the url", CONFIGURATION),
        ("retarget the url and the binding", TAMPERED),
        ("other arguments", TAMPERED),
        ("swap sealed values", TAMPERED),
        ("copy a sealed value", TAMPERED),
        ("rename an entry", TAMPERED),
    ],
)
def test_sign_refuses_values_that_are_not_for_where_they_stand(home: Home, name: str, code: int) -> None:
    """``sign --yes`` refuses the file of an attack that would send a sealed value elsewhere."""
    home.rewrite(EDITS[name][0])

    home.refused("sign", "--yes", code=code)

    reads_are_refused(home)


def test_sign_names_both_origins(home: Home) -> None:
    """The refusal names the origin that a value is sealed for and the one that the entry names now."""
    home.rewrite(EDITS["retarget the url"][0])

    said = home.refused("sign", "--yes", code=CONFIGURATION)

    assert "'https://mcp.example.com:443'" in said
    assert "'https://evil.example.net:443'" in said


def test_sign_does_not_believe_a_forged_previous_generation(home: Home) -> None:
    """A ``.prev`` file that already holds the attacker's entry does not hide it from who signs."""
    home.rewrite(EDITS["add an entry"][0])
    home.vault.with_name("vault.toml.prev").write_bytes(home.vault.read_bytes())

    said = home.run("sign", "--dry-run").stderr

    assert f"servers.evil.url = '{EVIL}'" in said


def test_sign_needs_somebody_to_say_yes(home: Home) -> None:
    """Without a terminal and without ``--yes`` nothing is signed."""
    home.rewrite(EDITS["another path"][0])

    home.refused("sign", code=2)


# Whole files


def test_a_vault_minted_for_a_known_public_key_is_refused(tmp_path: Path, home: Home) -> None:
    """Anybody can make a slot for a host whose public key he knows; without a pin or trust it opens nothing."""
    host, attacker = Home(tmp_path / "host"), furnish(tmp_path / "attacker")
    host.path.mkdir(mode=0o700)
    public = host.fact("slots", "keygen", "host.key")["public"]
    key = {"MCPVAULT_KEY_FILE": str(host.path / "host.key")}
    root = home.fact("slots", "add", "web", "--recipient", public)["root"]
    host.folder.mkdir(parents=True)
    host.vault.write_bytes(home.bytes or b"")
    host.refused("get", "demo", code=TAMPERED, env=key)
    host.run("trust", root)
    assert OLD == host.run("get", "demo", "auth.token", "--reveal", env=key).stdout.strip()

    attacker.run("slots", "add", "web", "--recipient", public)
    minted = attacker.bytes or b""
    for forged in (minted, minted.replace(attacker.tree["vault"]["id"].encode(), home.tree["vault"]["id"].encode())):
        host.vault.write_bytes(forged)
        said = host.refused("get", "demo", code=TAMPERED, env=key)
        assert "ask an admin for the fingerprint" in said
        said = host.refused("trust", root, code=TAMPERED)
        assert "not the one you were told" in said


def test_another_vault_opens_with_no_key_of_ours(tmp_path: Path, home: Home) -> None:
    """An honest vault of somebody else, in place of ours, is refused: no key of ours is in it."""
    home.vault.write_bytes(furnish(tmp_path / "other").bytes or b"")

    home.refused("get", "demo", code=TAMPERED)
    home.refused("get", "demo", code=TAMPERED, env={"MCPVAULT_KEY_FILE": str(home.key)})


def test_an_older_file_is_refused(home: Home) -> None:
    """A file that was put back, whole and rightly signed, is refused by a host that has seen a newer one."""
    old = home.bytes or b""
    home.run("set", "demo", "auth.token", "--stdin", stdin=NEW)
    home.vault.write_bytes(old)

    said = reads_are_refused(home)

    assert "serial 4, seen here 5" in said
    assert "mcpvault trust --accept" in said


def test_a_fork_is_refused(home: Home, tmp_path: Path) -> None:
    """Two files of one serial: a host that has seen the one refuses the other, although both are signed."""
    other = home.copy(tmp_path / "other")
    home.run("set", "demo", "note", "here")
    other.run("set", "demo", "note", "there")
    home.vault.write_bytes(other.bytes or b"")

    assert "another file of serial 5" in reads_are_refused(home)


def test_an_anchor_of_the_attackers_is_refused(home: Home) -> None:
    """Whoever rolls file and anchor back together cannot make the anchor's tag; a wreck of an anchor is no anchor."""
    anchor = home.state / "anchor.toml"
    whole = anchor.read_text()
    for forged in (re.sub(r"serial = \d+", "serial = 3", whole), "wreck"):
        anchor.write_text(forged)
        assert "anchor" in home.refused("get", "demo", code=TAMPERED)


# Names


@pytest.mark.parametrize("name", ["Demo", "DEMO", "dеmo", "de.mo", "demo ", "-demo", "x" * 65, ""])
def test_an_entry_that_looks_like_another_is_not_added(home: Home, name: str) -> None:
    """Names differ in more than case and are of plain letters, so that nobody takes one for another."""
    home.refused("add", "--note", "x", "--", name, EVIL, code=CONFIGURATION)


# Files that others can reach


def test_a_vault_that_others_can_write_is_warned_of(home: Home) -> None:
    """The vault holds no trust of its own: it opens, and the warning has the command that mends it."""
    home.vault.chmod(0o666)

    done = home.run("get", "demo")

    assert f"mcpvault: warning: {home.vault}: others can write it; run: chmod go-w {home.vault}\n" == done.stderr


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604, 0o660])
def test_a_key_that_others_can_reach_is_refused(home: Home, mode: int) -> None:
    """A key file must be closed to everybody else; the hint has the command."""
    home.key.chmod(mode)

    assert f"mcpvault: hint: run: chmod 600 {home.key}\n" in reads_are_refused(home, CONFIGURATION)


def test_a_key_in_a_folder_that_others_can_write_is_refused(home: Home) -> None:
    """Who can write the folder can put another key there."""
    home.key.parent.chmod(0o777)

    assert f"mcpvault: hint: run: chmod go-w {home.key.parent}\n" in reads_are_refused(home, CONFIGURATION)


def test_a_link_to_a_key_is_judged_by_its_target(home: Home) -> None:
    """A link is followed, and what it leads to must be private."""
    kept = home.path / "elsewhere"
    home.key.rename(kept)
    link = home.path / ".local/share/mcpvault" / f"{home.tree['vault']['id']}.key"
    link.symlink_to(kept)
    assert OLD == home.reveal("demo")
    kept.chmod(0o644)

    assert f"mcpvault: hint: run: chmod 600 {kept}\n" in reads_are_refused(home, CONFIGURATION)


def test_a_state_folder_that_others_can_read_is_refused(home: Home) -> None:
    """State is private: it will hold tokens, and who writes it decides what this host has seen."""
    home.state.chmod(0o755)

    assert f"mcpvault: hint: run: chmod 700 {home.state}\n" in reads_are_refused(home, CONFIGURATION)


def test_a_state_folder_that_is_a_link_is_refused(home: Home) -> None:
    """A link in place of the state folder could lead anywhere."""
    state = home.state
    state.rename(home.path / "elsewhere")
    state.symlink_to(home.path / "elsewhere")

    assert "expected a folder, not a link" in reads_are_refused(home, CONFIGURATION)
