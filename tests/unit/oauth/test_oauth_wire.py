"""The seam: how a flow is run, and how forms and objects are read and written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.errors import ConnectFailedError
from mcpvault.oauth.wire import Answer, Ask, Flow, drive, json_object

FIRST, SECOND = (Ask("GET", f"https://as.example/{number}", "a test") for number in (1, 2))


def two() -> Flow[list[int]]:
    """Ask twice; a connection that fails counts as 0."""
    statuses = []
    for ask in (FIRST, SECOND):
        try:
            answer = yield ask
        except ConnectFailedError:
            answer = Answer(0)
        statuses.append(answer.status)
    return statuses


def test_a_flow_gets_the_answer_to_each_step() -> None:
    """Steps go out one after another, and the flow's result comes back."""
    asked = []

    def send(ask: Ask) -> Answer:
        asked.append(ask)
        return Answer(200 + len(asked))

    assert [201, 202] == drive(two(), send)
    assert [FIRST, SECOND] == asked


def test_a_flow_may_judge_what_the_carrier_raises() -> None:
    """An exception arises inside the flow, at the step that it belongs to."""

    def send(ask: Ask) -> Answer:
        if ask is FIRST:
            raise ConnectFailedError("no route")
        return Answer(204)

    assert [0, 204] == drive(two(), send)


def test_what_a_flow_does_not_judge_comes_out() -> None:
    """Nothing is swallowed on the way."""

    def send(ask: Ask) -> Answer:
        raise KeyError(ask.url)

    with pytest.raises(KeyError):
        drive(two(), send)


def test_neither_request_nor_answer_shows_what_it_carries() -> None:
    """Headers and bodies stay out of every repr."""
    ask = Ask("POST", "https://as.example/token", "token request", {"Authorization": "Basic eDp5"}, b"code=abc")
    answer = Answer(200, {"set-cookie": "abc"}, b"abc")

    assert (
        "Ask(method='POST', url='https://as.example/token', purpose='token request', discovered=True, safe=False)"
        == repr(ask)
    )
    assert "Answer(status=200)" == repr(answer)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.booleans()))
def test_an_object_is_read(told: dict[str, object]) -> None:
    """What was written as JSON comes back, lone surrogates in escapes included."""
    assert told == json_object(json.dumps(told).encode("ascii"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"{}"',
        b"{",
        b"{}{}",
        b"\xff{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"<html>",
        b"9" * 5000,
    ],
    ids=["empty", "null", "list", "text", "half", "two", "not utf-8", "deep", "deep object", "html", "long number"],
)
def test_anything_else_is_none(body: bytes) -> None:
    """Nothing is raised, for a decoder's exception quotes what it read."""
    assert json_object(body) is None
