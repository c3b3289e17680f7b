"""``forecast``: the logins that people owe where a server tells how long a refresh token lives, and the calendar."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oauth_house import OAuthHouse, oauth_house

from mcpvault.upkeep.due import due
from mcpvault.upkeep.standing import standing

DAY = 86_400
MONTH = 30 * DAY


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
    assert "in 90 days: 0 logins, 1 refresh, 0 rotations" in house.run("forecast").stderr


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


# The end of a client's secret


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose login registered a client, with a secret that ends in twenty days."""
    with oauth_house(tmp_path, secret_lifetime=20 * DAY, auth_methods=("client_secret_basic",)) as made:
        made.log_in()
        yield made


def test_the_end_of_a_registered_clients_secret_is_a_login(registered: OAuthHouse) -> None:
    """``forecast``, ``due`` and ``status`` know it, without a key; no rotation is offered for what a login makes."""
    registered.key.unlink()
    assert [] == owed(registered, days=19)

    [duty] = owed(registered, days=21)
    [item] = json.loads(registered.run("due", "--json").stdout)["items"]

    assert ("login", "its client's secret ends") == (duty["what"], duty["reason"])
    assert ("auth.client_secret", "login", "ok", duty["at"]) == tuple(
        item[each] for each in ("field", "by", "state", "due_at")
    )
    told = status(registered)
    assert ("ready", duty["at"], None) == (told["state"], told["human_by"], told["hint"])
    assert 'human_by_timestamp_seconds{server="demo"} ' in registered.run("status", "--prometheus", "-").stdout


def test_a_login_in_time_registers_another_client(registered: OAuthHouse) -> None:
    """Two weeks before the end of the secret it is due; the login that is owed then is not with the same client."""
    registered.issuer.policy.secret_lifetime = 10 * DAY
    client = status(registered)["client_id"]
    registered.log_in()
    assert client == status(registered)["client_id"]

    registered.record.unlink()
    registered.log_in()
    client = status(registered)["client_id"]
    assert "run: mcpvault login demo" == status(registered)["hint"]
    assert "near" == json.loads(registered.run("due", "--json").stdout)["items"][0]["state"]
    registered.log_in()
    assert client != status(registered)["client_id"]


def test_after_its_end_nothing_is_ready(registered: OAuthHouse) -> None:
    """By the clock of this host, or once the server has answered so: only a login helps, which is said."""
    vault, later = registered.open(), time.time() + 21 * DAY
    stands = standing(vault.document, "demo", vault.state, later)
    [item] = due(vault.document, later, vault.state)
    assert ("dead", True, "its client's secret ended at 20") == (stands.state, stands.needs_login, stands.notes[0][:31])
    assert ("expired", "mcpvault login demo") == (item.state, item.command)

    registered.issuer.advance(21 * DAY)
    registered.run("call", "demo", "echo", '{"message": "hello"}', code=3)
    told = status(registered)
    assert ("dead", "its authorization server no longer knows its client") == (told["state"], told["notes"][0])
    assert "refreshes itself" not in registered.run("status", "demo").stdout
