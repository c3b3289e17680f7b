"""
A server that demands a bearer token, on whichever ``mcp`` SDK runs it: 2.x (2026-07-28 and older) or 1.x.

Run by the Python of ``.peers/mcp2`` or ``.peers/mcp1`` with PORT in the environment, and what says which tokens are
good: PEER_TOKEN, or a file PEER_TOKENS that is read for each request, or PEER_ISSUER, which is asked about each.
PEER_TRANSPORT=sse lets the latter speak HTTP+SSE.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

try:
    from httpx2 import AsyncClient
    from mcp.server import MCPServer
except ImportError:
    from httpx import AsyncClient

    MCPServer = None
    from mcp.server.fastmcp import FastMCP

PORT = int(os.environ["PORT"])
URL = f"http://127.0.0.1:{PORT}"
ISSUER = os.environ.get("PEER_ISSUER")
issuer = AsyncClient()


class Tokens:
    """Knows the tokens of this test."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Accept what is good now."""
        if ISSUER is not None:
            told = (await issuer.post(f"{ISSUER}/introspect", data={"token": token})).json()
            if not told["active"]:
                return None
            scopes, resource = told["scope"].split(), told["aud"]
            return AccessToken(token=token, client_id=told["client_id"], scopes=scopes, resource=resource)
        file = os.environ.get("PEER_TOKENS")
        if token not in (Path(file).read_text().split() if file else [os.environ["PEER_TOKEN"]]):
            return None
        return AccessToken(token=token, client_id="mcpvault-tests", scopes=["use"], resource=f"{URL}/mcp")


class Weather(TypedDict):
    """What the tool ``weather`` answers with."""

    city: str
    celsius: float


auth = AuthSettings(
    issuer_url=ISSUER or f"{URL}/issuer",
    resource_server_url=f"{URL}/mcp",
    required_scopes=["use"],
    validate_token_resource=True,
)
if MCPServer is not None:
    server = MCPServer("peer", instructions="a peer", token_verifier=Tokens(), auth=auth, log_level="WARNING")
else:
    server = FastMCP("peer", instructions="a peer", token_verifier=Tokens(), auth=auth, log_level="WARNING", port=PORT)


@server.tool()
def echo(message: str) -> str:
    """Say back what it is told."""
    return f"peer says: {message}"


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def weather(city: str) -> Weather:
    """Answer with structured content."""
    return {"city": city, "celsius": 21.5}


@server.tool()
def fail() -> str:
    """Report failure."""
    raise ValueError("as asked")


@server.resource("peer://greeting")
def greeting() -> str:
    """A greeting."""
    return "grüß dich"


@server.resource("peer://number/{n}")
def number(n: str) -> str:
    """A number."""
    return f"number {n}"


@server.prompt()
def greet(who: str) -> str:
    """Greet somebody."""
    return f"greet {who}"


if MCPServer is not None:
    server.run(transport="streamable-http", host="127.0.0.1", port=PORT)
else:
    server.run(transport=os.environ.get("PEER_TRANSPORT", "streamable-http"))
