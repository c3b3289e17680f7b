"""Multi round-trip requests: state echoed, ids fresh, nothing shared, an end to everything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.errors import DeadlineExceededError, RemoteProtocolError
from mcpvault.testing import FakeMcpServer

Talk = Callable[..., tuple[FakeMcpServer, Session]]
WILLING = Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"}), roots=["file:///srv"])
STATES = ["", " ", "é\u2028\U0001f600", '{"a": 1}', "x" * 100_000, "\x00\x1f"]


def calls(server: FakeMcpServer) -> list[dict[str, Any]]:
    """Return the messages of all tool calls."""
    return [request.message for request in server.called("tools/call")]


def test_each_round_is_a_request_of_its_own(talk: Talk) -> None:
    """The parameters stay, the ids differ, and only the last round's responses go along."""
    server, session = talk("modern", WILLING)

    first, second = json.loads(session.call_tool("ask-twice", {"a": 1}).text())

    assert "accept" == first["one"]["action"]
    assert {"uri": "file:///srv"} == second["two"]["roots"][0]
    rounds = calls(server)
    assert 3 == len(rounds) == len({each["id"] for each in rounds})
    assert [{"a": 1}] * 3 == [each["params"]["arguments"] for each in rounds]
    given = [sorted(each["params"].get("inputResponses", {})) for each in rounds]
    assert [[], ["one"], ["one", "two"]] == given
    assert [False, True, True] == ["requestState" in each["params"] for each in rounds]


def test_no_state_is_made_up(talk: Talk) -> None:
    """Where the server sends no requestState, the next round has none."""
    server, session = talk("modern", WILLING)
    session.call_tool("ask")

    assert ["inputResponses"] == [k for k in calls(server)[1]["params"] if k in ("inputResponses", "requestState")]


@pytest.mark.parametrize("state", STATES, ids=["empty", "space", "unicode", "json", "long", "control"])
def test_the_state_comes_back_as_it_was(state: str, talk: Talk) -> None:
    """The server's state is echoed exactly, whatever is in it."""
    server, session = talk("modern")
    wanted = {"resultType": "input_required", "requestState": state}
    server.misbehave("result-of-wrong-shape", on="tools/call", times=1, result=wanted)

    session.call_tool("echo", {"message": "x"})

    assert state == calls(server)[1]["params"]["requestState"]


def test_state_alone_is_asked_again(talk: Talk) -> None:
    """A server that only wants time gets it, without any callback; the pauses grow."""
    server, session = talk("modern")
    session.list_tools()
    began = time.monotonic()

    assert "thought it over" == session.call_tool("think").text()
    assert 4 == len(calls(server))
    assert time.monotonic() - began >= 0.05 + 0.1 + 0.2


def test_there_is_an_end_to_questions(talk: Talk) -> None:
    """After ten rounds the call is given up."""
    server, session = talk("modern", WILLING)

    with pytest.raises(RemoteProtocolError, match="after 10 rounds"):
        session.call_tool("ask-for-ever")
    assert 11 == len(calls(server))


def test_the_deadline_is_for_all_rounds(talk: Talk) -> None:
    """Time that runs out between two rounds ends the call."""
    entered = threading.Event()

    def dawdle(form: Any) -> Any:
        entered.wait(0.3)
        return form.accept({"name": "Ada"})

    _, session = talk("modern", Callbacks(on_elicitation=dawdle))

    with pytest.raises(DeadlineExceededError):
        session.call_tool("ask-for-ever", timeout=0.5)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"inputRequests": []},
        {"inputRequests": {"a": 7}},
        {"inputRequests": {"a": {"method": 7}}},
        {"inputRequests": {"a": {"method": "elicitation/create", "params": []}}},
        {"inputRequests": {"a": {"method": "elicitation/create", "params": {"message": "m"}}}},
        {"inputRequests": {"a": {"method": "unheard/of"}}},
        {"inputRequests": {"a": {"method": "sampling/createMessage", "params": {"messages": []}}}},
        {"inputRequests": {str(number): {"method": "roots/list"} for number in range(1000)}},
        {"requestState": 7},
        {"requestState": {"a": 1}},
        {"requestState": "\ud800"},
    ],
)
def test_a_question_in_a_wrong_way_ends_the_call(result: dict[str, Any], talk: Talk) -> None:
    """Malformed and undeclared inputs are the server's error, and nothing is sent for them."""
    server, session = talk("modern", WILLING)
    wanted = {"resultType": "input_required", **result}
    server.misbehave("result-of-wrong-shape", on="tools/call", times=1, result=wanted)

    with pytest.raises(RemoteProtocolError):
        session.call_tool("echo", {"message": "x"})
    assert 1 == len(calls(server))


def test_a_legacy_server_has_no_such_results(talk: Talk) -> None:
    """Before 2026-07-28 nobody may answer so."""
    server, session = talk("legacy", WILLING)
    result = {"resultType": "input_required", "requestState": "x"}
    server.misbehave("result-of-wrong-shape", on="tools/call", times=1, result=result)

    with pytest.raises(RemoteProtocolError):
        session.call_tool("echo", {"message": "x"})


def test_calls_in_parallel_share_nothing(talk: Talk) -> None:
    """Responses and state of one call never appear in another's requests."""
    barrier = threading.Barrier(2, timeout=20)

    def fill_in(form: Any) -> Any:
        barrier.wait()  # both are asked before either goes on
        return form.accept({"name": threading.current_thread().name})

    server, session = talk("modern", Callbacks(on_elicitation=fill_in))
    session.list_tools()
    said: dict[str, str] = {}

    def work(name: str) -> None:
        said[name] = json.loads(session.call_tool("ask", {"who": name}).text())["content"]["name"]

    threads = [threading.Thread(target=work, args=(name,), name=name) for name in ("Ada", "Grace")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {"Ada": "Ada", "Grace": "Grace"} == said
    for each in calls(server):
        for response in each["params"].get("inputResponses", {}).values():
            assert each["params"]["arguments"]["who"] == response["content"]["name"]


def test_prompts_and_resources_may_ask_too(talk: Talk) -> None:
    """The same rounds serve prompts/get and resources/read."""
    server, session = talk("modern", WILLING)
    for method, call in (
        ("prompts/get", lambda: session.get_prompt("plain").messages),
        ("resources/read", lambda: session.read_resource("fake://text/greeting")),
    ):
        wanted = {"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}}
        server.misbehave("result-of-wrong-shape", on=method, times=1, result=wanted)

        assert call()
        sent = [request.message["params"] for request in server.called(method)]
        assert [{"uri": "file:///srv"}] == sent[1]["inputResponses"]["r"]["roots"]
