"""``scan``: the vault's secrets are found where they stand in clear, told by fingerprint, and moved in."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from house import LONGEST, TOKEN, Home, home_env, new_vault
from oauth_house import BROWSER, oauth_house

from mcpvault import Secret

PADDED = 'p/w+of"the=child'


@pytest.fixture
def house(tmp_path: Path) -> Home:
    """A home with a vault that holds a token, and a password of another form."""
    made = new_vault(tmp_path)
    with made.open().change() as change:
        change.add_server("child", {"command": "/opt/x"})
        change.set_secret("child", "env.DB_PASSWORD", Secret(PADDED))
        change.set_secret("child", "env.PIN", Secret("1234"))
    return made


def scanned(home: Home, *words: str, code: int = 9, **env: str) -> dict[str, Any]:
    """Return what ``scan --json`` tells; never a secret."""
    done = home.run("scan", *words, "--json", code=code, **env)
    for secret in (TOKEN, PADDED, home.key.read_text().strip()):
        assert secret not in done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def places(told: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    """Return file name, line and field of what was found."""
    return [(Path(each["path"]).name, each["line"], each["field"]) for each in told["found"]]


def git(folder: Path, *words: str) -> None:
    """Run git in *folder*."""
    who = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, timeout=LONGEST)


def test_files_of_every_kind(house: Home) -> None:
    """Text, JSON, a URL, a rotated log: each with its line; a vault, its key file and a link to a file show nothing."""
    folder = house.home / "logs"
    folder.mkdir()
    (folder / "a.log").write_text(f"one\ntwo Bearer {TOKEN}\nthree {TOKEN}\n")
    (folder / "b.json").write_text(json.dumps({"x": 1, "p": PADDED}, indent=1))
    (folder / "c.txt").write_text(f"\n\nhttps://h/?p={quote(PADDED, safe='')}")
    (folder / "d.log.gz").write_bytes(gzip.compress(b"x\n" * 5 + TOKEN.encode()))
    (folder / "e.log.gz").write_bytes(gzip.compress(os.urandom(5000))[:-20])
    (folder / "f").symlink_to(folder / "a.log")
    (folder / "g").write_text("1234 1234")

    told = scanned(house, str(house.home))

    token, password = ("demo.auth.token", "child.env.DB_PASSWORD")
    assert [
        ("a.log", 2, token), ("a.log", 3, token), ("b.json", 3, password), ("c.txt", 3, password),
        ("d.log.gz", 6, token),
    ] == places(told)  # fmt: skip
    [fingerprint] = [each.fingerprint for each in house.open().file.history("demo")]
    assert {("file", "current", fingerprint, False)} == {
        (each["kind"], each["stage"], each["fingerprint"], each["fixed"])
        for each in told["found"]
        if each["field"] == token
    }
    assert (["child.env.PIN"], 1) == (told["too_short"], len(told["unread"]))


def test_nothing_found_is_success(house: Home) -> None:
    """Exit 0; with lines for other programs the place comes first, and the error names what to rotate."""
    (house.home / "a").write_text("nothing here")
    assert [] == scanned(house, "a", code=0)["found"]

    (house.home / "a").write_text(TOKEN)
    done = house.run("scan", "a", code=9)
    assert f"{house.home / 'a'}:1\tdemo.auth.token\tcurrent\t" == done.stdout[: done.stdout.rindex("\t") + 1]
    assert "mcpvault rotate demo auth.token" in done.stderr


def test_base64_hides_nothing(house: Home) -> None:
    """A Basic header, its password short or not; a Kubernetes Secret; in either alphabet, wherever it begins."""
    with house.open().change() as change:
        for name, password in (("basic", "q?~>~?w-12"), ("short", "pw-1")):
            change.add_server(name, {"url": "https://b.example/mcp", "auth": {"kind": "basic", "username": "alice"}})
            change.set_secret(name, "auth.password", Secret(password))
    lines = [f"Basic {b64encode(each.encode()).decode()}" for each in ("alice:q?~>~?w-12", "alice:pw-1")]
    lines += [f"token: {encode((before + TOKEN + chr(10)).encode()).decode()}"
              for before in ("", "x", "xy", "xyz") for encode in (b64encode, urlsafe_b64encode)]  # fmt: skip
    lines.append(urlsafe_b64encode(b"??q?~>~?w-12??").decode())
    (house.home / "req.log").write_text("".join(f"{line}\n" for line in lines))

    told = scanned(house, str(house.home / "req.log"))

    assert [
        (1, "basic.auth.password"), (2, "short.auth.password"), *((line, "demo.auth.token") for line in range(3, 11)),
        (11, "basic.auth.password"),
    ] == [(line, field) for _, line, field in places(told)]  # fmt: skip
    assert ["child.env.PIN"] == told["too_short"]


def test_what_git_keeps(house: Home) -> None:
    """A secret that a later commit took away, one in a message, and one that no branch leads to any more."""
    folder = house.home / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "deploy.sh").write_text(f"#!/bin/sh\nexport T={TOKEN}\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "deploy")
    (folder / "deploy.sh").write_text("#!/bin/sh\n")
    git(folder, "commit", "-qam", f"do not use {PADDED}")
    (folder / "lost").write_text(f"{TOKEN} lost\n")
    git(folder, "add", "lost")
    git(folder, "rm", "-qf", "lost")
    git(folder, "config", "core.fsmonitor", f"touch {house.home / 'ran'}")

    told = scanned(house, str(house.home))

    found = sorted(
        (each["path"].rpartition(":")[2], each["line"], each["field"])
        for each in told["found"]
        if each["kind"] == "git"
    )
    kept = {Path(each["path"]).name for each in told["found"] if each["kind"] == "file"}
    assert {"COMMIT_EDITMSG", "HEAD", "main"} == kept  # the message again, in git's own logs
    assert ("deploy.sh", 2, "demo.auth.token") == found[-1]
    assert {"demo.auth.token", "child.env.DB_PASSWORD"} == {field for _, _, field in found[:-1]}
    assert 3 == len(found)
    assert not (house.home / "ran").exists()
    assert {"file"} == {each["kind"] for each in scanned(house, str(folder), "--no-history")["found"]}


def test_a_process_and_a_history(house: Home) -> None:
    """Without words: what was typed, and the environment and words of a process, by variable and number."""
    (house.home / ".bash_history").write_text(f"ls\ncurl -H 'Authorization: Bearer {TOKEN}' https://h\n")
    # The child says a line when it runs: before that, /proc shows the environment of the program that forked it.
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", TOKEN], env=home_env(house.home) | {"LEAKED": TOKEN},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        child.stdout.readline()
        told = scanned(house)
    finally:
        child.kill()
        child.communicate()

    mine = [each["path"] for each in told["found"] if f"process {child.pid} " in each["path"]]
    assert ["word 3", "variable LEAKED"] == [place.rpartition(", ")[2] for place in mine]
    assert (".bash_history", 2, "demo.auth.token") in places(told)


def test_clients_files_are_moved_in(house: Home) -> None:
    """A secret that the vault has and one that it has not: both go, the file asks the vault, and nothing is found."""
    file = house.home / ".cursor/mcp.json"
    file.parent.mkdir()
    servers = {
        "demo": {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": f"Bearer {TOKEN}"}},
        "new": {"url": "https://new.example.com/mcp", "headers": {"Authorization": "Bearer ghp_0aB1cD2eF3gH4iJ5kL6m"}},
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    before = file.read_bytes()

    found = scanned(house, "--clients")["found"]
    assert [("file", "demo.auth.token"), ("literal", "new.auth.token")] == [
        (each["kind"], each["field"]) for each in found
    ]
    scanned(house, "--clients", "--fix", "--dry-run")
    assert before == file.read_bytes()

    told = scanned(house, "--clients", "--fix", code=0)

    assert {True} == {each["fixed"] for each in told["found"]}
    moved = json.loads(file.read_text())["mcpServers"]
    assert [["stdio", "demo"], ["stdio", "new"]] == [moved[name]["args"] for name in ("demo", "new")]
    assert "ghp_0aB1cD2eF3gH4iJ5kL6m" == house.open().token("new").reveal()
    assert [] == scanned(house, "--clients", code=0)["found"]


def test_what_moving_leaves_behind_is_still_found(house: Home) -> None:
    """The file is looked at again: elsewhere in it and in a comment the token stays, is told by line, and is exit 9."""
    entry = {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": f"Bearer {TOKEN}"}}
    elsewhere, comment = house.home / ".cursor/mcp.json", house.home / ".vscode/mcp.json"
    for file in (elsewhere, comment):
        file.parent.mkdir()
    elsewhere.write_text(json.dumps({"mcpServers": {"demo": entry}, "backup": {"old": TOKEN}}, indent=1))
    comment.write_text(json.dumps({"servers": {"demo": entry}}, indent=1) + f"\n// was {TOKEN}\n")

    done = house.run("scan", "--clients", "--fix", code=9)

    assert [1, 1] == [file.read_text().count(TOKEN) for file in (elsewhere, comment)]
    assert 2 == done.stderr.count("its servers were moved; demo.auth.token still stands there in clear")
    assert "demo.auth.token in 2 places" in done.stderr
    assert "into the vault" not in done.stderr
    assert {False} == {each["fixed"] for each in scanned(house, "--clients", "--fix")["found"]}


def test_fixing_tells_what_is_to_be_done(house: Home) -> None:
    """A command that was moved waits for approval: without a word its client would end with exit 8."""
    file = house.home / ".cursor/mcp.json"
    file.parent.mkdir()
    tool = {"command": "tool", "args": ["--token", "ghp_0aB1cD2eF3gH4iJ5kL6m"], "x": 1.5}
    file.write_text(json.dumps({"mcpServers": {"tool": tool}}))

    done = house.run("scan", "--clients", "--fix")

    for said in ("mcpvault approve tool", "tool: to do: args[1]: held a secret", "tool: x: means nothing to mcpvault"):
        assert said in done.stderr
    assert ["stdio", "tool"] == json.loads(file.read_text())["mcpServers"]["tool"]["args"]


def test_a_file_that_is_never_rewritten_stays_found(house: Home) -> None:
    """``~/.claude.json`` is left alone, with what to do by hand, and the exit code stays 9."""
    file = house.home / ".claude.json"
    entry = {"type": "http", "url": "https://mcp.example.com/mcp", "headers": {"Authorization": f"Bearer {TOKEN}"}}
    file.write_text(json.dumps({"mcpServers": {"demo": entry}}))

    done = house.run("scan", "--clients", "--fix", code=9)

    assert "claude mcp add NAME -- mcpvault stdio NAME" in done.stderr
    assert TOKEN in file.read_text()


def test_tokens_of_a_login_and_the_key(tmp_path: Path) -> None:
    """What a login brought is looked for, and the vault's own key; what was found is in the audit log."""
    with oauth_house(tmp_path) as house:
        house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
        tokens = house.open().authorization("demo").tokens()
        assert tokens is not None
        assert tokens.refresh_token is not None
        (house.home / "x").write_text(
            f"{tokens.refresh_token.reveal()}\n{tokens.access_token.reveal()}\n{house.key.read_text()}"
        )

        told = json.loads(house.run("scan", "x", "--json", code=9).stdout)

        fields = {1: "demo.refresh_token", 2: "demo.access_token", 3: "vault.key"}
        assert fields == {each["line"]: each["field"] for each in told["found"]}
        [event] = json.loads(house.run("audit", "show", "--event", "scan", "--json").stdout)
        assert (3, {*fields.values()}) == (event["places"], {*event["fp"]})
