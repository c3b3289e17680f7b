"""
The MCP SDK's own stdio client, in front of a command: what it sees, as one JSON document on stdout.

Run by the Python of ``.peers/mcp1`` or ``.peers/mcp2``; the words are the command.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    """Initialize, list, call, read, get."""
    command, *arguments = sys.argv[1:]
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        told = await session.initialize()
        tools = await session.list_tools()
        echo = await session.call_tool("echo", {"message": "grüß dich"})
        add = await session.call_tool("add", {"a": 2, "b": 40})
        resources = await session.list_resources()
        read_back = await session.read_resource(resources.resources[0].uri)
        prompts = await session.list_prompts()
        found = {
            "server": getattr(told, "server_info", None) or told.serverInfo,
            "tools": sorted(tool.name for tool in tools.tools),
            "echo": echo.content[0].text,
            "add": add.content[0].text,
            "resource": read_back.contents[0].text,
            "prompts": [prompt.name for prompt in prompts.prompts],
        }
        found["server"] = found["server"].name
        print(json.dumps(found))


asyncio.run(main())
