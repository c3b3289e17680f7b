"""``token``, ``headers``, ``run`` and ``inject`` of an OAuth entry: a token that is good now, or exit 3."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oauth_house import OAuthHouse, oauth_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


GIVING = [["token", "demo"], ["headers", "demo"], ["run", "--set", "T=demo", "--", "true"], ["inject", "text"]]


@pytest.mark.parametrize("words", GIVING, ids=" ".join)
def test_without_a_grant_a_person_is_needed(house: OAuthHouse, words: list[str]) -> None:
    """Exit 3 with the command to run, and no browser."""
    (house.home / "text").write_text("${vault:demo.auth.token}")

    assert "mcpvault login demo" in house.refused(*words, code=3)


def test_every_way_gives_the_same_token(house: OAuthHouse) -> None:
    """The access token of the grant, and when it ends."""
    house.log_in()
    told = json.loads(house.run("token", "demo", "--json").stdout)
    token = told["value"]

    assert 3000 < told["expires_at"] - time.time() <= 3600
    assert f"Bearer {token}" == json.loads(house.run("headers", "demo").stdout)["Authorization"]
    code = "import os; print(os.environ['T'])"
    assert f"{token}\n" == house.run("run", "--set", "T=demo", "--", sys.executable, "-c", code).stdout
    assert f"<{token}>" == house.run("inject", "-", stdin="<${vault:demo}>").stdout
    assert 0 == house.issuer.redemptions


@pytest.mark.parametrize("verb", ["token", "headers"])
def test_a_token_that_ends_too_soon_is_replaced(house: OAuthHouse, verb: str) -> None:
    """``--min-ttl`` refreshes before it prints; where no token lives that long, it says so and prints what there is."""
    house.log_in()
    before = house.run("token", "demo").stdout.strip()
    assert before in house.run(verb, "demo", "--min-ttl", "30m").stdout

    done = house.run(verb, "demo", "--min-ttl", "2h")

    assert (1, False) == (house.issuer.redemptions, before in done.stdout)
    assert verb == "headers" or "no token of that server lives for 7200 s" in done.stderr
