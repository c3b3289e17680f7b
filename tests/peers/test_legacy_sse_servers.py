"""End to end over HTTP+SSE (2024-11-05): npm's server-everything, and the mcp SDK 1.x with a bearer token."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.connectors import HttpConnector
from mcpvault.errors import CredentialRejectedError, DeadlineExceededError, RemoteProtocolError, RequestLostError

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent
TOKEN = "sesame-0123456789abcdef"


@pytest.fixture(scope="session")
def everything_sse(real_server: Callable[..., Any], everything_stdio: list[str]) -> str:
    """Return the stream's URL of server-everything over HTTP+SSE."""
    env = {"NODE_OPTIONS": f"--require {HERE / 'loopback.cjs'}"}
    return str(real_server([*everything_stdio[:2], "sse"], env=env, path="/message").url).replace("/message", "/sse")


@pytest.fixture(scope="session")
def bearer_sse(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> Any:
    """Return a server of the mcp SDK 1.x that demands TOKEN, over HTTP+SSE."""
    command = [peer_path("mcp1/bin/python"), str(HERE / "servers/bearer_server.py")]
    return real_server(command, env={"PEER_TOKEN": TOKEN, "PEER_TRANSPORT": "sse"}, path="/messages/")


@pytest.fixture(params=["sse", "auto"])
def session(request: pytest.FixtureRequest, everything_sse: str) -> Iterator[Session]:
    """Give a session with server-everything, told that it is an old one, or left to find out."""
    callbacks = Callbacks(
        on_sampling=lambda params: {"role": "assistant", "content": {"type": "text", "text": "four"}, "model": "m"},
    )
    with HttpConnector(everything_sse, transport=request.param, timeout=30) as connector:
        yield connector.session(callbacks)


def test_an_old_server_is_spoken_to(session: Session) -> None:
    """Tools, resources, progress and questions in the middle of a call work over one long stream."""
    assert {"echo", "get-sum"} <= {tool.name for tool in session.list_tools()}
    assert "legacy" == session.era
    assert "Echo: grüß\u2028dich" == session.call_tool("echo", {"message": "grüß\u2028dich"}).text()
    assert session.read_resource(session.list_resources()[0].uri)
    steps: list[float] = []
    session.call_tool(
        "trigger-long-running-operation",
        {"duration": 0.2, "steps": 2},
        on_progress=lambda said: steps.append(said["progress"]),
    )
    assert [1, 2] == steps
    assert "four" in session.call_tool("trigger-sampling-request", {"prompt": "2+2", "maxTokens": 5}).text()


def test_threads_share_the_stream(everything_sse: str) -> None:
    """Each gets its own answer."""
    with HttpConnector(everything_sse, transport="sse", timeout=30) as connector:
        session = connector.session()
        said: dict[int, str] = {}

        def work(number: int) -> None:
            said[number] = session.call_tool("echo", {"message": f"{number}"}).text()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert {number: f"Echo: {number}" for number in range(8)} == said


def test_a_deadline_ends_the_call_and_not_the_stream(everything_sse: str) -> None:
    """The server is told that nobody waits any more, and the next call is answered on the same stream."""
    with HttpConnector(everything_sse, transport="sse", timeout=30) as connector:
        session = connector.session()
        session.list_tools()
        with pytest.raises(DeadlineExceededError):
            session.call_tool("trigger-long-running-operation", {"duration": 30, "steps": 3}, timeout=0.3)

        assert "Echo: x" == session.call_tool("echo", {"message": "x"}).text()


def test_the_credential_goes_along(bearer_sse: Any) -> None:
    """With the token the calls work; without it the error is the usual one, and nothing else is tried."""
    url = bearer_sse.url.replace("/messages/", "/sse")
    with HttpConnector(url, auth_token=TOKEN, transport="auto") as connector:
        assert "peer says: x" == connector.session().call_tool("echo", {"message": "x"}).text()
    for transport in ("sse", "auto"):
        refused = HttpConnector(url, auth_token="wrong-" + TOKEN, transport=transport)
        with refused, pytest.raises(CredentialRejectedError):
            refused.session().list_tools()


def test_streamable_http_is_not_mistaken(everything_http: str) -> None:
    """A newer server is spoken to in the newer way, whatever would fit besides; the older way has a hint."""
    with HttpConnector(everything_http, transport="auto") as connector:
        assert "Echo: x" == connector.session().call_tool("echo", {"message": "x"}).text()
    older = HttpConnector(everything_http, transport="sse")
    with older, pytest.raises(RemoteProtocolError, match="offers no event stream"):
        older.session().list_tools()


def test_it_is_opt_in(everything_sse: str) -> None:
    """By default the old transport is not tried; the hint says how to allow it."""
    with HttpConnector(everything_sse) as connector, pytest.raises(RemoteProtocolError) as caught:
        connector.session().list_tools()
    assert "run: mcpvault set server transport sse" in (caught.value.hint or "")


def test_a_vault_names_it_and_remembers(
    mcpvault: Callable[..., subprocess.CompletedProcess[str]], everything_sse: str, home: Path
) -> None:
    """``set NAME transport auto`` is all it takes; the next run goes straight to the stream."""
    mcpvault("init")
    mcpvault("add", "old", everything_sse)
    mcpvault("set", "old", "transport", "auto")
    for _ in range(2):
        assert "Echo: x" == mcpvault("call", "old", "echo", '{"message": "x"}').stdout.strip()
    (eras,) = home.glob(".local/state/mcpvault/*/eras.json")

    assert {f"sse:{everything_sse}": "legacy"}.items() <= json.loads(eras.read_text()).items()


def test_a_server_that_dies_loses_the_request(real_server: Callable[..., Any], everything_stdio: list[str]) -> None:
    """The end of the stream is a lost request, at once; the next call says that nobody is there."""
    env = {"NODE_OPTIONS": f"--require {HERE / 'loopback.cjs'}"}
    server = real_server([*everything_stdio[:2], "sse"], env=env, path="/message")
    with HttpConnector(server.url.replace("/message", "/sse"), transport="sse", timeout=30) as connector:
        session = connector.session()
        session.list_tools()
        end = threading.Timer(0.3, server.process.kill)
        end.start()
        with pytest.raises(RequestLostError, match="may have been carried out"):
            session.call_tool("trigger-long-running-operation", {"duration": 30, "steps": 3})
