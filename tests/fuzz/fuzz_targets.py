"""
What must hold of each parser for any bytes at all: one function per parser, run by Hypothesis and by atheris.

A target returns for input that is good and for input that is refused the way it should be; anything else raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, MessageTooLargeError, RemoteProtocolError
from mcpvault.mcp import era, jsonrpc, judgement, prompts, resources, types
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.sse import SSEDecoder
from mcpvault.oauth import challenge
from mcpvault.transports.mailbox import Mailbox, Waiter
from vault_schema import Document, SchemaError, canonical, dump_plain, parse, rewrite

CORPUS = Path(__file__).parent / "corpus"
_NO_SERVERS = Path(__file__).parents[2] / "vault_schema/testkit/good-no-servers.vault"
HEADER = _NO_SERVERS.read_bytes().partition(b"---\n")[2]  # makes a vault of tables of servers
_BEYOND_SMALL = b" " * (64 * 1024)  # whitespace that makes ``decode`` take the way of large messages
_METHODS = ("tools/call", "tools/list", "resources/read", "prompts/get", "server/discover", "initialize")
_LIMIT = 64  # bytes of an event, for the decoder that refuses

Event = tuple[str, bytes, str, int | None]


# SSE


def by_the_book(stream: bytes) -> list[Event]:
    """Return the events as WHATWG HTML §9.2.6 says, from the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[Event] = []
    kind, data, last_id, retry = "", [], "", None
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append((kind or "message", b"\n".join(data), last_id, retry))
                retry = None
            kind, data = "", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            retry = int(value)
    return events


def decoded(*pieces: bytes, limit: int = 1 << 20) -> list[Event]:
    """Return the events in *pieces*, their data as bytes."""
    decoder = SSEDecoder(limit)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [(event.event, bytes(event.data), event.id, event.retry) for event in events]


def cut(data: bytes, size: int) -> list[bytes]:
    """Return *data* in pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def sse(data: bytes) -> None:
    """However it is cut, a stream has the standard's events, or is refused because one is larger than the limit."""
    expected = by_the_book(data)
    assert expected == decoded(data)
    for size in (1, 2, 3, 7, len(data) // 2 + 1):
        assert expected == decoded(*cut(data, size))
    try:
        few = decoded(*cut(data, 1), limit=_LIMIT)
    except MessageTooLargeError:
        return
    assert expected == few
    assert all(len(event[1]) <= _LIMIT for event in few)


# JSON-RPC


def by_the_library(data: bytes) -> Any:
    """Return what the standard library reads, strictly, or None where it reads nothing."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    def finite(text: str) -> float:
        if math.isinf(number := float(text)):
            refuse(text)
        return number

    try:
        return [json.loads(data.decode(), parse_constant=refuse, parse_float=finite)]
    except (ValueError, RecursionError):
        return None


def value_of(data: bytes) -> Any:
    """Return what ``decode`` reads, in a list, or None where it refuses."""
    value = jsonrpc.decode(data)
    return None if isinstance(value, RemoteProtocolError) else [value]


def rpc(data: bytes) -> None:
    """Small and large messages mean what the standard library reads; what is in them is judged or used, typed."""
    expected = by_the_library(data)
    assert repr(expected) == repr(value_of(data))
    assert repr(expected) == repr(value_of(data + _BEYOND_SMALL))
    for batches in (False, True):
        try:
            found = jsonrpc.read(data, batches=batches)
        except RemoteProtocolError:
            continue
        for message in found:
            _heard(message)


def _heard(message: dict[str, Any]) -> None:
    """Do with a message what a session does."""
    _delivered(message)
    if not jsonrpc.is_response(message):
        if "id" in message and isinstance(message["method"], str):
            json.loads(ClientSide("fuzz").reply(message))
        return
    jsonrpc.is_answer(message, 1)
    judgement.judge_discover(200, message)
    for method in _METHODS:
        try:
            result = jsonrpc.result_of(message, method, {"name": "tool"}, server="fuzz")
        except McpVaultError:
            continue
        for use in (_as_tool_result, _as_list, _as_contents, _as_messages, _as_completion, _as_handshake):
            try:
                use(result)
            except McpVaultError:
                continue


def _delivered(message: dict[str, Any]) -> None:
    """Whoever waits gets it, or the end."""
    come: list[list[dict[str, Any]] | None] = [[message, message], None]
    box = Mailbox(lambda deadline, what: come.pop(0))
    listening = box.expect(Waiter((2,), listens="all"))
    subscribed = box.expect(Waiter((3,), listens="subscription"))
    asking = box.expect(Waiter((1,), token=1))
    for waiter in (asking, listening, subscribed):
        while box.next(waiter, Deadline(5), "fuzz", server="fuzz") is not None:
            pass


def _as_tool_result(result: dict[str, Any]) -> None:
    found = types.call_tool_result(result, server="fuzz")
    assert isinstance(found.text(), str)
    for block in found.content:
        assert isinstance(block.data(), bytes)


def _as_list(result: dict[str, Any]) -> None:
    for raw in types.items(result, "tools", "name", method="tools/list", server="fuzz"):
        tool = types.Tool(raw)
        assert isinstance(tool.name, str)
        assert isinstance(tool.input_schema, dict)
        assert isinstance(tool.annotations, dict)
        assert isinstance(prompts.Prompt(raw).arguments, list)


def _as_contents(result: dict[str, Any]) -> None:
    for raw in types.objects(result, "contents", method="resources/read", server="fuzz")["contents"]:
        assert isinstance(resources.ResourceContents(raw).data(), bytes)


def _as_messages(result: dict[str, Any]) -> None:
    got = prompts.GetPromptResult(types.objects(result, "messages", method="prompts/get", server="fuzz"))
    for message in got.messages:
        assert isinstance(message.role, str)
        assert isinstance(message.content.text, str | None)


def _as_completion(result: dict[str, Any]) -> None:
    assert isinstance(prompts.completion(result, server="fuzz").values, list)


def _as_handshake(result: dict[str, Any]) -> None:
    judgement.facts_of(result)
    judgement.accepted(result, era.LEGACY_STDIO, server="fuzz")


# WWW-Authenticate


def written(found: tuple[challenge.Challenge, ...]) -> str:
    """Return challenges as a header that says the same by the book."""

    def one(of: challenge.Challenge) -> str:
        head = of.scheme if of.token68 is None else f"{of.scheme} {of.token68}"
        pairs = [
            '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
            for name, value in of.parameters.items()
        ]
        if not pairs:
            return head
        return head + (", " if of.token68 is not None else " ") + ", ".join(pairs)

    return ", ".join(one(of) for of in found)


def www_authenticate(data: bytes) -> None:
    """Any header has challenges, if only none, and they are the same when they are written properly."""
    for header in (data.decode("latin-1"), data.decode("utf-8", "replace")):
        found = challenge.parse(header)
        assert plain(found) == plain(challenge.parse(written(found)))
        for of in (challenge.bearer(header), challenge.dpop(header)):
            if of is not None:
                assert isinstance(of.scope, str | None)
                assert isinstance(of.resource_metadata, str | None)


def plain(found: tuple[challenge.Challenge, ...]) -> list[tuple[str, dict[str, str], str | None]]:
    """Return challenges as plain values."""
    return [(of.scheme, dict(of.parameters), of.token68) for of in found]


# TOML


def toml(data: bytes) -> None:
    """A text is no vault, and the refusal names a line of it; or it is one, and can be ordered, written and edited."""
    for text in (data, HEADER + data):
        try:
            document = parse(text)
        except SchemaError as error:
            assert "\n" not in error.message
            assert error.line is None or 1 <= error.line <= text.count(b"\n") + 1, error.line
        else:
            _edited(document)


def _edited(document: Document) -> None:
    text, tree = document.text, document.tree
    canonical(tree)
    for name in document.server_names:
        list(document.secrets(name))
    assert tree == parse(dump_plain(tree)).tree
    assert text == rewrite(text, tree, tree)
    servers = {"added": {"url": "https://added.example/mcp"}, **tree.get("servers", {})}
    for gone in document.server_names[:1]:
        del servers[gone]
    wanted = {**tree, "servers": servers}
    assert wanted == parse(rewrite(text, tree, wanted)).tree


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": sse,
    "jsonrpc": rpc,
    "challenge": www_authenticate,
    "toml": toml,
}
