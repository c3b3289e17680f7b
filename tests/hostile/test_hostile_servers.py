"""
Every misbehaviour of ``FakeMcpServer`` ends in a typed error, in time, in bounded memory, without the credential.

The table is the test: one row per misbehaviour, and a row for every misbehaviour (a test compares).
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mcpvault.connectors import HttpConnector
from mcpvault.errors import (
    CredentialRejectedError,
    DeadlineExceededError,
    ForbiddenError,
    InsufficientScopeError,
    McpVaultError,
    MessageTooLargeError,
    OriginMismatchError,
    RemoteProtocolError,
    RequestLostError,
    RpcError,
    ServerError,
    ServerUnavailableError,
)
from mcpvault.testing import FakeMcpServer
from mcpvault.testing.behaviours import BEHAVIOURS

CANARY = "canary-Q7h2vX9kLm4TzR8w"
PATIENCE = 0.5  # seconds that a call may take where the server would take for ever
MOST_MEMORY = 256 << 20  # what a gigabyte from the server may cost: the limit of a message, twice, and some


class Row(NamedTuple):
    """A misbehaviour during ``tools/call`` (or *on* another method), and the error that it must become."""

    name: str
    error: type[McpVaultError]
    code: int
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    on: str = "tools/call"
    seconds: float = 30.0


def late(name: str, **options: Any) -> Row:
    """Return a row for a server that would take for ever."""
    return Row(name, DeadlineExceededError, 4, options, seconds=PATIENCE)


ROWS = [
    # never
    late("endless-sse"),
    late("endless-sse", every=0.02),
    late("endless-comments"),
    late("announced-gigabyte"),
    late("drip"),
    late("drip", every=0.001),
    late("drip-headers"),
    late("hang-before-headers"),
    late("hang-mid-body"),
    late("hang-mid-event"),
    # too much
    Row("endless-line", MessageTooLargeError, 5),
    Row("endless-event", MessageTooLargeError, 5),
    Row("endless-json", MessageTooLargeError, 5),
    Row("gzip-bomb", MessageTooLargeError, 5),
    Row("endless-error-body", ServerError, 5),
    Row("endless-error-body", ServerUnavailableError, 4, {"status": 503}),
    Row("endless-error-body", CredentialRejectedError, 3, {"status": 401}),
    Row("huge-headers", ServerError, 5),
    Row("many-headers", ServerError, 5),
    Row("deep-json", RemoteProtocolError, 5),
    Row("huge-number", RemoteProtocolError, 5),
    # gone
    Row("close-before-answer", RequestLostError, 5),
    Row("close-mid-answer", RequestLostError, 5),
    Row("close-mid-event", RequestLostError, 5),
    Row("stream-without-answer", RequestLostError, 5),
    Row("truncated-chunk", RequestLostError, 5),
    # not what was asked for
    Row("wrong-id", ServerError, 5),
    Row("id-of-other-type", ServerError, 5),
    Row("missing-id", ServerError, 5),
    Row("error-without-id", RpcError, 5),
    Row("rpc-error", RpcError, 5),
    Row("misshapen-error", RemoteProtocolError, 5),
    Row("result-and-error", ServerError, 5),
    Row("neither-result-nor-error", RemoteProtocolError, 5),
    Row("result-of-wrong-shape", RemoteProtocolError, 5),
    Row("result-of-wrong-shape", RemoteProtocolError, 5, {"result": None}),
    Row("result-of-wrong-shape", RemoteProtocolError, 5, {"result": "text"}),
    Row("wrong-fields", RemoteProtocolError, 5),
    Row("wrong-fields", RemoteProtocolError, 5, on="tools/list"),
    Row("wrong-fields", RemoteProtocolError, 5, on="resources/read"),
    Row("wrong-fields", RemoteProtocolError, 5, on="prompts/get"),
    Row("unknown-result-type", RemoteProtocolError, 5),
    Row("cursor-loop", RemoteProtocolError, 5, on="tools/list"),
    Row("endless-pages", RemoteProtocolError, 5, on="tools/list"),
    Row("endless-pages", MessageTooLargeError, 5, {"padding": 5_000_000}, on="tools/list"),
    Row("batch", RemoteProtocolError, 5),
    # not JSON, not MCP, not HTTP
    Row("broken-gzip", RemoteProtocolError, 5),
    Row("invalid-utf8", RemoteProtocolError, 5),
    Row("invalid-utf8-event", RemoteProtocolError, 5),
    Row("nan", RemoteProtocolError, 5),
    Row("not-json", RemoteProtocolError, 5),
    Row("empty-body", RemoteProtocolError, 5),
    Row("html", RemoteProtocolError, 5),
    Row("wrong-content-type", RemoteProtocolError, 5),
    Row("no-content-type", RemoteProtocolError, 5),
    Row("accepted", RemoteProtocolError, 5),
    Row("no-content", RemoteProtocolError, 5),
    Row("not-http", ServerError, 5),
    # statuses
    Row("redirect", OriginMismatchError, 8, {"status": 301}),
    Row("redirect", OriginMismatchError, 8, {"status": 302}),
    Row("redirect", OriginMismatchError, 8, {"status": 307}),
    Row("redirect", OriginMismatchError, 8, {"status": 308}),
    Row("redirect", OriginMismatchError, 8, {"to": "file:///etc/passwd"}),
    Row("redirect", ServerError, 5, {"to": "/mcp"}),
    Row("redirect", ServerError, 5, {"to": "/other", "status": 302}),
    Row("too-many-requests", ServerUnavailableError, 4),
    Row("bad-gateway", ServerUnavailableError, 4),
    Row("html", ServerUnavailableError, 4, {"status": 503}),
    Row("status", ServerUnavailableError, 4, {"code": 500}),
    Row("status", ServerError, 5, {"code": 404}),
    Row("status", ServerError, 5, {"code": 418}),
    Row("unauthorized", CredentialRejectedError, 3),
    Row("unauthorized", CredentialRejectedError, 3, {"challenge": "Nonsense ,,,=\"'"}),
    Row("forbidden", ForbiddenError, 5),
    Row("forbidden", InsufficientScopeError, 3, {"challenge": 'Bearer error="insufficient_scope", scope="admin"'}),
    Row("echoes-credential", ServerError, 5),
    Row("echoes-credential", CredentialRejectedError, 3, {"code": 401}),
    Row("echoes-credential", ServerUnavailableError, 4, {"code": 500}),
    Row("echoes-credential-in-error", RpcError, 5),
    Row("echoes-credential-in-error", RpcError, 5, {"pad": 130}),
    Row("echoes-credential-in-error", RpcError, 5, {"pad": 165}),
]
# These are borne: the answer is there.
BORNE = {"asks-back", "duplicate-answer", "notifies-first", "priming-event"}


def spoken(row: Row) -> str:
    """Return the id of a row."""
    return " ".join([row.name, *map(str, row.options.values()), *([row.on] if row.on != "tools/call" else [])])


@pytest.mark.parametrize("row", ROWS, ids=spoken)
def test_a_misbehaving_server_becomes_a_typed_error(row: Row) -> None:
    """The error has the type and exit code of its row, comes in time, costs bounded memory and shows no credential."""
    with FakeMcpServer(token=CANARY) as server, HttpConnector(server.url, auth_token=CANARY).session() as session:
        session.call_tool("echo", {"message": "proper"})
        server.misbehave(row.name, on=row.on, **row.options)
        forget_peak()
        before = memory("VmRSS")
        begin = time.monotonic()

        with pytest.raises(McpVaultError) as caught:
            call(session, row)

        took = time.monotonic() - begin
        assert (True, row.code) == (isinstance(caught.value, row.error), caught.value.exit_code), repr(caught.value)
        assert took < row.seconds + 5
        assert memory("VmHWM") - before < MOST_MEMORY
        assert [] == [request for request in server.requests if request.path == "/elsewhere"]
        assert [] == [*leaks(caught.value)]


@pytest.mark.parametrize("name", sorted(BORNE))
def test_what_can_be_borne_is_borne(name: str) -> None:
    """Extra messages around the right answer do not cost the answer; what a modern server asks is left unanswered."""
    with FakeMcpServer(token=CANARY) as server, HttpConnector(server.url, auth_token=CANARY).session() as session:
        server.misbehave(name, on="tools/call")

        assert "hello" == session.call_tool("echo", {"message": "hello"}).text()
        assert [] == [request.message for request in server.requests if "method" not in request.message]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_session_survives(era: str) -> None:
    """After a misbehaviour of each family the same session works again."""
    with FakeMcpServer(era=era) as server, HttpConnector(server.url).session() as session:
        for name in ("close-mid-answer", "not-json", "wrong-id", "bad-gateway", "html", "invalid-utf8-event"):
            server.misbehave(name, on="tools/call", times=1)
            with pytest.raises(McpVaultError):
                session.call_tool("echo", {"message": "x"})
            assert "again" == session.call_tool("echo", {"message": "again"}).text()


def test_a_tool_call_is_never_repeated_by_itself() -> None:
    """A call whose answer was lost reached the server exactly once, whatever the tool's annotations promise."""
    with FakeMcpServer(era="modern") as server, HttpConnector(server.url).session() as session:
        (add,) = (tool for tool in server.offer.tools if tool["name"] == "add")
        hints = {"readOnlyHint": True, "idempotentHint": True, "destructiveHint": False}
        server.offer.tools[server.offer.tools.index(add)] = {**add, "annotations": hints}
        session.list_tools()
        for name in ("close-before-answer", "close-mid-answer", "stream-without-answer"):
            server.requests.clear()
            server.misbehave(name, on="tools/call", times=1)
            with pytest.raises(RequestLostError):
                session.call_tool("add", {"a": 1, "b": 2})
            assert 1 == len(server.called("tools/call"))


def test_retry_after_is_told() -> None:
    """The seconds of Retry-After are a fact of the error; a nonsensical value is none."""
    for value, expected in (("17", 17), ("soon", None), ("-5", None)):
        with FakeMcpServer(era="modern") as server, HttpConnector(server.url).session() as session:
            session.list_tools()
            server.misbehave("too-many-requests", on="tools/call", retry_after=value)
            with pytest.raises(ServerUnavailableError) as caught:
                session.call_tool("echo", {"message": "x"})
            assert expected == caught.value.retry_after


def test_nothing_is_left_open() -> None:
    """After misbehaviours of every family there are as many descriptors and threads as before."""
    with FakeMcpServer() as server:
        counts = []
        for _ in range(2):
            for name in ("hang-mid-body", "endless-line", "gzip-bomb", "close-mid-event", "not-json", "html", "drip"):
                with HttpConnector(server.url).session() as session:
                    server.misbehave(name, on="tools/call", times=1)
                    with pytest.raises(McpVaultError):
                        session.call_tool("echo", {"message": "x"}, timeout=0.5)
            mine = [thread for thread in threading.enumerate() if "process_request" not in thread.name]
            counts.append((len(client_sockets(server.port)), len(mine)))

    assert counts[0] == counts[1] == (0, counts[0][1])


def client_sockets(port: int) -> list[str]:
    """Return the descriptors of this process that are connected to *port*."""
    found = []
    for descriptor in os.listdir("/proc/self/fd") if Path("/proc/self/fd").exists() else ():
        with suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(descriptor))) as one:
                if one.getpeername()[1:2] == (port,):
                    found.append(descriptor)
    return found


DOUBLING: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}
COSTLY: dict[str, dict[str, Any]] = {
    "nested quantifiers": {"properties": {"message": {"pattern": "^(a+)+$"}}},
    "many quantifiers": {"properties": {"message": {"pattern": "^a*a*a*a*a*a*a*a*a*a*$"}}},
    "a choice of the same": {"properties": {"message": {"pattern": "(a|a)*$"}}},
    "doubling references": {"$defs": DOUBLING, "$ref": "#/$defs/d0"},
    "doubling by anchors": {
        "$defs": {name: {**each, "$anchor": name} for name, each in DOUBLING.items()},
        "allOf": [{"$ref": "#d0"}],
    },
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_schema_that_takes_for_ever_is_a_typed_error(kind: str) -> None:
    """``validate=True`` keeps to the call's time whatever the schema is; nothing is sent, and the session goes on."""
    schema = {"type": "object", **COSTLY[kind]}
    with FakeMcpServer(token=CANARY) as server, HttpConnector(server.url, auth_token=CANARY).session() as session:
        server.offer.tools[0] = {**server.offer.tools[0], "inputSchema": schema}
        begin = time.monotonic()

        with pytest.raises(RemoteProtocolError, match="its schema takes too long to check") as caught:
            session.call_tool("echo", {"message": "a" * 60 + "b"}, validate=True, timeout=2 * PATIENCE)

        assert time.monotonic() - begin < 2 * PATIENCE + 5
        assert [] == server.called("tools/call")
        assert [] == [*leaks(caught.value)]
        assert "x" == session.call_tool("echo", {"message": "x"}).text()


def test_every_misbehaviour_has_a_row() -> None:
    """A misbehaviour that no row mentions would be untested."""
    assert BEHAVIOURS.keys() == {row.name for row in ROWS} | BORNE


def call(session: Any, row: Row) -> object:
    """Make the call that the row is about."""
    match row.on:
        case "tools/list":
            return session.list_tools()
        case "resources/read":
            return session.read_resource("fake://text/greeting")
        case "prompts/get":
            return session.get_prompt("greet", {"who": "Ada"})
    return session.call_tool("echo", {"message": "x"}, timeout=row.seconds)


def memory(field: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def forget_peak() -> None:
    """Make VmHWM begin again at the memory of now."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def leaks(error: BaseException, seen: set[int] | None = None) -> Iterator[str]:
    """Yield where the canary shows: in the text, attributes, causes, contexts, or locals of the frames of ours."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    windows = [CANARY[start : start + 8] for start in range(len(CANARY) - 7)]

    def shows(text: str) -> bool:
        return any(window in text for window in windows)

    if shows(f"{error!r} {error} {vars(error)!r}"):
        yield f"{type(error).__name__} says it"
    for frame, line in traceback.walk_tb(error.__traceback__):
        if "/tests/" in frame.f_code.co_filename:
            continue
        for name, value in frame.f_locals.items():
            if shows(repr(value)):
                yield f"{frame.f_code.co_filename}:{line} {name}"
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from leaks(other, seen)
