"""``explain``: what a call would do now, told without doing any of it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import TOKEN, House, furnished
from oauth_house import oauth_house

from mcpvault import Secret

ENV = {"TEAM": "value-of-the-team-4411", "HTTPS_PROXY": "http://me:proxy-password-77@127.0.0.1:{port}"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home whose vault has references of several kinds, and commands that leave a mark when they are run."""
    with furnished(tmp_path) as made:
        mark = [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w').write('x')"]
        with made.open().change() as change:
            change.set_plain("demo", "headers.X-Team", "${env:TEAM}")
            change.set_plain("demo", "headers.X-Zone", "${env:ZONE:-north}")
            change.add_server("far", {"url": "https://far.example/mcp?team=${env:TEAM}"})
            change.add_server("child", {"command": mark[0], "args": mark[1:], "approved": False})
            change.set_secret("child", "env.DB_PASSWORD", Secret("password-of-the-child"))
            change.add_server("told", {"url": "https://told.example/mcp", "auth": {"kind": "bearer"}})
            change.set_plain("told", "auth.token", "${cmd:" + json.dumps(mark) + "}")
        yield made


def told(house: House, name: str, **env: str) -> dict[str, Any]:
    """Return what is told of an entry."""
    found: dict[str, Any] = json.loads(house.run("explain", name, "--json", **env).stdout)
    return found


def test_nothing_is_sent_started_or_run(house: House) -> None:
    """No server, no proxy and no command notices: not for HTTP, not for stdio, not for ``${cmd:}``."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        env = {name: text.replace("{port}", str(proxy.getsockname()[1])) for name, text in ENV.items()}
        for name in ("demo", "far", "child", "told"):
            house.run("explain", name, **env)
            house.run("explain", name, "--json", **env)
        with pytest.raises(BlockingIOError):
            proxy.accept()

    assert ([], False) == (house.server.requests, (house.home / "ran").exists())


def test_no_value_is_told(house: House) -> None:
    """References are told by their names and seals by their versions: what they hold is nowhere, proxies included."""
    shown = [
        house.run("explain", name, *form, **ENV).stdout
        for name in ("demo", "far", "child", "told")
        for form in ((), ("--json",))
    ]

    values = (TOKEN, ENV["TEAM"], "proxy-password-77", "password-of-the-child", house.key.read_text().strip())
    assert [] == [value for value in values for text in shown if value in text]


def test_what_an_http_entry_would_do(house: House) -> None:
    """Vault, key, slot, origin, headers, references, seals, limits: each is told, and what would fail with its code."""
    found = told(house, "demo")

    assert (str(house.vault), str(house.key), "me", "admin") == (
        *(found["vault"]["path"], found["key"]["source"], found["key"]["slot"], found["key"]["role"]),
    )
    assert house.server.url == found["origin"] + "/mcp" == found["url"]
    assert ["Authorization", "X-Team", "X-Zone"] == [each["name"] for each in found["headers"]]
    assert [("${env:TEAM}", "is not set"), ("${env:ZONE:-north}", "is not set, so its default is used")] == [
        (each["reference"], each["standing"]) for each in found["references"]
    ]
    [sealed] = found["sealed"]
    assert ("auth.token", 1, "opens") == (sealed["field"], sealed["version"], sealed["standing"])
    assert ({"connect": 10, "read": 60, "total": 300}, 2) == (found["timeout"], found["retries"])
    assert ("bearer", "static") == (found["credential"]["auth"], found["credential"]["state"])
    assert [(8, True)] == [(each["code"], "${env:TEAM}" in each["message"]) for each in found["problems"]]
    assert [] == told(house, "demo", TEAM="a")["problems"]


def test_the_key_is_told_by_its_source(house: House) -> None:
    """Where the key came from is told as it was found: here by the variable that names its file."""
    assert "MCPVAULT_KEY_FILE" == told(house, "demo", MCPVAULT_KEY_FILE=str(house.key))["key"]["source"]


def test_proxy_and_tls(house: House) -> None:
    """A proxy is told by host and port and by who names it; https by its least version and its authorities."""
    found = told(house, "far", TEAM="a", HTTPS_PROXY="http://me:pw@proxy.example:3128")

    assert {"via": "http://proxy.example:3128", "from": "the environment"} == found["proxy"]
    assert ("1.2", None) == (found["tls"]["minimum"], found["tls"]["ca_file"])
    assert [8] == [each["code"] for each in told(house, "far", TEAM="a", HTTPS_PROXY="socks5://x")["problems"]]


def test_the_era_is_told_as_it_is_remembered(house: House) -> None:
    """Before the first call the era has to be asked for; afterwards the call itself is the first request."""
    assert (None, ["server/discover"]) == ((era := told(house, "demo")["protocol"])["remembered"], era["first"])

    house.run("tools", "demo", TEAM="a")

    assert ("modern", []) == ((era := told(house, "demo", TEAM="a")["protocol"])["remembered"], era["first"])


def test_what_a_stdio_entry_would_do(house: House) -> None:
    """The whole command line, the program, the names of its variables, and that somebody has to approve it first."""
    found = told(house, "child", LC_ALL="C.UTF-8", MCPVAULT_DEBUG="x")

    assert ([sys.executable, "-c"], sys.executable) == (found["command"][:2], found["program"])
    assert (["DB_PASSWORD"], ["HOME", "LANG", "LC_ALL", "PATH"]) == (found["env"]["given"], found["env"]["inherited"])
    assert [(8, "not_approved", "run: mcpvault approve child")] == [
        (each["code"], each["kind"], each["hint"]) for each in found["problems"]
    ]
    assert "to look at its command: mcpvault approve child" in found["asks"]


def test_a_command_that_is_not_allowed_is_a_problem(house: House) -> None:
    """A ``${cmd:}`` is told and not run, and that the vault does not allow it."""
    [reference], [problem] = (found := told(house, "told"))["references"], found["problems"]

    assert ("auth.token", "is not allowed in this vault", 8) == (
        *(reference["field"], reference["standing"], problem["code"]),
    )


def test_a_command_that_is_allowed_is_not_run(house: House) -> None:
    """Allowed or not, a ``${cmd:}`` is told and not run; a call runs it."""
    with house.open().change() as change:
        change.set_allow_commands(True)

    [reference] = told(house, "told")["references"]

    assert ("auth.token", False) == (reference["field"], (house.home / "ran").exists())
    house.run("call", "told", "echo", code=8)
    assert (house.home / "ran").exists()


def test_a_grant_is_told_with_who_replaces_it_and_when(tmp_path: Path) -> None:
    """Before a login a person is needed (3); afterwards the token's end is told, and who refreshes it from when."""
    with oauth_house(tmp_path) as house:
        found = told(house, "demo")  # type: ignore[arg-type]
        assert ("pending_auth", [3]) == (found["credential"]["state"], [each["code"] for each in found["problems"]])
        assert "to log in: run: mcpvault login demo" in found["asks"]

        house.log_in()
        before = len(house.server.requests), len(house.issuer.requests)
        found = told(house, "demo")  # type: ignore[arg-type]

        refresh, ends = found["credential"]["refresh"], found["credential"]["expires_at"]
        assert ("ready", []) == (found["credential"]["state"], found["problems"])
        assert (True, True) == ("this host" in refresh["by"], ends - 360 <= refresh["from"] < ends)
        assert before == (len(house.server.requests), len(house.issuer.requests))


def test_people_read_the_same(house: House) -> None:
    """Without ``--json`` each fact is a line, under a heading, and says that nothing was sent."""
    lines = house.run("explain", "demo").stdout.splitlines()

    assert "demo: what a call would do now; nothing was sent" == lines[0]
    assert {f"  pinned to   {house.server.url.removesuffix('/mcp')}: its credential goes nowhere else"} <= {*lines}
    assert "  problem     exit 8: servers.demo.headers.X-Team: ${env:TEAM}: is not set" in lines
