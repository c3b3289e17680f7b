"""Files that are no vault, or an odd one: one clear line, and never a byte of them changed."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from house import LONGEST, TOKEN, Home, new_vault


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


ENTRY = b'\n[servers.odd]\nurl = "https://odd.example.com/mcp"\n'
FILES = [
    (6, "this file is no vault", b""),
    (6, "line 1", b"vault = [toml\n"),
    (6, "byte order mark", b"\xef\xbb\xbf"),
    (6, "UTF-8", b"\xff\xfe[vault]\n"),
    (6, "line 1", b"\x00" * 100),
    (6, "line 1", b"age-encryption.org/v1\n"),
    (6, "vault.format", b"[vault]\nformat = 2\n"),
    (6, "missing", b"[servers.x]\nurl = 'https://x.example/'\n"),
]


@pytest.mark.parametrize(("code", "says", "data"), FILES, ids=lambda value: str(value)[:24])
def test_a_file_that_is_no_vault(home: Home, code: int, says: str, data: bytes) -> None:
    """Verbs with and without a key say the same: the file, the place in it, and what was expected."""
    text = data + home.vault.read_bytes() if data == b"\xef\xbb\xbf" else data
    home.vault.write_bytes(text)

    told = {home.refused(*words, code=code) for words in (("list",), ("get", "demo"), ("set", "demo", "note", "x"))}

    assert 1 == len(told)
    assert (says in str(told), str(home.vault) in str(told)) == (True, True), told


ODD = [
    (6, "did you mean 'url'?", b'\n[servers.odd]\nurll = "https://odd.example.com/"\n'),
    (6, "unknown key", ENTRY + b"password = 'x'\n"),
    (6, "an entry's name", b"\n[servers.'o.dd']\nurl = 'https://odd.example.com/'\n"),
    (6, "differs only in case", b"\n[servers.DEMO]\nurl = 'https://odd.example.com/'\n"),
    (8, "auth.token", ENTRY + b"auth = { kind = 'bearer', token = 'in-the-clear' }\n"),
    (8, "headers.Authorization", ENTRY + b"headers = { Authorization = 'Bearer in-the-clear' }\n"),
    (8, "query", b"\n[servers.odd]\nurl = 'https://odd.example.com/?token=in-the-clear'\n"),
    (6, "control character", ENTRY + b'note = "\\u001b[2J"\n'),
    (6, "line ", ENTRY * 2),
]


@pytest.mark.parametrize(("code", "says", "added"), ODD, ids=lambda value: str(value)[:24])
def test_a_hand_edit_that_makes_no_sense(home: Home, code: int, says: str, added: bytes) -> None:
    """The field and its line are named; a literal secret is exit 8, never quoted, and not signed either."""
    home.vault.write_bytes(home.vault.read_bytes() + added)

    for words in (("list",), ("get", "demo"), ("sign", "--yes")):
        said = home.refused(*words, code=code)
        assert (says in said, "in-the-clear" in said, "\x1b" in said) == (True, False, False), said


def test_a_huge_file_is_not_read(home: Home) -> None:
    """A file that no vault can be is refused by its size."""
    os.truncate(home.vault, 17 * 1024 * 1024)

    assert "no vault is" in home.run("list", code=6).stderr


def test_a_long_vault_is_fast_and_whole(home: Home) -> None:
    """A thousand entries are listed, and one of them changes alone."""
    with home.open().change() as change:
        for number in range(1000):
            change.add_server(f"server-{number}", {"url": f"https://host-{number}.example.com/mcp"})
    before = home.vault.read_text().splitlines()

    assert 1001 == len(home.run("list").stdout.splitlines())
    home.run("set", "server-500", "note", "x")
    assert 4 == len(set(home.vault.read_text().splitlines()) - set(before))


def test_carriage_returns_and_comments_are_kept(home: Home) -> None:
    """A vault from Windows opens as it is; a change keeps its line ends, comments and order."""
    text = (
        home.vault.read_bytes()
        .replace(b"[servers.demo]\n", b"# ours\n[servers.demo]  # live\n")
        .replace(b"\n", b"\r\n")
    )
    home.vault.write_bytes(text)

    home.run("set", "demo", "note", "x")
    home.run("add", "second", "https://s.example.com/mcp", "--bearer-stdin", stdin=TOKEN)
    home.run("remove", "second", "--yes")

    after = home.vault.read_bytes()
    assert after.count(b"\n") == after.count(b"\r\n")
    assert [b"# ours", b"[servers.demo]  # live"] == [line for line in after.split(b"\r\n") if b"#" in line]
    assert "x\n" == home.run("get", "demo", "note").stdout


def test_a_linked_vault_stays_a_link(home: Home) -> None:
    """A file that a dotfile tool has linked is changed where it lies."""
    real = home.home / "dotfiles" / "vault.toml"
    real.parent.mkdir()
    home.vault.rename(real)
    home.vault.symlink_to(real)

    home.run("set", "demo", "note", "x")

    assert home.vault.is_symlink()
    assert "x" == tomllib.loads(real.read_text())["servers"]["demo"]["note"]


def test_the_mode_is_kept(home: Home) -> None:
    """A vault that its group reads stays so after a change; a new one is private."""
    home.vault.chmod(0o640)
    home.run("set", "demo", "note", "x")

    assert 0o640 == home.vault.stat().st_mode & 0o777


def test_a_vault_that_others_can_write_is_warned_of(home: Home) -> None:
    """It opens, because its signature is what counts; the warning has the command that mends it."""
    home.vault.chmod(0o666)
    done = home.run("get", "demo", "url", "--json")

    assert {"url": "https://mcp.example.com/mcp"} == json.loads(done.stdout)
    assert (True, 1) == (f"chmod go-w {home.vault}" in done.stderr, len(done.stderr.splitlines()))


def test_writers_at_work_wait_for_each_other(home: Home) -> None:
    """Two changes at once: one after the other, or exit 7; never half of each."""
    commands = [home.command(("add", f"s{number}", "https://s.example.com/mcp"), {}) for number in range(6)]
    running = [
        subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE) for words, env in commands
    ]
    codes = []
    for process in running:
        process.communicate(timeout=LONGEST)
        codes.append(process.returncode)

    assert {0} <= {*codes} <= {0, 7}
    added = {line.split("\t")[0] for line in home.run("list").stdout.splitlines()} - {"demo"}
    assert {f"s{number}" for number, code in enumerate(codes) if code == 0} == added
    home.run("get", "demo")
