"""The calls of ``caller.py`` with the official SDK (run by .peers/mcp2); *width* calls are in flight at once."""

import asyncio
import os
import sys
import time

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

URL, TOKEN = os.environ["BENCH_URL"], os.environ["BENCH_TOKEN"]
tool, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=max(width, 20))


async def main():
    """Open one session and wait for orders."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, limits=LIMITS) as client,
        streamable_http_client(URL, http_client=client) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()

        async def some(number):
            for _ in range(number):
                result = await session.call_tool(tool, {"message": "hi"})
                assert result.content[0].text == "hi"

        await some(1)
        while await asyncio.to_thread(sys.stdin.readline):
            begin, worked = time.perf_counter(), time.process_time()
            await asyncio.gather(*(some(count // width) for _ in range(width)))
            print((time.perf_counter() - begin) * 1000, (time.process_time() - worked) * 1000, flush=True)


asyncio.run(main())
