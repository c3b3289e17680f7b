"""Tasks: calls that a server goes on with by itself, and other runs that take them up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.errors import DeadlineExceededError, InputDeclinedError, RemoteProtocolError, RpcError, ToolError
from mcpvault.mcp.tasks import Task
from mcpvault.mcp.types import CallToolResult
from mcpvault.testing import FakeMcpServer
from mcpvault.testing.interactive import META_CAPABILITIES, TASKS, Interactive

Talk = Callable[..., tuple[FakeMcpServer, Session]]
WILLING = Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"}), roots=["file:///srv"])


def job_of(server: FakeMcpServer) -> Any:
    """Return the only task of the server."""
    assert isinstance(server.offer, Interactive)
    (job,) = server.offer.tasks.values()
    return job


def begun(session: Session) -> Task:
    """Begin the tool ``job``."""
    task = session.submit_tool("job")
    assert isinstance(task, Task)
    return task


def test_a_task_is_begun_and_waited_for(talk: Talk) -> None:
    """It is polled at the pace that the server names, its questions are answered, and its result is a call's."""
    server, session = talk("modern", WILLING)

    task = begun(session)
    assert "working" == task.status
    first, second = json.loads(task.wait(timeout=20).text())

    assert "accept" == first["first"]["action"]
    assert [{"uri": "file:///srv"}] == second["roots"]["roots"]
    assert task.finished
    assert [["first"], ["roots", "second"]] == [
        sorted(each.message["params"]["inputResponses"]) for each in server.called("tasks/update")
    ]
    for method in ("tasks/get", "tasks/update"):
        assert {task.id} == {each.headers["mcp-name"] for each in server.called(method)}


def test_another_session_takes_it_up(talk: Talk, fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """The id is all that a later run needs."""
    from mcpvault.connectors import HttpConnector

    server, session = talk("modern", WILLING)
    task_id = begun(session).id
    session.close()
    with HttpConnector(server.url) as connector:
        later = connector.session(WILLING)

        assert "unknown" == later.task(task_id).status
        assert "accept" == json.loads(later.task(task_id).wait(timeout=20).text())[0]["first"]["action"]


def test_a_call_waits_for_its_task(talk: Talk) -> None:
    """With ``on_task`` a call may be answered so: the callback gets the task at once, the caller the result."""
    seen: list[Task] = []
    _, session = talk(
        "modern", Callbacks(on_task=seen.append, on_elicitation=WILLING.on_elicitation, roots=["file:///"])
    )

    assert "accept" in session.call_tool("job", timeout=20).text()
    assert ["completed"] == [task.status for task in seen]


def test_tasks_are_declared_where_they_are_wanted(talk: Talk) -> None:
    """Only ``submit_tool``, ``on_task`` and requests about tasks declare the extension."""
    server, session = talk("modern", WILLING)
    session.call_tool("echo", {"message": "x"})
    assert isinstance(session.submit_tool("echo", {"message": "x"}), CallToolResult)
    begun(session)

    declared = [
        "extensions" in each.message["params"]["_meta"][META_CAPABILITIES] for each in server.called("tools/call")
    ]
    assert [False, True, True] == declared
    assert {TASKS: {}} == server.called("tools/call")[1].message["params"]["_meta"][META_CAPABILITIES]["extensions"]


def test_a_task_that_nobody_asked_for_is_an_error(talk: Talk) -> None:
    """``resultType`` ``task`` without the declaration breaks the protocol."""
    server, session = talk("modern")
    wanted = {"resultType": "task", "taskId": "t", "status": "working"}
    server.misbehave("result-of-wrong-shape", on="tools/call", result=wanted)

    with pytest.raises(RemoteProtocolError, match="was not asked for"):
        session.call_tool("echo", {"message": "x"})


def test_time_that_is_over_leaves_the_task_alone(talk: Talk) -> None:
    """Waiting ends, the task goes on, and waiting again gets its result."""
    server, session = talk("modern", WILLING)
    assert isinstance(server.offer, Interactive)
    server.offer.hold = 1_000
    task = begun(session)

    with pytest.raises(DeadlineExceededError):
        task.wait(timeout=0.2)
    assert [] == server.called("tasks/cancel")
    job_of(server)._left = job_of(server)._hold = 0
    assert "accept" in task.wait(timeout=20).text()


def test_a_task_is_cancelled(talk: Talk) -> None:
    """``cancel`` tells the server; whoever waits gets an error of the tool's kind."""
    server, session = talk("modern", WILLING)
    task = begun(session)
    task.cancel()

    assert "cancelled" == task.refresh().status
    with pytest.raises(ToolError, match="was cancelled"):
        task.wait()
    assert 1 == len(server.called("tasks/cancel"))


def test_a_failing_callback_cancels_a_call_s_task(talk: Talk) -> None:
    """What a callback raises ends the call, and the task with it."""

    def refuse(_: Any) -> Any:
        raise LookupError("mine")

    server, session = talk("modern", Callbacks(on_task=lambda task: None, on_elicitation=refuse, roots=[]))

    with pytest.raises(LookupError, match="mine"):
        session.call_tool("job")
    assert "cancelled" == job_of(server).state["status"]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"status": "failed", "error": {"code": -32000, "message": "broken"}}, RpcError),
        ({"status": "failed"}, RemoteProtocolError),
        ({"status": "completed"}, RemoteProtocolError),
        ({"status": "completed", "result": {"content": 7}}, RemoteProtocolError),
        ({"status": "done"}, RemoteProtocolError),
        ({"status": "input_required"}, RemoteProtocolError),
        ({"status": "input_required", "inputRequests": {"a": {"method": "unheard/of"}}}, RemoteProtocolError),
    ],
)
def test_what_a_task_may_end_with(state: dict[str, Any], error: type[Exception], talk: Talk) -> None:
    """A failure is the server's own error; a state that there is not breaks the protocol."""
    server, session = talk("modern", WILLING)
    task = begun(session)
    server.misbehave("result-of-wrong-shape", on="tasks/get", result={"resultType": "complete", **state})

    with pytest.raises(error):
        task.wait(timeout=20)


def test_declined_sampling_ends_the_waiting(talk: Talk) -> None:
    """A task that needs what is declined cannot go on with us."""
    server, session = talk("modern", Callbacks(on_sampling=lambda params: None))
    task = begun(session)
    wanted = {"m": {"method": "sampling/createMessage", "params": {"messages": []}}}
    state = {"resultType": "complete", "status": "input_required", "inputRequests": wanted}
    server.misbehave("result-of-wrong-shape", on="tasks/get", result=state)

    with pytest.raises(InputDeclinedError):
        task.wait(timeout=20)


def test_an_id_is_not_shown(talk: Talk) -> None:
    """It may be as good as a credential: neither the repr nor an error has it."""
    server, session = talk("modern", WILLING)
    task = begun(session)
    job_of(server)
    assert task.id not in repr(task)
    server.misbehave("rpc-error", on="tasks/get", code=-32602, message=f"no task {task.id}")

    with pytest.raises(RpcError) as caught:
        task.refresh()
    assert task.id not in str(caught.value)


@pytest.mark.parametrize("pace", [10**400, "soon", True, None])
def test_a_pace_that_is_none_is_the_usual_one(pace: Any, talk: Talk) -> None:
    """What a server calls an interval and is none does not break the waiting."""
    server, session = talk("modern")
    task = Task("id", session, {"status": "working", "pollIntervalMs": pace})

    with pytest.raises(DeadlineExceededError):
        task.wait(timeout=0.05)
    assert [] == server.called("tasks/get")
