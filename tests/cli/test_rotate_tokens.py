"""``rotate NAME auth.tokens`` as several hosts see it that share a vault and not their state."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from oauth_house import OAuthHouse, oauth_house

from mcpvault import Secret
from mcpvault.testing import FakeMcpServer


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home where a rotation of the tokens of ``demo`` waits for a person."""
    with oauth_house(tmp_path) as made:
        made.log_in()
        made.run("rotate", "demo", "auth.tokens", code=3)
        yield made


def test_a_timer_elsewhere_leaves_it_open_and_goes_on(house: OAuthHouse) -> None:
    """Exit 0 and a remark, for nothing is wrong; what else is open there is ended. Naming the server is exit 8."""
    away = {"MCPVAULT_STATE_DIR": str(house.home / "away")}
    with FakeMcpServer(token="zed-1") as other:
        other.tokens["zed-2"] = None
        with house.open().change() as change:
            change.add_server("zed", {"url": other.url, "auth": {"kind": "bearer"}})
            change.set_secret("zed", "auth.token", Secret("zed-1"))
        house.run("rotate", "zed", "--stdin", "--grace", "1h", stdin="zed-2\n")
        done = house.run("rotate", "--resume", "--all", "--json", **away)

    told = {each["server"]: each for each in json.loads(done.stdout)}
    assert {"demo": "minted", "zed": "grace"} == {name: each["step"] for name, each in told.items()}
    [remark] = told["demo"]["remarks"]
    where = f"its tokens are on {socket.gethostname()}, in another state folder: run it there"
    assert remark.startswith(f"{where}: mcpvault rotate demo --resume")
    assert f"demo: {where}" in house.run("rotate", "--resume", "--all", **away).stderr
    for verb in ("--resume", "--abort"):
        assert "run it there" in house.run("rotate", "demo", verb, code=8, **away).stderr

    [row] = [line for line in house.run("due", **away).stdout.splitlines() if line.startswith("demo\t")]
    assert f"minted on {socket.gethostname()}" in row
    findings = json.loads(house.run("doctor", "--offline", "--json", code=3, **away).stdout)["findings"]
    hints = [each["hint"] for each in findings if each["id"] == "entry.rotation" and each["server"] == "demo"]
    assert [f"run on {socket.gethostname()}: mcpvault rotate demo --resume"] == hints
    lines = house.run("due", "--prometheus", "-", **away).stdout.splitlines()
    assert 'mcpvault_rotation_open{server="demo",field="auth.tokens",step="minted"} 1' in lines


def test_a_timer_waits_for_an_old_token_to_die(house: OAuthHouse) -> None:
    """As long as it is told to; then it is said that the token lives."""
    house.log_in()
    assert "demo.auth.tokens: the new one is in use" in house.run("rotate", "demo", "--resume").stdout
    with house.open().change() as change:
        change.table("demo")["rotation"]["until"] = "2026-01-01T00:00:00Z"
    house.issuer.misbehave("oauth-error", on="revoke", status=200)

    [told] = json.loads(house.run("rotate", "--resume", "--all", "--wait", "1s", "--json").stdout)

    assert ("done", True) == (told["step"], "the old access token is still accepted" in told["problem"])


def test_what_a_host_that_is_gone_has_is_given_up_by_force(house: OAuthHouse) -> None:
    """What was not revoked is said, and the rotation has ended on every host."""
    away = {"MCPVAULT_STATE_DIR": str(house.home / "away")}
    said = house.run("rotate", "demo", "--abort", "--force", **away).stdout

    assert said.startswith("demo.auth.tokens: given up (")
    assert "its old tokens and its new ones were not revoked: end them at the authorization server)\n" in said
    assert "in use" not in said
    assert "no rotation is open" in house.run("rotate", "demo", "--resume", code=8).stderr
