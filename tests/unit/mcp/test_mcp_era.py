"""The judgement table D1-D8: what an answer says about a server's era."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.errors import UnsupportedVersionError
from mcpvault.mcp import era, judgement
from mcpvault.mcp.rpc_errors import rpc_error

NEW, OLD = "2026-07-28", "2025-11-25"


def result(**fields: Any) -> dict[str, Any]:
    """Return a response with a result."""
    return {"jsonrpc": "2.0", "id": 1, "result": fields}


def error(code: int, data: Any = None) -> dict[str, Any]:
    """Return a response with an error."""
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "m", "data": data}}


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (200, result(supportedVersions=[NEW], capabilities={}), "modern"),
        (200, result(supportedVersions=["2099-01-01", NEW, OLD]), "modern"),
        (200, result(supportedVersions=[OLD, "2025-06-18"]), "legacy"),
        (200, result(supportedVersions=["2099-01-01"]), None),
        (200, result(tools=[]), "legacy"),
        (200, result(supportedVersions="2026-07-28"), "legacy"),
        (200, {"id": 1, "result": "text"}, None),
        (200, None, None),
        (400, error(-32022, {"supported": [NEW, OLD], "requested": NEW}), "modern"),
        (400, error(-32022, {"supported": [OLD]}), "legacy"),
        (400, error(-32022, {"supported": ["2099-01-01"]}), None),
        (400, error(-32020), "modern"),
        (400, error(-32021, {"requiredCapabilities": {}}), "modern"),
        (400, None, "legacy"),
        (404, None, "legacy"),
        (405, None, "legacy"),
        (400, error(-32000), "legacy"),
        (404, error(-32601), "legacy"),
        (200, error(-32601), "legacy"),
        (200, error(-32602), "legacy"),
        (400, error(-32600), "legacy"),
        (404, error(-32001), "legacy"),
        (200, {"id": 1, "error": "text"}, "legacy"),
    ],
)
def test_an_answer_to_discover(status: int, message: dict[str, Any] | None, expected: str | None) -> None:
    """Each row of the table, by status and body."""
    assert expected == judgement.judge_discover(status, message).era


def test_versions_without_one_in_common_are_named() -> None:
    """The error can say what the server speaks."""
    for message in (result(supportedVersions=["2099-01-01"]), error(-32022, {"supported": ["2099-01-01"]})):
        assert ("2099-01-01",) == judgement.judge_discover(200, message).supported


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, True) for code in (-32600, -32601, -32602, -32022, -32000, -32019)),
        *((code, False) for code in (-32020, -32021, -32603, -32700, 1, -31999)),
    ],
)
def test_what_makes_a_remembered_era_doubtful(code: int, expected: bool) -> None:
    """What a server says that does not understand us does; its own failures and modern codes do not."""
    assert expected == era.casts_doubt(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, True) for code in (-32601, -32022)),
        *((code, False) for code in (-32000, -32019, -32020, -32600, -32602, -32603, 1)),
    ],
)
def test_what_is_certain_to_come_before_anything_is_carried_out(code: int, expected: bool) -> None:
    """An unknown method or version is; all else may be said after half of the work."""
    assert expected == rpc_error(error(code)["error"], method="tools/call", server="x").refused


def test_the_answer_to_initialize() -> None:
    """A legacy version that we offer or accept is taken, any other named in the error."""
    assert "2025-03-26" == judgement.accepted({"protocolVersion": "2025-03-26"}, era.LEGACY_HTTP, server="s")
    assert "2024-11-05" == judgement.accepted({"protocolVersion": "2024-11-05"}, era.LEGACY_STDIO, server="s")
    for version in ("2024-11-05", NEW, "", 7, None):
        with pytest.raises(UnsupportedVersionError):
            judgement.accepted({"protocolVersion": version}, era.LEGACY_HTTP, server="s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo", "echo"),
        ("a b\tc", "a b\tc"),
        ("file:///a%20b?c=d", "file:///a%20b?c=d"),
        ("", "=?base64??="),
        (" x", "=?base64?IHg=?="),
        ("x\t", "=?base64?eAk=?="),
        ("grüß", "=?base64?Z3LDvMOf?="),
        ("a\r\nX: y", "=?base64?YQ0KWDogeQ==?="),
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        ("=?base64?a\nb?=", "=?base64?PT9iYXNlNjQ/YQpiPz0=?="),
        ("${NAME}", "=?base64?JHtOQU1FfQ==?="),
    ],
)
def test_values_are_fit_for_a_header(text: str, expected: str) -> None:
    """Plain visible ASCII goes as it is, the rest behind the sentinel."""
    assert expected == era.header_value(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_header_value_can_be_read_back(text: str) -> None:
    """A value is plain ASCII without surrounding space and means the text."""
    value = era.header_value(text)

    assert value.isascii() and value.isprintable() | ("\t" in value) and value == value.strip()
    encoded = value.startswith("=?base64?") and value.endswith("?=")
    assert text == (base64.b64decode(value[9:-2]).decode() if encoded else value)


def test_a_modern_request_says_everything_itself() -> None:
    """Version, capabilities and client stand in ``_meta``, beside what the caller put there; headers mirror it."""
    params = era.modern_params({"name": "é", "_meta": {"progressToken": 1}})

    assert {
        "progressToken": 1,
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": dict(era.CLIENT_INFO),
    } == params["_meta"]
    expected = {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/call", "Mcp-Name": "=?base64?w6k=?="}
    assert expected == era.modern_headers("tools/call", params)
    assert "mem://a" == era.modern_headers("resources/read", {"uri": "mem://a"})["Mcp-Name"]
    assert "Mcp-Name" not in era.modern_headers("tools/list", {"name": "x"})


@pytest.mark.parametrize("method", ["tools/call", "logging/setLevel", "tasks/cancel", "unheard/of"])
def test_only_reads_are_safe(method: str) -> None:
    """What may change something is never carried out twice by itself."""
    assert not era.is_safe(method)
    assert all(map(era.is_safe, ("tools/list", "resources/read", "prompts/get", "server/discover")))
