"""The real servers: npm's server-everything, and one that demands a bearer token on each SDK."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warm

HERE = Path(__file__).parent
TOKEN = "sesame-0123456789abcdef"
EVERYTHING = "everything/node_modules/@modelcontextprotocol/server-everything/dist/index.js"


@pytest.fixture(scope="session")
def everything_stdio(peer_path: Callable[[str], str]) -> list[str]:
    """Return the command that runs server-everything on stdio."""
    return [peer_path("node/node_modules/node/bin/node"), peer_path(EVERYTHING), "stdio"]


@pytest.fixture(scope="session")
def everything_http(real_server: Callable[..., Any], everything_stdio: list[str]) -> str:
    """Return the endpoint of server-everything over Streamable HTTP."""
    env = {"NODE_OPTIONS": f"--require {HERE / 'loopback.cjs'}"}
    return str(real_server([*everything_stdio[:2], "streamableHttp"], env=env).url)


@pytest.fixture(scope="session", params=["mcp2", "mcp1"])
def bearer_server(
    request: pytest.FixtureRequest, real_server: Callable[..., Any], peer_path: Callable[[str], str]
) -> tuple[str, str]:
    """Return SDK and endpoint of a server that demands TOKEN: mcp2 speaks 2026-07-28, mcp1 2025-11-25."""
    command = [peer_path(f"{request.param}/bin/python"), str(HERE / "servers/bearer_server.py")]
    return request.param, real_server(command, env={"PEER_TOKEN": TOKEN}).url


@pytest.fixture
def mcpvault(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command in this test's home; a failure shows what it said."""

    def run(*words: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        env = dict(os.environ) | {"LANG": warm.LANG}
        done = warm.run(words, env=env, cwd=Path.cwd(), stdin=stdin, timeout=120)
        assert code == done.returncode, f"mcpvault {words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run
