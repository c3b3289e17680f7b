"""``listen``: changes at a server, a line each, for programs that wait for them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished, home_env

URI = "fake://text/greeting"
UPDATED, TOOLS = "notifications/resources/updated", "notifications/tools/list_changed"


@pytest.fixture(params=["modern", "legacy"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and a server of either era that tells of changes."""
    with furnished(tmp_path, era=request.param, interactive=True) as made:
        yield made


def listening(house: House, *words: str) -> subprocess.Popen[str]:
    """Start ``mcpvault listen demo`` and return when the server agreed."""
    command = [sys.executable, "-m", "mcpvault", "listen", "demo", *words]
    child = subprocess.Popen(command, env=home_env(house.home), stdout=subprocess.PIPE, text=True)
    streams = house.server.streams
    assert streams is not None
    wants_uri = URI in words

    def ready() -> object:
        return streams.listening or (streams.standing and (not wants_uri or streams.subscribed))

    ends = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.01)
    return child


def test_changes_are_lines_as_they_happen(house: House) -> None:
    """A reader of the pipe has each line at once, and ``--count`` ends it well."""
    streams = house.server.streams
    assert streams is not None
    with listening(house, URI, "--tools", "--count", "2") as child:
        assert child.stdout is not None
        streams.change(UPDATED, {"uri": URI})
        assert f"{URI}\n" == child.stdout.readline()
        streams.change("notifications/prompts/list_changed", {})
        streams.change(TOOLS, {})
        assert "tools\n" == child.stdout.read()
        assert 0 == child.wait(20)


def test_what_the_server_declines_is_said(tmp_path: Path) -> None:
    """A part of it is a warning; where nothing is left to wait for, the run ends (exit 5)."""
    with furnished(tmp_path, interactive=True) as made:
        streams = made.server.streams
        assert streams is not None
        streams.declines = {"toolsListChanged", "resourceSubscriptions"}
        some = made.run("listen", "demo", URI, "--tools", "--prompts", "--timeout", "0.5")
        nothing = made.run("listen", "demo", URI, "--tools", code=5)

    told = "demo: the server does not tell of changes of tools, fake://text/greeting\n"
    assert ("", f"mcpvault: warning: {told}") == (some.stdout, some.stderr)
    assert ("", f"mcpvault: error: {told}") == (nothing.stdout, nothing.stderr)


def test_json_lines(house: House) -> None:
    """``--json`` is an object a line; without names all lists are listened for."""
    streams = house.server.streams
    assert streams is not None
    with listening(house, "--json", "--count", "1") as child:
        streams.change(TOOLS, {})
        assert child.stdout is not None
        assert {"changed": "tools", "missed": False} == json.loads(child.stdout.read())


def test_the_time_ends_it_well(house: House) -> None:
    """Nothing changed: exit 0 and nothing printed."""
    assert "" == house.run("listen", "demo", "--timeout", "0.3").stdout
