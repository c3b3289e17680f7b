"""What is left of a session that could not be entered, was closed, or was forgotten: nothing."""

from __future__ import annotations

import gc
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from mcpvault.connectors import HttpConnector
from mcpvault.errors import CredentialRejectedError
from mcpvault.testing import FakeMcpServer

TOKEN = "t" * 20
WRONG = "w" * 20
Serving = Callable[..., FakeMcpServer]


@pytest.fixture(autouse=True)
def complaints() -> Iterator[None]:
    """Fail if Python complains that something was left open."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [] == [str(each.message) for each in said if each.category is ResourceWarning]


def connected(server: FakeMcpServer) -> int:
    """Count our connections to *server*."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(descriptor))) as one:
                    count += one.getpeername()[1:2] == (server.port,)
    return count


@pytest.mark.parametrize("transport", ["http", "sse", "auto"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_session_that_cannot_be_entered_is_closed(fake_mcp_servers: Serving, era: str, transport: str) -> None:
    """A refused credential ends it on the way in: no connection stays open, and the next one begins afresh."""
    server = fake_mcp_servers(era=era, token=TOKEN)
    connector = HttpConnector(server.url, auth_token=WRONG, transport=transport)
    with pytest.raises(CredentialRejectedError), connector.session():
        pytest.fail("it was entered")
    assert 0 == connected(server)

    if transport != "sse":
        server.tokens[WRONG] = None
        with connector.session() as session:
            assert "x" == session.call_tool("echo", {"message": "x"}).text()
        assert 0 == connected(server)


def test_a_connector_gives_a_new_session_for_a_closed_one(fake_mcp_servers: Serving) -> None:
    """While one is open it is the same; afterwards it is another."""
    with HttpConnector(fake_mcp_servers().url) as connector:
        with connector.session() as first:
            assert first is connector.session()
        assert first.closed
        with connector.session() as second:
            assert "x" == second.call_tool("echo", {"message": "x"}).text()
        assert first is not second


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_session_that_is_forgotten_leaves_no_connection(fake_mcp_servers: Serving, era: str) -> None:
    """As with ``requests``: whoever closes nothing keeps nothing open, and hears no complaint."""
    server = fake_mcp_servers(era=era)
    session = HttpConnector(server.url).session()
    assert "x" == session.call_tool("echo", {"message": "x"}).text()
    assert connected(server) <= 1

    del session
    gc.collect()

    assert 0 == connected(server)
