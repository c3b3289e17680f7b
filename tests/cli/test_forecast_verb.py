"""``forecast``: the logins that people owe where a server tells how long a refresh token lives, and the calendar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oauth_house import OAuthHouse, oauth_house

MONTH = 30 * 86_400


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home, and a server whose refresh tokens live a month, and that says so."""
    with oauth_house(tmp_path, refresh_lifetime=MONTH, say_refresh_lifetime="refresh_expires_in") as made:
        made.log_in()
        yield made


def owed(house: OAuthHouse, days: int = 40) -> list[dict[str, Any]]:
    """Return the duties of the next days."""
    return list(json.loads(house.run("forecast", "--days", str(days), "--json").stdout)["duties"])


def status(house: OAuthHouse) -> dict[str, Any]:
    """Return how the entry stands."""
    [told] = json.loads(house.run("status", "--json").stdout)
    return dict(told)


def test_the_end_that_the_server_told_is_a_login(house: OAuthHouse) -> None:
    """No key is needed, the entry's owner is named, and ``status`` says the same."""
    with house.open().change() as change:
        change.set_plain("demo", "owner", "ada")
    house.key.unlink()
    assert [] == owed(house, days=20)

    [duty] = owed(house)

    assert ("login", "mcpvault login demo", "ada") == (duty["what"], duty["command"], duty["owner"])
    assert "its refresh token ends" == duty["reason"]
    told = status(house)
    assert (duty["at"], False, None) == (told["human_by"], told["needs_login"], told["hint"])
    assert "needs a human by 20" in told["notes"][0]


def test_an_end_that_a_refresh_moves_is_a_refresh(house: OAuthHouse) -> None:
    """The server forgets who does not come back in a month: to be refreshed in time is all that it takes."""
    house.issuer.advance(3600)
    house.issuer.policy.refresh_lifetime = 2 * MONTH
    house.run("refresh", "demo")

    [duty] = owed(house, days=70)

    assert ("refresh", "mcpvault refresh demo") == (duty["what"], duty["command"])
    told = status(house)
    assert (None, duty["at"]) == (told["human_by"], told["refresh_by"])
    lines = house.run("status", "--prometheus", "-").stdout.splitlines()
    assert f'mcpvault_credential_refresh_by_timestamp_seconds{{server="demo"}} {duty["at"]}' in lines
    assert "in 90 days: 0 logins, 1 refreshes, 0 rotations" in house.run("forecast").stderr


def test_a_login_that_is_owed_soon_is_warned_of(house: OAuthHouse) -> None:
    """Within two weeks ``status`` and ``doctor`` have the command."""
    house.issuer.policy.refresh_lifetime = 86_400
    house.log_in()

    assert "run: mcpvault login demo" == status(house)["hint"]
    findings = json.loads(house.run("doctor", "--offline", "--json").stdout)["findings"]
    assert ["warn"] == [each["level"] for each in findings if each["id"] == "entry.grant"]


def test_a_calendar_of_it(house: OAuthHouse) -> None:
    """A file for a calendar, in place of the table; ``-`` prints it."""
    target = house.home / "duties.ics"

    done = house.run("forecast", "--ics", str(target))

    assert ("", "") == (done.stdout, done.stderr)
    lines = target.read_bytes().decode().split("\r\n")
    assert "SUMMARY:demo: log in" in lines
    printed = house.run("forecast", "--ics", "-").stdout
    assert [line for line in lines if "DTSTAMP" not in line] == [
        line for line in (*printed.splitlines(), "") if "DTSTAMP" not in line
    ]
    assert "stands without" in house.run("forecast", "--ics", str(target), "--json", code=2).stderr
