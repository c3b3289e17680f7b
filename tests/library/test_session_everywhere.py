"""One session in threads, in forked children, and inside a running event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pool_house import in_a_child, vault_with

from mcpvault import Session
from mcpvault.testing import FakeMcpServer

Serving = Callable[..., FakeMcpServer]
STDIO = [sys.executable, "-m", "mcpvault.testing.stdio_server"]


def _echo(session: Session, word: str) -> str:
    return session.call_tool("echo", {"message": word}).text()


def _entry(kind: str, serving: Serving) -> tuple[dict[str, Any], FakeMcpServer | None]:
    if kind.startswith("stdio"):
        return {"command": STDIO[0], "args": [*STDIO[1:], "--era", kind.partition(" ")[2]]}, None
    server = serving(era=kind)
    return {"url": server.url}, server


KINDS = ["modern", "legacy", "stdio modern", "stdio legacy"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_opened_before_a_fork_begins_anew_in_the_child(
    home: Path, fake_mcp_servers: Serving, kind: str
) -> None:
    """The child has its own, may close it, and the parent's goes on."""
    entry, server = _entry(kind, fake_mcp_servers)
    vault, _ = vault_with(home, {"x": entry})
    with vault.session("x") as session:
        assert "a" == _echo(session, "a")

        def in_child() -> str:
            said = _echo(session, "b")
            session.close()
            return said

        assert "b" == in_a_child(in_child)
        assert "" == in_a_child(lambda: session.close() or "")
        assert "c" == _echo(session, "c")
        if kind == "legacy":
            assert server is not None
            opened = [request for request in server.requests if b'"initialize"' in request.body]
            ended = [request for request in server.requests if request.method == "DELETE"]
            assert (2, 1) == (len(opened), len(ended))


@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_running_event_loop(home: Path, fake_mcp_servers: Serving, kind: str) -> None:
    """As in a notebook cell: a plain call blocks, and works."""
    entry, _ = _entry(kind, fake_mcp_servers)
    vault, _ = vault_with(home, {"x": entry})

    async def cell() -> str:
        with vault.session("x") as session:
            return _echo(session, "in a loop")

    assert "in a loop" == asyncio.run(cell())


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_threads_of_an_asyncio_program(home: Path, fake_mcp_servers: Serving, kind: str) -> None:
    """``asyncio.to_thread``: many calls at once on one session, each with its own answer."""
    entry, _ = _entry(kind, fake_mcp_servers)
    vault, _ = vault_with(home, {"x": entry})
    words = [f"word {number}" for number in range(24)]

    async def program(session: Session) -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(_echo, session, word) for word in words))

    with vault.session("x") as session:
        assert words == asyncio.run(program(session))
