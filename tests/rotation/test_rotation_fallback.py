"""Scripts in the middle of a rotation: no call fails while one of the two secrets is good."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from rotation_house import NEW, OLD, RotationHouse, rotation_house
from test_rotators import program

from mcpvault.errors import CredentialRejectedError, PolicyError, TransportError
from mcpvault.state.fallbacks import counted


@pytest.fixture
def house(home: Path) -> Iterator[RotationHouse]:
    """A vault with a token that can be rotated."""
    with rotation_house(home) as made:
        yield made


def test_a_session_follows_a_rotation(house: RotationHouse) -> None:
    """A session that was opened before goes on with the new token when the old one is refused."""
    house.issue(NEW)
    with house.open().session("demo") as session:
        session.list_tools()
        house.rotate()
        house.retire(OLD)

        assert not session.call_tool("echo", {"message": "hello"}).is_error


def test_the_previous_token_is_used_in_the_grace_and_counted(
    house: RotationHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """If the server takes the new token no more, the old one is sent; that is counted, logged and audited."""
    house.issue(NEW)
    journal = house.rotate()
    house.retire(NEW)
    vault = house.open()

    with caplog.at_level(logging.WARNING, logger="mcpvault.rotation"), vault.session("demo") as session:
        session.list_tools()
        session.list_tools()

    assert (1, "previous") == counted(vault.state, "demo", journal.id)[::2]
    assert ["demo: the current auth.token is refused, the previous one is tried (rotation)"] == caplog.messages
    events = [
        json.loads(line)
        for path in Path(house.env["HOME"]).rglob("audit*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert [("demo", "previous")] == [(e["server"], e["stage"]) for e in events if e["ev"] == "fallback"]


def test_the_pending_token_is_used_where_the_issuer_has_ended_the_old_one(house: RotationHouse) -> None:
    """Between minting and promotion a script gets through with the new token, although it is not promoted yet."""
    house.issue(NEW)
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.rotate(timeout=2.0)
    house.server.behave()
    house.retire(OLD)

    with house.open().session("demo") as session:
        assert [] != session.list_tools()


def test_a_secret_that_is_being_made_is_waited_for(house: RotationHouse) -> None:
    """The issuer has ended the old token and the new one is not written yet: the call waits, and goes on with it."""
    at_the_issuer(house)
    house.retire(OLD)
    with closing(house.open().session("demo")) as session, ThreadPoolExecutor() as threads:
        call = threads.submit(session.list_tools)
        while not house.server.requests:
            assert not call.done()
        house.issue(NEW)
        program(house, {"secret": NEW})
        assert "grace" == house.machine().resume().step

        assert [] != call.result()


def test_a_secret_that_nobody_makes_any_more_is_not_waited_for(house: RotationHouse) -> None:
    """A rotation that was begun more than a minute ago and got no answer holds no call up: one request, no waiting."""
    house.shift = -61
    at_the_issuer(house)
    house.retire(OLD)
    began = time.monotonic()

    with closing(house.open().session("demo")) as session, pytest.raises(CredentialRejectedError):
        session.list_tools()

    assert (1, True) == (len(house.server.requests), time.monotonic() - began < 5)


def at_the_issuer(house: RotationHouse) -> None:
    """Let a rotation be cut off while the issuer is asked."""
    with pytest.raises(TransportError):
        house.machine().start("auth.token", "exec", grace="1h", command=program(house, {}, 75))


def test_nothing_else_is_tried_without_a_rotation(house: RotationHouse) -> None:
    """A refused token is a refused token where no rotation is open, though a previous version is there."""
    from mcpvault import Secret

    with house.open().change() as change:
        change.set_secret("demo", "auth.token", Secret("wrong"))

    with closing(house.open().session("demo")) as session, pytest.raises(CredentialRejectedError):
        session.list_tools()
    assert {"Bearer wrong"} == {each.headers["authorization"] for each in house.server.requests}


def test_a_rotated_header_follows_too(house: RotationHouse) -> None:
    """What is rotated may be a header beside the credential."""
    from mcpvault import Secret

    with house.open().change() as change:
        change.set_secret("demo", "headers.X-API-Key", Secret("key-one"))
    house.server.required = {"X-API-Key": "key-one"}
    with house.open().session("demo") as session:
        session.list_tools()
        house.server.required = {"X-API-Key": "key-two"}
        with house.open().change() as change:
            change.set_secret("demo", "headers.X-API-Key", Secret("key-two"))

        assert [] != session.list_tools()


def test_a_requests_session_follows_too(house: RotationHouse) -> None:
    """The same holds for ``vault.requests_session()``, for any API at that origin."""
    house.issue(NEW)
    with house.open().requests_session("demo") as http:
        house.rotate()
        house.retire(OLD)
        answer = http.post(house.server.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

    assert 401 != answer.status_code


def test_a_rolled_back_token_is_left_behind(house: RotationHouse) -> None:
    """After a rotation that was given up only the old token is ever sent."""
    with pytest.raises(PolicyError):
        house.rotate()
    house.server.requests.clear()
    house.retire(OLD)

    with closing(house.open().session("demo")) as session, pytest.raises(CredentialRejectedError):
        session.list_tools()
    assert {f"Bearer {OLD}"} == {each.headers["authorization"] for each in house.server.requests}
