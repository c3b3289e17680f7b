"""``refresh --expiring``, and whoever asks for a token that lives longer: told what was due and could not be had."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oauth_house import OAuthHouse, oauth_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home where somebody has logged in to ``demo``."""
    with oauth_house(tmp_path) as made:
        made.log_in()
        yield made


def change(house: OAuthHouse, **facts: Any) -> None:
    """Let the record say something else."""
    store = house.open().authorization("demo").store
    with store.exclusive():
        record = store.read()
        assert record is not None
        store.write(record.replaced(**facts))


def dead(house: OAuthHouse) -> None:
    """The grant has ended, and that is known."""
    change(house, status="dead")


def withdrawn(house: OAuthHouse) -> None:
    """The grant has ended, and nobody knows it yet."""
    client = json.loads(house.run("status", "demo", "--json").stdout)[0]["client_id"]
    house.issuer.withdraw(client)


def lossy(house: OAuthHouse) -> None:
    """No answer arrives."""
    house.issuer.misbehave("close-before-answer", on="refresh_token")


def down(house: OAuthHouse) -> None:
    """The authorization server has trouble."""
    house.issuer.misbehave("bad-gateway", on="refresh_token")


def elsewhere(house: OAuthHouse) -> None:
    """The state is another host's."""
    change(house, host="f" * 32, host_name="batch-2")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(dead, 3), (withdrawn, 3), (lossy, 3), (elsewhere, 3), (down, 4)],
    ids=lambda it: str(it)[10:15],
)
def test_what_is_due_and_not_done_is_no_success(
    house: OAuthHouse, trouble: Callable[[OAuthHouse], None], code: int
) -> None:
    """Although the old token works for an hour: due, not refreshed, why, the exit code, and again the next time."""
    trouble(house)
    for _ in range(2):
        done = house.run("refresh", "demo", "--expiring", "2h", code=code)
        assert "" == done.stdout
        assert 1 == done.stderr.count("mcpvault: error: demo: ")
        assert code == 4 or "mcpvault: hint: run: mcpvault login demo" in done.stderr
    [told] = json.loads(house.run("refresh", "demo", "--expiring", "2h", "--json", code=code).stdout)
    assert (False, True) == (told["refreshed"], told["due"])


def test_what_is_not_due_needs_nothing(house: OAuthHouse) -> None:
    """Of a grant that has ended too: its token is good for longer than was asked for."""
    dead(house)
    assert "demo: not due, good for 60 minutes\n" == house.run("refresh", "demo", "--expiring", "30m").stdout


def test_an_unknown_end_is_told_and_not_hurried(house: OAuthHouse) -> None:
    """Nobody knows how the last refresh ended: the living token is not due for another try, which is said (exit 4)."""
    house.issuer.misbehave("html", on="refresh_token", times=1)
    done = house.run("refresh", "demo", "--expiring", "2h", code=5)
    assert "demo: the answer to the refresh cannot be read: token request: " in done.stderr
    change(house, trouble=None)

    record = house.open().authorization("demo").store.read()
    assert record is not None and record.intent is not None
    change(house, intent=record.intent.replaced(started=record.intent.started - 60))
    done = house.run("refresh", "demo", "--expiring", "2h", code=4)

    assert f"nobody knows how the refresh by {record.intent.program} (pid {record.intent.pid})" in done.stderr
    assert 1 == len(house.issuer.called("refresh_token"))
    assert "demo: refreshed" in house.run("refresh", "demo").stdout


def test_a_token_for_a_while_says_why_it_is_not_another(house: OAuthHouse) -> None:
    """``--min-ttl`` prints the token that still works, and names the trouble and not the life of tokens."""
    dead(house)
    done = house.run("token", "demo", "--min-ttl", "2h")
    assert done.stdout.strip()
    assert 1 == done.stderr.count("demo: its grant has ended")
    assert "no token of that server lives" not in done.stderr


def test_entries_without_a_grant_are_left_alone(house: OAuthHouse) -> None:
    """``--all`` looks up nothing that such an entry refers to; by name it is told."""
    auth = {"kind": "client_credentials", "client_id": "k", "issuer": house.issuer.issuer}
    with house.open().change() as vault:
        vault.add_server("k4", {"url": house.server.url, "auth": {**auth, "client_secret": "${env:NOPE}"}})

    assert "demo: refreshed, good for 60 minutes\n" == house.run("refresh", "--all").stdout
    assert "NOPE" in house.run("refresh", "k4", code=8).stderr
