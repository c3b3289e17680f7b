"""``probe`` of what is no MCP server, or one without OAuth: it says what it saw, and proposes no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from house import Home

from mcpvault.testing import FakeMcpServer

PAGE = ("text/html; charset=utf-8", b"<html>hello")
NOT_HERE = "there is no MCP endpoint here"
NO_RPC = "what came back is no JSON-RPC"
RPC = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32600, "message": "no session"}}'


@contextmanager
def answering(status: int, media: str = "", body: bytes = b"", **headers: str) -> Iterator[str]:
    """Yield the URL of a server that has one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {**({"Content-Type": media} if media else {}), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home without a vault: the probe needs none."""
    return Home(tmp_path)


def probed(home: Home, url: str) -> dict[str, Any]:
    """Return what ``probe --json`` says."""
    told: dict[str, Any] = json.loads(home.run("probe", url, "--json").stdout)
    return told


@pytest.mark.parametrize(
    ("status", "content", "verdict", "problem"),
    [
        (200, PAGE, "does not answer as an MCP server does (200, text/html)", NO_RPC),
        (200, ("application/json", b'{"status": "up"}'), "does not answer as an MCP server does (200, ", NO_RPC),
        (204, (), "does not answer as an MCP server does (204)", NO_RPC),
        (400, PAGE, "does not answer as an MCP server does (400, text/html)", NO_RPC),
        (404, PAGE, "does not answer as an MCP server does (404, text/html)", NOT_HERE),
        (405, (), "does not answer as an MCP server does (405)", NOT_HERE),
    ],
)
def test_what_is_no_mcp_server_is_not_proposed(
    home: Home, status: int, content: tuple[Any, ...], verdict: str, problem: str
) -> None:
    """A page, an API, an address where nothing is: said, and no command at all."""
    with answering(status, *content) as url:
        found = probed(home, url)
        said = home.run("probe", url).stdout

    assert (True, True, []) == (
        found["verdict"].startswith(verdict), found["problem"].startswith(problem), found["commands"],
    )  # fmt: skip
    assert "mcpvault add" not in said
    assert f"{url}: {verdict}" in said


@pytest.mark.parametrize(
    ("location", "shown"),
    [("https://mcp.example.com/v2?key=abc", "https://mcp.example.com/v2?…"), ("/elsewhere", "/elsewhere")],
)
def test_a_redirect_is_told_and_not_followed(home: Home, location: str, shown: str) -> None:
    """Where it leads is shown without its query; whether that is the server is a person's to say."""
    with answering(302, Location=location) as url:
        found = probed(home, url)

    assert ("redirects (302)", []) == (found["verdict"], found["commands"])
    assert f"{shown}, and nothing is sent there unasked" in found["problem"]


def test_a_redirect_to_nowhere_is_no_mcp_answer(home: Home) -> None:
    """A place that is no address is not shown."""
    with answering(307, Location="http://[") as url:
        assert "does not answer as an MCP server does (307)" == probed(home, url)["verdict"]


@pytest.mark.parametrize(
    ("status", "media", "body"),
    [
        (200, "application/json", RPC),
        (400, "application/json", RPC),
        (404, "application/json", RPC),
        (200, "text/event-stream", b"event: message\ndata: " + RPC + b"\n\n"),
    ],
)
def test_an_mcp_server_is_known_by_its_words(home: Home, status: int, media: str, body: bytes) -> None:
    """Servers of before refuse the first request in JSON-RPC, by itself or on a stream: they can be added."""
    with answering(status, media, body) as url:
        found = probed(home, url)

    assert (True, "answers without a credential") == (found["mcp"], found["verdict"])
    assert [f"mcpvault add server {url}"] == found["commands"]


@pytest.mark.parametrize(
    ("challenge", "options"),
    [
        ({}, "--header-stdin X-API-Key   # or the header that it wants; or: --bearer-prompt"),
        (
            {"WWW_Authenticate": "ApiKey"},
            "--header-stdin X-API-Key   # or the header that it wants; or: --bearer-prompt",
        ),
        ({"WWW_Authenticate": "Bearer"}, "--bearer-prompt"),
        ({"WWW_Authenticate": 'Basic realm="x"'}, "--basic USER"),
    ],
)
def test_a_server_with_a_key_for_everything(home: Home, challenge: dict[str, str], options: str) -> None:
    """It answers 401 where metadata would be, too: it knows nothing of OAuth, and the command says what to give it."""
    with answering(401, **challenge) as url:
        found = probed(home, url)

    assert f"mcpvault add server {url} {options}" == found["commands"][0]
    assert "publishes no metadata" in found["problem"]


def test_metadata_behind_a_key_are_a_fault_where_they_are_named(home: Home) -> None:
    """A challenge that names metadata which nobody may read is a server to mend, and no command helps."""
    with FakeMcpServer() as other:
        named = f'Bearer resource_metadata="{other.url}/.well-known/oauth-protected-resource"'
        with answering(401, WWW_Authenticate=named) as url:
            assert [] == probed(home, url)["commands"]
