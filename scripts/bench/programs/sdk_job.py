"""The cron job with the official SDK, its tokens in a JSON file that all processes share (run by .peers/mcp2)."""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx2
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken

FILE = Path(os.environ["BENCH_TOKENS"])
URL = os.environ["BENCH_URL"]


class Storage:
    """What the SDK's documentation asks of an application: get and set, in a file."""

    async def get_tokens(self):
        """Return the tokens in the file."""
        return OAuthToken.model_validate(json.loads(FILE.read_text())["tokens"])

    async def set_tokens(self, tokens):
        """Replace them, in one step."""
        held = json.loads(FILE.read_text()) | {"tokens": json.loads(tokens.model_dump_json(exclude_none=True))}
        new = FILE.with_name(f"{FILE.name}.{os.getpid()}")
        new.write_text(json.dumps(held))
        new.replace(FILE)

    async def get_client_info(self):
        """Return the registration in the file."""
        return OAuthClientInformationFull.model_validate(json.loads(FILE.read_text())["client"])

    async def set_client_info(self, info):
        """Nobody registers here."""


async def nobody(*_):
    """Fail as a cron job does: there is no person to send anywhere."""
    raise RuntimeError("a human must log in")


async def main():
    """List the tools."""
    provider = OAuthClientProvider(
        URL,
        OAuthClientMetadata.model_validate(json.loads(FILE.read_text())["client"]),
        Storage(),
        redirect_handler=nobody,
        callback_handler=nobody,
    )
    # The SDK keeps neither the expiry nor the metadata; an application that does tells it so.
    await provider._initialize()
    held = json.loads(FILE.read_text())
    provider.context.token_expiry_time = held["expires_at"]
    provider.context.oauth_metadata = OAuthMetadata.model_validate(held["metadata"])
    async with (
        httpx2.AsyncClient(auth=provider, timeout=30) as client,
        streamable_http_client(URL, http_client=client) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        await session.list_tools()


try:
    asyncio.run(main())
except BaseException as error:
    print(repr(error), file=sys.stderr)
    sys.exit(1)
