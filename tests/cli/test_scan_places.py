"""``scan``: what references stand for, what is packed, and what ``--fix`` mends or leaves to a person."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from house import TOKEN, Home, home_env, new_vault
from test_scan_verb import git, places, scanned

VALUES = {"env": "value-of-a-variable-1f", "file": "value-of-a-file-2e", "cred": "value-of-a-credential-3d"}
LITERAL = "ghp_0aB1cD2eF3gH4iJ5kL6m"


@pytest.fixture
def house(tmp_path: Path) -> Home:
    """A home with a vault that holds a token."""
    return new_vault(tmp_path)


def refer(house: Home) -> dict[str, str]:
    """Give the vault references of every kind that asks nobody; return the variables that a run needs."""
    folder = house.home / "credentials"
    folder.mkdir(mode=0o700)
    for path, value in ((folder / "api", VALUES["cred"]), (house.home / "token", VALUES["file"])):
        path.touch(0o600)
        path.write_text(f"{value}\n")
    with house.open().change() as change:
        references = {"env": "env:API_TOKEN", "file": f"file:{house.home}/token", "cred": "cred:api"}
        for name, reference in {**references, "run": 'cmd:["touch", "ran"]'}.items():
            auth = {"kind": "bearer", "token": f"${{{reference}}}"}
            change.add_server(name, {"url": f"https://{name}.example/", "auth": auth})
        arguments = ["--key", "${env:API_KEY}", "--user", "${env:LOGNAME}"]
        change.add_server("child", {"command": "/opt/x", "args": arguments})
    named = {"API_TOKEN": VALUES["env"], "API_KEY": "another-value-4c", "LOGNAME": "somebody-or-other"}
    return {**named, "CREDENTIALS_DIRECTORY": str(folder)}


def test_what_references_stand_for(house: Home) -> None:
    """Each is told by the field that refers to it; the files that it is in by right show nothing, nothing is run."""
    env = refer(house)
    (house.home / "log").write_text("\n".join([*VALUES.values(), env["API_KEY"], env["LOGNAME"]]))

    told = scanned(house, str(house.home), **env)

    expected = ["env.auth.token", "file.auth.token", "cred.auth.token", "child.args"]
    assert [("log", line, field) for line, field in enumerate(expected, 1)] == places(told)
    assert {"reference"} == {each["stage"] for each in told["found"]}
    assert not (house.home / "ran").exists()
    said = house.run("scan", "log", code=9, **env).stderr
    assert "replace it where env.auth.token refers to" in said
    assert [] == [value for value in VALUES.values() if value in said]


def test_a_variable_may_hold_what_a_reference_looks_for(house: Home) -> None:
    """The same value in another variable, or among the words of a process, is found."""
    env = refer(house)
    value = VALUES["env"]
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", value], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=home_env(house.home) | {"API_TOKEN": value, "OTHER": value},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        child.stdout.readline()
        told = scanned(house, "--processes", **env)
    finally:
        child.kill()
        child.communicate()

    mine = [each["path"] for each in told["found"] if f"process {child.pid} " in each["path"]]
    assert ["word 3", "variable OTHER"] == [place.rpartition(", ")[2] for place in mine]


def test_what_is_packed(house: Home) -> None:
    """A member of an archive is told with its line; so is what git keeps packed, and what cannot be unpacked."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("logs/a.log", f"one\n{TOKEN}\n")
        made.writestr("logs/b.log.gz", gzip.compress(TOKEN.encode()))
        made.writestr("mcp.json", TOKEN)
    folder = house.home / "repository"
    folder.mkdir()
    (folder / "logs.zip").write_bytes(archive.getvalue())
    (folder / "cut.zip").write_bytes(archive.getvalue()[:-40])
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "logs.zip")
    git(folder, "commit", "-qm", "logs")

    told = scanned(house, str(folder), "--fix", "--dry-run")

    members = [("logs/a.log", 2), ("logs/b.log.gz", 1), ("mcp.json", 1)]
    for kind in ("git", "file"):
        mine = [each for each in told["found"] if each["kind"] == kind]
        assert members == [(each["path"].partition("logs.zip!")[2], each["line"]) for each in mine]
    assert ["cut.zip: cannot be unpacked, and was looked through as it is"] == [
        each.rpartition("/")[2] for each in told["unread"]
    ]


def test_codex_is_mended(house: Home) -> None:
    """Its TOML keeps comments and order, a project's file too; a literal that the vault has not is moved in."""
    text = f"""# my settings
model = "o9"  # the best

[mcp_servers.demo]  # tickets
url = "https://mcp.example.com/mcp"
http_headers = {{ Authorization = "Bearer {TOKEN}" }}
enabled = true

[mcp_servers.child]
command = "npx"
args = ["-y", "child"]
env = {{ CHILD_TOKEN = "{LITERAL}" }}

[profiles.fast]
model = "o9-mini"
"""
    file = house.home / "project/.codex/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)

    told = scanned(house, str(file), "--fix", code=0)

    assert {True} == {each["fixed"] for each in told["found"]}
    after = file.read_text()
    assert (TOKEN not in after, LITERAL not in after) == (True, True)
    before, _, _ = text.partition("[mcp_servers.demo]")
    assert after.startswith(before)
    assert after.endswith('[profiles.fast]\nmodel = "o9-mini"\n')
    assert LITERAL == house.open().file.secret("child", "env.CHILD_TOKEN").reveal()


@pytest.mark.parametrize(
    ("name", "text", "step"),
    [
        (".config/goose/config.yaml", "x:\n  envs:\n    T: {}\n", "cmd: mcpvault, args: [stdio, NAME]"),
        (".git-credentials", "https://me:{}@git.example\n", "mcpvault token NAME --format git"),
        (".mcp-auth/mcp-remote-0.1/x_tokens.json", '{{"access_token": "{}"}}', "log out there"),
        (".codex/auth.json", '{{"OPENAI_API_KEY": "{}"}}', "log out there"),
    ],
    ids=["goose", "git", "mcp-remote", "codex"],
)  # fmt: skip
def test_what_a_person_has_to_mend(house: Home, name: str, text: str, step: str) -> None:
    """A file that nothing rewrites stays as it is, is found, and what to do about it is said."""
    file = house.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.format(TOKEN))
    before = file.read_bytes()

    done = house.run("scan", "--clients", "--fix", code=9)

    assert f"mcpvault: warning: {file}: is not rewritten; by hand: " in done.stderr
    assert step in done.stderr
    assert before == file.read_bytes()
    assert TOKEN not in done.stdout + done.stderr


def test_a_json_lookalike_is_left(house: Home) -> None:
    """A file that is no client's is told of and stays."""
    (house.home / "x.json").write_text(json.dumps({"t": TOKEN}))
    assert "holds no MCP servers" in house.run("scan", "x.json", "--fix", code=9).stderr
