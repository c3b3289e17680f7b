"""Logins without a terminal: a line of a pipe, or a code, is awaited as long as the login may take."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import LONGEST
from oauth_house import OAuthHouse, address_in, oauth_house

PROMPT = "Paste the address here: "


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


def test_an_open_pipe_is_awaited_until_the_deadline(house: OAuthHouse) -> None:
    """``--timeout`` holds for an address that is to come through a pipe, and comes not: exit 4."""
    command, variables = house.command(("login", "demo", "--method", "paste", "--timeout", "1"), {})
    ours, theirs = os.pipe()
    with os.fdopen(ours), os.fdopen(theirs, "w"):
        done = subprocess.run(
            command, env=variables, cwd=house.home, stdin=ours, capture_output=True, text=True, timeout=LONGEST
        )
    assert (4, True) == (done.returncode, "nothing was pasted: no answer within 1 s" in done.stderr)


def test_addresses_come_through_a_pipe(house: OAuthHouse) -> None:
    """Line by line: what is not for this login is said so, and the next is read."""
    command, variables = house.command(("login", "demo", "--method", "paste", "--timeout", "30"), {})
    with subprocess.Popen(
        command, env=variables, cwd=house.home, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stderr is not None
        assert process.stdin is not None
        shown = "".join(iter(process.stderr.readline, f"{PROMPT}\n"))
        right = house.issuer.follow(address_in(shown))
        other = f"{right.partition('?')[0]}?code=a&state=b"
        process.stdin.write(f"https://example.com/?code=a&state=b\n{other}\n'{right}'\n")
        said = process.stderr.read()
        assert "does not belong to this login" in said
        assert "answers another login" in said
        assert 0 == process.wait(LONGEST)


def test_a_code_that_nobody_enters_is_told_by_name(house: OAuthHouse) -> None:
    """The deadline of a device login says of which server, and what was waited for."""
    house.issuer.policy.device_interval = 1
    done = house.run("login", "demo", "--method", "device", "--timeout", "1.5", code=4)
    assert "demo: nobody has entered the code: no answer within 1.5 s" in done.stderr
    assert re.search(r"Waiting for you, for up to [12] seconds\.\n", done.stderr)


def test_a_refresh_that_fails_names_its_entry_once(house: OAuthHouse) -> None:
    """Messages begin with the entry's name already, and the one that is the error is told once."""
    said = house.run("refresh", "demo", code=3).stderr
    assert "mcpvault: error: demo: nobody has logged in\nmcpvault: hint: run: mcpvault login demo\n" == said
