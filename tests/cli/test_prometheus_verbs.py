"""``status --prometheus``: how credentials stand, as a textfile for node_exporter."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from oauth_house import OAuthHouse, oauth_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


def test_the_textfile_is_the_exporters_to_read(house: OAuthHouse) -> None:
    """It needs no key, is written in one step and readable by others; what it says is what ``--json`` says."""
    house.log_in()
    [told] = json.loads(house.run("status", "--json").stdout)
    house.key.unlink()
    target = house.home / "status.prom"

    done = house.run("status", "--prometheus", str(target))

    assert ("", "") == (done.stdout, done.stderr)
    assert 0o644 == stat.S_IMODE(target.stat().st_mode)
    assert [target] == [*house.home.glob("*status.prom*")]
    assert {
        'mcpvault_credential_state{server="demo",auth="oauth",state="ready"} 1',
        'mcpvault_credential_state{server="demo",auth="oauth",state="dead"} 0',
        'mcpvault_credential_needs_login{server="demo"} 0',
        f'mcpvault_access_token_expires_timestamp_seconds{{server="demo"}} {told["expires_at"]}',
        'mcpvault_refresh_failures{server="demo"} 0',
    } <= {*target.read_text().splitlines()}


def test_a_dash_is_stdout_and_names_choose(house: OAuthHouse) -> None:
    """Before anybody has logged in, the metric that alarms is 1; of servers that are not named nothing is told."""
    with house.open().change() as change:
        change.add_server("other", {"url": "https://other.example/mcp"})

    lines = house.run("status", "demo", "--prometheus", "-").stdout.splitlines()

    assert 'mcpvault_credential_needs_login{server="demo"} 1' in lines
    assert [] == [line for line in lines if "other" in line]


def test_it_stands_alone(house: OAuthHouse) -> None:
    """Another form or a probe beside it is exit 2, a folder that is not there exit 8; neither leaves a file."""
    target = house.home / "status.prom"

    assert "stands without" in house.refused("status", "--probe", "--prometheus", str(target), code=2)
    assert "stands without" in house.run("status", "--json", "--prometheus", str(target), code=2).stderr
    away = str(house.home / "nowhere" / "status.prom")
    assert "cannot be written: no such file" in house.refused("status", "--prometheus", away, code=8)
    assert [] == [*house.home.glob("*.prom*")]
