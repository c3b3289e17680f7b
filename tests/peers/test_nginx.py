"""Between us and the server a real nginx: it buffers, loses its server, answers with HTML, and gives up early."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcpvault.connectors import HttpConnector
from mcpvault.errors import McpVaultError, RequestLostError, ServerError, ServerUnavailableError
from mcpvault.testing import FakeMcpServer

pytestmark = pytest.mark.peer

CONFIGURATION = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_buffer_size 2m;  # nothing goes to a file: nobody may own the folder
    proxy_max_temp_file_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:@PORT@;
        proxy_http_version 1.1;
        location /buffered {{ proxy_pass {upstream}; proxy_buffering on; }}
        location /direct {{ proxy_pass {upstream}; proxy_buffering off; }}
        location /impatient {{ proxy_pass {upstream}; proxy_read_timeout 1s; }}
        location /narrow {{ proxy_pass {upstream}; client_max_body_size 1k; }}
        location /nobody {{ proxy_pass http://127.0.0.1:1/mcp; }}
    }}
}}
"""


@pytest.fixture(scope="module", params=["modern", "legacy"])
def upstream(request: pytest.FixtureRequest) -> Iterator[FakeMcpServer]:
    """Give the server behind it, in each era."""
    with FakeMcpServer(era=request.param, sse=True) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(upstream: FakeMcpServer, real_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a running nginx in front of it."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        told = "nginx is missing: run scripts/peers"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "template").write_text(CONFIGURATION.format(folder=folder, upstream=upstream.url))
    configure = f'sed "s/@PORT@/$PORT/" {folder}/template >{folder}/nginx.conf'
    run = f"exec {program} -e stderr -p {folder} -c {folder}/nginx.conf -g 'daemon off;'"
    return str(real_server(["sh", "-c", f"{configure} && {run}"], path="").url)


@pytest.fixture
def session(nginx: str, upstream: FakeMcpServer) -> Iterator[Callable[[str], Any]]:
    """Open a session by one way through it: ``session("direct")``."""
    opened: list[Any] = []

    def through(way: str) -> Any:
        connector = HttpConnector(f"{nginx}/{way}", timeout=20)
        opened.append(connector)
        return connector.session()

    yield through
    upstream.behave()
    for connector in opened:
        connector.close()


@pytest.mark.parametrize("way", ["buffered", "direct"])
def test_a_proxy_changes_nothing(session: Callable[[str], Any], way: str) -> None:
    """Text, a large answer and every step of progress come through, whether the proxy keeps the stream back or not."""
    through, told = session(way), []
    large = "grüß " * 100_000

    assert "hi" == through.call_tool("echo", {"message": "hi"}).text()
    assert large == through.call_tool("echo", {"message": large}).text()
    through.call_tool("slow", {"seconds": 0.2, "steps": 2}, on_progress=told.append)
    assert [1, 2] == [step["progress"] for step in told]


@pytest.mark.parametrize("habit", ["close-before-answer", "close-mid-answer", "close-mid-event"])
def test_a_server_that_dies_behind_it(session: Callable[[str], Any], upstream: FakeMcpServer, habit: str) -> None:
    """An answer that broke off behind the proxy is lost or a bad gateway, never repeated, and the next call works."""
    through = session("direct")
    through.list_tools()
    upstream.requests.clear()
    upstream.misbehave(habit, on="tools/call", times=1)
    with pytest.raises((RequestLostError, ServerUnavailableError)) as caught:
        through.call_tool("echo", {"message": "x"})

    assert 1 == len(upstream.called("tools/call"))
    assert "<html" not in f"{caught.value}"
    assert "again" == through.call_tool("echo", {"message": "again"}).text()


def test_a_gateway_without_a_server(session: Callable[[str], Any]) -> None:
    """Nginx's own 502 with its HTML page is a server that is not there just now: exit 4, and none of the page."""
    with pytest.raises(ServerUnavailableError) as caught:
        session("nobody").list_tools()

    assert 4 == caught.value.exit_code
    assert "502" in caught.value.message
    assert "<" not in f"{caught.value} {caught.value.hint}"


def test_a_gateway_that_gives_up(session: Callable[[str], Any], upstream: FakeMcpServer) -> None:
    """Nginx's 504 after its own limit is told as such, long before ours, and the call is not repeated."""
    through = session("impatient")
    through.list_tools()
    upstream.requests.clear()
    upstream.misbehave("hang-before-headers", on="tools/call", times=1)
    with pytest.raises(ServerUnavailableError) as caught:
        through.call_tool("echo", {"message": "x"})

    assert "504" in caught.value.message
    assert 1 == len(upstream.called("tools/call"))


def test_a_gateway_that_takes_no_large_body(session: Callable[[str], Any]) -> None:
    """Nginx's 413 is the server's no: exit 5, not an invitation to try again."""
    with pytest.raises(McpVaultError) as caught:
        session("narrow").call_tool("echo", {"message": "x" * 4096})

    assert isinstance(caught.value, ServerError)
    assert "413" in caught.value.message
