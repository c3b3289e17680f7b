"""Messages to bytes and back: what is a message, and what is an error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.errors import RemoteProtocolError, RpcError, UnknownToolError, UsageError
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.rpc_errors import rpc_error
from mcpvault.secret import Secret

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc\u2028ü", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_survives_the_way_out_and_back(value: Any) -> None:
    """Big integers, floats, null and every character come back as they went, on one line."""
    sent = jsonrpc.request(1, "m", {"value": value})

    assert value == jsonrpc.decode(sent)["params"]["value"] == json.loads(sent)["params"]["value"]
    assert b"\n" not in sent


@pytest.mark.parametrize(
    "value",
    [math.nan, [1, {"a": math.inf}], object(), "\ud800", {"a": {1, 2, object()}}, None],
    ids=["nan", "infinity", "object", "lone surrogate", "set", "endless"],
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    """Nothing is sent with another meaning than it was given."""
    if value is None:
        value = []
        value.append(value)
    with pytest.raises(UsageError) as caught:
        jsonrpc.request(1, "tools/call", {"value": value})

    assert (None, None) == (caught.value.__context__, caught.value.__cause__)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": 12345678901234567890123}', {"a": 12345678901234567890123}),
        (b'{"a":"\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (bytearray(b"[1.5]"), [1.5]),
        (memoryview(b"x[true]")[1:], [True]),
    ],
    ids=["big integer", "lone surrogate", "twice", "bytearray", "view"],
)
def test_valid_json_is_read(data: Any, expected: Any) -> None:
    """What the standard library reads is read, with the same meaning."""
    assert expected == jsonrpc.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"welcome", b"{", b'{"a":NaN}', b"[Infinity]", b'"\xff"', b"\xef\xbb\xbf{}", b"[" * 100_000,
        b"9" * 100_000,
        b'{"a":"\\ud800",}', b'["\\ud800"' + b"[" * 100_000, b"{}{}",
    ],
    ids=[
        "empty", "words", "half", "nan", "infinity", "not utf-8", "bom", "deep", "huge number", "surrogate and comma",
        "surrogate and deep", "two",
    ],
)  # fmt: skip
def test_anything_else_is_an_error_without_a_trace_of_the_input(data: bytes) -> None:
    """The decoder's own exception, which quotes what it read, does not come along."""
    error = jsonrpc.decode(data)

    assert isinstance(error, RemoteProtocolError)
    assert (None, None) == (error.__context__, error.__cause__)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"id": 1, "result": {}}, None),
        ({"id": 1, "result": {}, "error": None}, None),
        ({"id": 1, "error": {"code": 1, "message": "m"}}, None),
        ({"id": 1, "result": None, "error": {"code": 1, "message": "m"}}, None),
        ({"id": 1, "result": {}, "error": {"code": 1, "message": "m"}}, "both result and error"),
        ({"id": 1}, "neither result nor error"),
        ({"id": 1, "result": []}, "a result that is no object"),
        ({"id": 1, "result": None}, "a result that is no object"),
        ({"id": 1, "error": "broken"}, "a misshapen error"),
        ({"id": 1, "error": {"message": "m"}}, "a misshapen error"),
        ({"id": 1, "error": {"code": 1}}, "a misshapen error"),
        ({"id": 1, "error": {"code": True, "message": "m"}}, "a misshapen error"),
        ({"id": 1, "error": {"code": 1, "message": 2}}, "a misshapen error"),
    ],
)
def test_flaws_are_named(message: dict[str, Any], expected: str | None) -> None:
    """A response has exactly one of result and error, each of its shape."""
    assert expected == jsonrpc.flaw(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"id": 1, "result": {}}, True),
        ({"id": 2, "result": {}}, False),
        ({"id": "1", "result": {}}, False),
        ({"id": True, "result": {}}, False),
        ({"id": 1.0, "result": {}}, False),
        ({"result": {}}, False),
        ({"id": None, "error": {"code": 1, "message": ""}}, True),
        ({"error": {"code": 1, "message": ""}}, True),
        ({"id": 1, "method": "ping"}, False),
    ],
)
def test_an_answer_has_the_id_of_its_request(message: dict[str, Any], expected: bool) -> None:
    """The type of the id counts; an error without an id belongs to the request it came back for."""
    assert expected == jsonrpc.is_answer(message, 1)


def test_requests_of_the_server_are_answered() -> None:
    """Ping gets an empty result, everything else "method not found", under the server's own id."""
    pong = json.loads(jsonrpc.reply_to({"id": "s-1", "method": "ping"}))
    no = json.loads(jsonrpc.reply_to({"id": 7, "method": "sampling/createMessage"}))

    assert {"jsonrpc": "2.0", "id": "s-1", "result": {}} == pong
    assert (7, -32601) == (no["id"], no["error"]["code"])


@pytest.mark.parametrize("id_", ["\ud800s", {"a": 1}, [1], True, None], ids=repr)
def test_an_id_that_cannot_be_said_back_is_null(id_: Any) -> None:
    """A server's request with an impossible id is answered without one, and does not end our own call."""
    assert json.loads(jsonrpc.reply_to({"id": id_, "method": "ping"}))["id"] is None


def test_an_error_becomes_an_exception_with_the_servers_facts() -> None:
    """Code and data are the server's; its words stand in the message as one quoted line."""
    message = {"id": 1, "error": {"code": -32000, "message": "no\x1b[31m\r\nluck" + "!" * 500, "data": {"why": [1]}}}
    with pytest.raises(RpcError) as caught:
        jsonrpc.result_of(message, "tools/list", None, server="linear")

    assert (-32000, {"why": [1]}, "linear") == (caught.value.code, caught.value.data, caught.value.server)
    assert caught.value.message.startswith("linear: tools/list: the server answered error -32000: 'no [31m luck!")
    assert len(caught.value.message) < 300


def test_what_a_server_says_back_is_masked() -> None:
    """A live secret in an error's message or data does not get out, at the place where the message is cut either."""
    secret = Secret("canary-0123456789abcdef")
    for padding in (0, 185, 190, 199):
        said = "x" * padding + secret.reveal()
        error = rpc_error({"code": 1, "message": said, "data": {"a": [said], said: 1}}, method="m", server="s")
        assert "canary-0" not in f"{error} {error.data}"


@pytest.mark.parametrize("data", [["x" * 70_000], None], ids=["large", "none"])
def test_large_data_of_an_error_is_dropped(data: Any) -> None:
    """An error keeps only data of a size that is of use."""
    assert rpc_error({"code": 1, "message": "m", "data": data}, method="m", server="s").data is None


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        *(("tools/call", kind) for kind in ("riddle", 7, None, ["task"])),
        *((method, "input_required") for method in ("tools/list", "server/discover", "completion/complete")),
        *((method, "task") for method in ("prompts/get", "resources/read", "tools/list", "tasks/get")),
    ],
)
def test_other_kinds_of_result_are_refused(method: str, kind: Any) -> None:
    """What the protocol does not know, or not for this request, is an invalid result."""
    with pytest.raises(RemoteProtocolError):
        jsonrpc.result_of({"id": 1, "result": {"resultType": kind}}, method, None, server="s")


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("tools/call", "task"),
        *((method, "input_required") for method in ("tools/call", "prompts/get", "resources/read")),
    ],
)
def test_results_that_are_not_the_end_are_handed_on(method: str, kind: str) -> None:
    """A result that wants something more reaches whoever can give it."""
    assert {"resultType": kind} == jsonrpc.result_of({"id": 1, "result": {"resultType": kind}}, method, {}, server="s")


@pytest.mark.parametrize("said", ["Unknown tool: nope", "Tool nope not found", "tool 'nope' does not exist"])
def test_an_unknown_tool_has_its_own_error(said: str) -> None:
    """A call of a tool that does not exist is told apart from wrong arguments."""
    with pytest.raises(UnknownToolError) as caught:
        jsonrpc.result_of(
            {"id": 1, "error": {"code": -32602, "message": said}}, "tools/call", {"name": "nope"}, server="s"
        )
    assert "run: mcpvault tools s" == caught.value.hint

    for method, code in (("tools/call", -32603), ("prompts/get", -32602)):
        with pytest.raises(RpcError):
            jsonrpc.result_of({"id": 1, "error": {"code": code, "message": said}}, method, {}, server="s")


def test_batches_only_where_the_revision_has_them() -> None:
    """An array of messages is taken apart for 2025-03-26 and refused otherwise."""
    data = b'[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","method":"n"}]'

    assert 2 == len(jsonrpc.read(data, batches=True))
    with pytest.raises(RemoteProtocolError):
        jsonrpc.read(data)


@pytest.mark.parametrize("data", [b"7", b'"x"', b"{}", b'{"jsonrpc":"1.0","id":1}', b"[]", b"[7]"])
def test_json_that_is_no_message_is_refused(data: bytes) -> None:
    """Every message says that it is JSON-RPC 2.0."""
    for batches in (False, True):
        if data != b"[]" or not batches:
            with pytest.raises(RemoteProtocolError):
                jsonrpc.read(data, batches=batches)
