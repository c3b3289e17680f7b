"""``doctor`` about what could let a secret out or go unnoticed, about what is due, and as a cron job would run it."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from examination import examined, levels, named, opened, state_of, told
from house import House, furnished
from oauth_house import BROWSER, oauth_house

from mcpvault import Secret
from mcpvault.upkeep import headless


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(home) as made:
        yield made


def test_secrets_where_nothing_is_sealed(house: House) -> None:
    """What looks random in a note or an argument is named by field, and never shown; addresses and names are not."""
    chance = "q8Zt3LmV0xWc7RbN2yKd"
    with opened(house).change() as change:
        change.set_plain("demo", "note", f"the old one was {chance}")
        change.add_server("child", {"command": "/bin/true", "args": ["--room", chance]})
        change.add_server(
            "fine", {"url": "https://h.example/v1/mcp", "note": "see issue 4711", "auth": {"kind": "none"}}
        )

    found = examined(house, "--offline")

    warned = [finding for finding in found if finding["id"] == "entry.literal"]
    assert ["servers.demo.note", "servers.child.args[1]"] == [each["message"].partition(":")[0] for each in warned]
    assert chance not in str(found)


def test_arguments_that_are_secrets_by_name(house: House) -> None:
    """What an option says of its value counts, as it does for import; a path and a reference are none."""
    words = ["--api-key=plainsecretvalue", "--token", "hunter2hunter2", "--ssh-key", "/home/me/.ssh/id_ed25519"]
    with opened(house).change() as change:
        change.add_server("child", {"command": "/bin/true", "args": [*words, "--secret", "${env:OTHER}"]})

    found = examined(house, "--offline", OTHER="x")

    warned = [finding for finding in found if finding["id"] == "entry.literal"]
    assert ["servers.child.args[0]", "servers.child.args[2]"] == [each["message"].partition(":")[0] for each in warned]
    assert all("mcpvault set child env.VARIABLE --stdin" in each["hint"] for each in warned)
    assert "hunter2" not in str(found)


def test_arguments_that_are_filled_in(house: House) -> None:
    """A reference in an argument is told where its option, its name or its value says that it is a secret."""
    chance = "q8Zt3LmV0xWc7RbN2yKd"
    words = ["--api-key", "${A}", "--room=${env:ROOM_TOKEN}", "${SEEN}", "--quiet", "${PLACE}", "$${env:MY_TOKEN}"]
    with opened(house).change() as change:
        change.add_server("child", {"command": "/bin/true", "args": words})

    found = examined(house, "--offline", SEEN=chance, PLACE="/srv", A="a", ROOM_TOKEN="b")

    warned = [finding for finding in found if finding["id"] == "entry.argument"]
    assert ["args[1]", "args[2]", "args[3]"] == [
        each["message"].partition(":")[0].rpartition(".")[2] for each in warned
    ]
    assert "mcpvault set child env.VARIABLE '${A}'" in warned[0]["hint"]
    assert chance not in str(found)


def test_a_log_that_was_touched(house: House) -> None:
    """A line that somebody took away is exit 6; a log that is whole is said to be."""
    house.run("get", "demo", "auth.token", "--reveal")
    assert ["ok"] == named(examined(house, "--offline"), "audit.log")
    [segment] = state_of(house).glob("audit-*.jsonl")
    lines = segment.read_text().splitlines(keepends=True)
    segment.write_text("".join(lines[:1] + lines[2:]))

    broken = told(examined(house, "--offline", code=6), "audit.log")

    assert 6 == broken["code"]
    assert "audit verify" in broken["hint"]


def test_what_is_due(house: House) -> None:
    """The vault's own rule counts, a mark does, and an open rotation is told with its step and what resumes it."""
    house.server.tokens["new-token-of-the-doctor"] = None
    with opened(house).change() as change:
        change.add_server("old", {"url": "https://h.example/", "auth": {"kind": "bearer"}})
        change.set_secret("old", "auth.token", Secret("a-token-of-a-removed-slot"))
        change.tree["servers"]["old"]["auth"]["token"][0]["due"] = "slot removed"
    house.run("rotate", "demo", "--stdin", stdin="new-token-of-the-doctor\n")

    found = examined(house, "--offline")

    marked = told(found, "entry.due")
    assert ("old", "run: mcpvault rotate old auth.token") == (marked["server"], marked["hint"])
    [rotation] = [finding for finding in found if finding["id"] == "entry.rotation"]
    assert ("ok", "demo") == (rotation["level"], rotation["server"])
    assert "'grace'" in rotation["message"]


def test_where_the_key_was_not_found(house: House) -> None:
    """The sources that gave no key are named in their order, each with the reason."""
    [others] = [each for each in examined(house, "--offline") if each["id"] == "key.others"]
    assert ["MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY", "CREDENTIALS_DIRECTORY"] == re.findall(
        r"(\w+) is not set", others["message"]
    )

    [others] = [
        each for each in examined(house, "--offline", MCPVAULT_KEY_FILE=str(house.key)) if each["id"] == "key.others"
    ]
    assert f"{house.key} comes later" in others["message"]


def test_what_an_issuer_can_do(tmp_path: Path) -> None:
    """After a login the authorization server's abilities are told, from what the login learned."""
    with oauth_house(tmp_path) as house:
        assert [] == named(examined(house, "--offline", code=3), "issuer.capabilities")  # type: ignore[arg-type]
        house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
        [able] = [
            each
            for each in examined(house, "--offline")
            if each["id"] == "issuer.capabilities"  # type: ignore[arg-type]
        ]

    assert "revocation yes, registration yes" in able["message"]


def test_as_a_cron_job(house: House) -> None:
    """A key and a reference that only this shell has: the job fails, the two are named, and their values are not."""
    with opened(house).change() as change:
        change.add_server("ref", {"url": house.server.url, "auth": {"kind": "bearer", "token": "${env:DEPLOY_TOKEN}"}})
    aside = house.home / "aside.key"
    house.key.rename(aside)
    shell = {"MCPVAULT_KEY_FILE": str(aside), "DEPLOY_TOKEN": "value-of-this-shell", "UNRELATED": "x"}
    assert "fail" not in levels(examined(house, "--offline", **shell))

    found = examined(house, "--headless", "--offline", code=6, **shell)

    assert "vault_locked" == told(found, "key.source")["kind"]
    missing = told(found, "headless.environment")["message"].rpartition(": ")[2]
    assert "DEPLOY_TOKEN, MCPVAULT_KEY_FILE" == missing
    assert told(found, "headless.differs")["message"].startswith("key.source: fails in a job and not in this shell")
    assert "value-of-this-shell" not in str(found)


def test_a_job_that_finds_the_same(house: House) -> None:
    """The key is found by itself and the server is reached; a job of another home is still not called the same."""
    found = examined(house, "--headless")

    assert (["warn"], ["ok"]) == (named(found, "headless.home"), named(found, "entry.reachable"))
    assert [] == named(found, "headless.same")
    assert "fail" not in levels(found)


def test_only_a_job_without_any_difference_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, the home and the variables of this shell: each of them alone is told instead."""
    own = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    (program := tmp_path / "mcpvault").touch(0o755)

    def told(**env: str) -> list[str]:
        return [each.id for each in headless.differences({"HOME": str(own), **env}, None, [], [])]

    monkeypatch.setattr(headless, "PATH", str(tmp_path))
    assert ["headless.same"] == told()
    assert ["headless.home"] == told(HOME=str(tmp_path))
    assert ["headless.environment"] == told(HTTPS_PROXY="http://127.0.0.1:9")
    program.unlink()
    assert ["headless.program"] == told()
