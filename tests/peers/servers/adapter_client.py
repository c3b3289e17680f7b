"""
A program of somebody else's event loop that takes its tokens from the vault: ADAPTER URL SITE, run in a peer's Python.

SITE is the folder of what mcpvault depends on; it comes last, so that the peer's libraries are the peer's own.
"""

import asyncio
import json
import sys
from typing import Any

ADAPTER, URL, SITE, ROOT = sys.argv[1:]
sys.path += [SITE, ROOT]

from mcpvault import Vault  # noqa: E402
from mcpvault.errors import McpVaultError  # noqa: E402

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


async def tools_of(read: Any, write: Any) -> list[str]:
    """List the tools over the two ends of a transport."""
    from mcp import ClientSession

    async with ClientSession(read, write) as session:
        await session.initialize()
        return [tool.name for tool in (await session.list_tools()).tools]


async def by_sdk(library: str, auth: Any) -> list[str]:
    """Let the SDK list the tools."""
    from mcp.client.streamable_http import streamable_http_client

    client = __import__(library).AsyncClient(auth=auth)
    async with client, streamable_http_client(URL, http_client=client) as streams:
        return await tools_of(streams[0], streams[1])


def by_sync(library: str, auth: Any) -> int:
    """Send one request without an event loop."""
    with __import__(library).Client(auth=auth) as client:
        return client.post(URL, json=LIST, headers={"Accept": "application/json"}).status_code


async def by_fastmcp(auth: Any) -> list[str]:
    """Let fastmcp list the tools."""
    from fastmcp import Client

    async with Client(URL, auth=auth) as client:
        return [tool.name for tool in await client.list_tools()]


def provider(vault: Vault) -> Any:
    """Return the SDK's own OAuth client over the vault's storage."""
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientMetadata

    from mcpvault.interop.adapters.mcp_storage import VaultTokenStorage

    async def nobody(*_: Any) -> Any:
        raise AssertionError("a person was asked")

    metadata = OAuthClientMetadata(client_name="adapter", redirect_uris=["http://127.0.0.1:9/callback"])
    storage = VaultTokenStorage(vault, "x")
    return OAuthClientProvider(URL, metadata, storage, redirect_handler=nobody, callback_handler=nobody)


def run(vault: Vault) -> Any:
    """Do what ADAPTER says."""
    kind, _, library = ADAPTER.partition(":")
    if kind == "fastmcp":
        from fastmcp.client.auth import OAuth

        from mcpvault.interop.adapters.fastmcp_storage import VaultStore

        return asyncio.run(by_fastmcp(OAuth(URL, token_storage=VaultStore(vault, "x"))))
    if kind == "storage":
        return asyncio.run(by_sdk(library, provider(vault)))
    from mcpvault.interop.adapters import client_auth

    auth = getattr(client_auth, f"{library}_auth")(vault, "x")
    return by_sync(library, auth) if kind == "sync" else asyncio.run(by_sdk(library, auth))


def leaf(error: BaseException) -> BaseException:
    """Return what the groups of task groups and the errors of libraries are about."""
    if isinstance(error, BaseExceptionGroup):
        return leaf(error.exceptions[0])
    return leaf(error.__cause__) if error.__cause__ is not None else error


try:
    print(json.dumps(run(Vault.open())))
except BaseException as error:
    found = leaf(error)
    if not isinstance(found, McpVaultError):
        raise
    print(json.dumps({"error": type(found).__name__, "hint": found.hint}))
