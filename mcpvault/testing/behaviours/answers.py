"""JSON-RPC messages that are not what was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcpvault.testing.behaviours.registry import STREAM, behaviour, proper_answer

if TYPE_CHECKING:
    from mcpvault.testing.exchange import Exchange


@behaviour
def wrong_id(x: Exchange) -> None:
    """An answer to another request."""
    x.answer({**proper_answer(x), "id": 987654})


@behaviour
def id_of_other_type(x: Exchange) -> None:
    """The right id as text."""
    x.answer({**proper_answer(x), "id": f"{x.message.get('id')}"})


@behaviour
def missing_id(x: Exchange) -> None:
    """An answer without an id."""
    x.answer({key: value for key, value in proper_answer(x).items() if key != "id"})


@behaviour
def duplicate_answer(x: Exchange) -> None:
    """Two answers with the same id, the second one different."""
    x.start(200, STREAM)
    x.event(proper_answer(x))
    x.event({"jsonrpc": "2.0", "id": x.message.get("id"), "error": {"code": -32603, "message": "second thoughts"}})


@behaviour
def error_without_id(x: Exchange, code: int = -32603, status: int = 400) -> None:
    """A JSON-RPC error that names no request."""
    error = {"code": code, "message": "no id here"}
    x.whole(status, json.dumps({"jsonrpc": "2.0", "error": error}).encode())


@behaviour
def rpc_error(x: Exchange, code: int = -32603, message: str = "internal error", data: object = None) -> None:
    """A well-formed JSON-RPC error."""
    error = {"code": code, "message": message, "data": data}
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id"), "error": error})


@behaviour
def misshapen_error(x: Exchange) -> None:
    """An error that is not an object."""
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id"), "error": "it broke"})


@behaviour
def result_and_error(x: Exchange) -> None:
    """Both members at once."""
    x.answer({**proper_answer(x), "error": {"code": 1, "message": "both"}})


@behaviour
def neither_result_nor_error(x: Exchange) -> None:
    """No member at all."""
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id")})


@behaviour
def result_of_wrong_shape(x: Exchange, result: object = ("not", "an", "object")) -> None:
    """A result that is no object, or whatever *result* says."""
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id"), "result": result})


@behaviour
def wrong_fields(x: Exchange) -> None:
    """An object whose known fields have the wrong types."""
    wrong = {"tools": {"name": 1}, "content": "text", "contents": 7, "messages": None, "resources": [3], "prompts": "x"}
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id"), "result": {"resultType": "complete", **wrong}})


@behaviour
def unknown_result_type(x: Exchange) -> None:
    """A resultType that does not exist."""
    proper = proper_answer(x)
    x.answer({**proper, "result": {**proper.get("result", {}), "resultType": "riddle"}})


@behaviour
def cursor_loop(x: Exchange) -> None:
    """A list whose next page is always the same one."""
    proper = proper_answer(x)
    x.answer({**proper, "result": {**proper.get("result", {}), "nextCursor": "again"}})


@behaviour
def endless_pages(x: Exchange, padding: int = 0) -> None:
    """A list that never ends, with a new cursor each time; *padding*: bytes that one of its items has more."""
    cursor = (x.message.get("params") or {}).get("cursor") or "0"
    tool = {"name": f"tool-{cursor}", "description": "x" * padding, "inputSchema": {"type": "object"}}
    result = {"resultType": "complete", "tools": [tool], "nextCursor": str(int(cursor) + 1)}
    x.answer({"jsonrpc": "2.0", "id": x.message["id"], "result": result})


@behaviour
def batch(x: Exchange) -> None:
    """The proper answer in an array, as 2025-03-26 allowed."""
    x.answer([proper_answer(x)])


@behaviour
def asks_back(x: Exchange) -> None:
    """A ping and a sampling request from the server on the stream, then the proper answer."""
    x.start(200, STREAM)
    x.event({"jsonrpc": "2.0", "id": "server-1", "method": "ping"})
    x.event({"jsonrpc": "2.0", "id": "server-2", "method": "sampling/createMessage", "params": {}})
    x.event(proper_answer(x))


@behaviour
def notifies_first(x: Exchange, method: str = "notifications/tools/list_changed") -> None:
    """A notification on the stream, then the proper answer."""
    x.start(200, STREAM)
    x.event({"jsonrpc": "2.0", "method": method})
    x.event(proper_answer(x))


@behaviour
def priming_event(x: Exchange) -> None:
    """An event with an id and empty data first, as 2025-11-25 servers send it, then the proper answer."""
    x.start(200, STREAM)
    x.write(b"id: 1\nretry: 10\ndata: \n\n")
    x.event(proper_answer(x))
