"""
fastmcp's own authorization server, and the fastmcp server that it guards, in one process.

Run by the Python of ``.peers/fastmcp`` with PORT in the environment. For the tests ``/known`` tells what the
authorization server knows, ``/be?life=…&scopes=…`` sets how long access tokens live and which scopes are required,
and ``/lose?what=…`` lets it lose its ``access`` tokens, or with ``clients`` everything, as in a restart.
"""

from __future__ import annotations

import os
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions, RevocationOptions
from fastmcp.server.auth.providers import in_memory
from fastmcp.server.dependencies import get_access_token
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PORT = int(os.environ["PORT"])
URL = f"http://127.0.0.1:{PORT}"

required = ["read"]
provider = in_memory.InMemoryOAuthProvider(
    base_url=URL,
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["read", "write"]),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=required,
)
held: dict[str, dict[str, Any]] = {
    "clients": provider.clients,
    "access": provider.access_tokens,
    "refresh": provider.refresh_tokens,
}
server: FastMCP[Any] = FastMCP("peer", auth=provider)


@server.tool
def whoami() -> dict[str, Any]:
    """Tell whose token came."""
    token = get_access_token()
    assert token is not None
    return {"token": token.token, "client_id": token.client_id, "scopes": token.scopes}


@server.custom_route("/known", methods=["GET"])
async def known(_: Request) -> Response:
    """Tell all that the authorization server knows."""
    return JSONResponse({kind: {k: v.model_dump(mode="json") for k, v in it.items()} for kind, it in held.items()})


@server.custom_route("/be", methods=["POST"])
async def be(request: Request) -> Response:
    """Be another server from now on."""
    in_memory.DEFAULT_ACCESS_TOKEN_EXPIRY_SECONDS = int(request.query_params["life"])
    required[:] = request.query_params["scopes"].split()
    return Response(status_code=204)


@server.custom_route("/lose", methods=["POST"])
async def lose(request: Request) -> Response:
    """Lose some of what is known, or all of it."""
    what = request.query_params["what"]
    for kind, things in held.items():
        if what in (kind, "clients"):
            things.clear()
    return Response(status_code=204)


server.run(transport="http", host="127.0.0.1", port=PORT, path="/mcp", show_banner=False, log_level="warning")
