"""A server on stdio, on whichever SDK runs it: ``mcp`` 2.x, ``mcp`` 1.x or fastmcp."""

from __future__ import annotations

import sys

from pydantic import BaseModel

try:
    from fastmcp import Context
    from fastmcp import FastMCP as Server
except ImportError:
    try:
        from mcp.server.mcpserver import Context
        from mcp.server.mcpserver import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import Context
        from mcp.server.fastmcp import FastMCP as Server

server = Server("peer")


class Person(BaseModel):
    """What the tool ``meet`` asks for."""

    name: str
    age: int = 7


@server.tool()
def echo(message: str) -> str:
    """Say back what it is told."""
    print("echoing", file=sys.stderr)
    return f"peer says: {message}"


@server.tool()
async def count(steps: int, ctx: Context) -> str:
    """Report progress step by step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return f"counted to {steps}"


@server.tool()
async def meet(ctx: Context) -> str:
    """Ask who is there."""
    answer = await ctx.elicit("who is there?", Person)
    return f"{answer.action}: {answer.data.name}, {answer.data.age}" if answer.action == "accept" else answer.action


@server.resource("peer://greeting")
def greeting() -> str:
    """A greeting."""
    return "grüß dich"


@server.prompt()
def greet(who: str) -> str:
    """Greet somebody."""
    return f"greet {who}"


server.run("stdio")
