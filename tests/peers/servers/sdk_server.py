"""
A server that does all that its SDK can: ``mcp`` 2.x, ``mcp`` 1.x or fastmcp.

Run by the Python of ``.peers/mcp2``, ``.peers/mcp1`` or ``.peers/fastmcp``: on stdio, or over HTTP with PORT in the
environment. In 2026-07-28 it asks in rounds, in older revisions in the middle of a call.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
from pydantic import BaseModel

try:
    import mcp_types as types
    from mcp_types import InputRequiredResult
except ImportError:
    from mcp import types

    InputRequiredResult = str
try:
    from fastmcp import Context
    from fastmcp import FastMCP as Server
    from fastmcp.utilities.types import Image

    OVER_HTTP = {"path": "/mcp", "show_banner": False, "log_level": "warning"}
except ImportError:
    OVER_HTTP = {}
    try:
        from mcp.server.mcpserver import Context, Image
        from mcp.server.mcpserver import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import Context, Image
        from mcp.server.fastmcp import FastMCP as Server

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de")
LANGUAGES = ["python", "pytorch", "pyside", "rust"]

server = Server("peer", instructions="a peer")
given_up: list[str] = []


class Person(BaseModel):
    """What the tool ``meet`` asks for."""

    name: str
    age: int = 7


class Weather(BaseModel):
    """What the tool ``weather`` answers with."""

    city: str
    celsius: float


def is_modern(ctx: Context) -> bool:
    """Tell whether the client speaks 2026-07-28."""
    return hasattr(ctx, "input_responses") and ctx.request_context.protocol_version == "2026-07-28"


def asked(ctx: Context, request: Any) -> Any:
    """Return the client's answer to *request*, or what asks for it in another round."""
    if ctx.input_responses is None:
        return InputRequiredResult(input_requests={"it": request}, request_state="round-1")
    return ctx.input_responses["it"]


@server.tool()
def echo(message: str) -> str:
    """Say back what it is told."""
    print("echoing", file=sys.stderr)
    return f"peer says: {message}"


@server.tool()
def weather(city: str) -> Weather:
    """Answer with structured content."""
    return Weather(city=city, celsius=21.5)


@server.tool()
def draw() -> Image:
    """Answer with an image."""
    return Image(data=PNG, format="png")


@server.tool()
def fail() -> str:
    """Report failure."""
    raise ValueError("as asked")


@server.tool()
async def count(steps: int, ctx: Context) -> str:
    """Report progress step by step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return f"counted to {steps}"


@server.tool()
async def note(ctx: Context) -> str:
    """Log on three levels."""
    await ctx.debug("a detail")
    await ctx.info("a fact")
    await ctx.warning("a warning")
    return "noted"


@server.tool()
async def wait(key: str) -> str:
    """Take a minute, and remember who gave it up."""
    try:
        await anyio.sleep(60)
    except anyio.get_cancelled_exc_class():
        given_up.append(key)
        raise
    return "done"


@server.tool()
def forgone() -> list[str]:
    """Tell which calls were given up."""
    return given_up


@server.tool()
async def meet(ctx: Context) -> str | InputRequiredResult:
    """Ask who is there."""
    if is_modern(ctx):
        form = {"message": "who is there?", "requestedSchema": Person.model_json_schema()}
        answer = asked(ctx, types.ElicitRequest(params=types.ElicitRequestFormParams(**form)))
        if isinstance(answer, InputRequiredResult):
            return answer
        return f"{answer.action}: {answer.content['name']}, {answer.content['age']}"
    answer = await ctx.elicit("who is there?", Person)
    return f"{answer.action}: {answer.data.name}, {answer.data.age}" if answer.action == "accept" else answer.action


@server.tool()
async def visit(url: str, ctx: Context) -> str | InputRequiredResult:
    """Send somebody to a page."""
    if is_modern(ctx):
        page = types.ElicitRequestURLParams(message="look", url=url)
        answer = asked(ctx, types.ElicitRequest(params=page))
        return answer if isinstance(answer, InputRequiredResult) else answer.action
    return (await ctx.session.elicit_url("look", url, "one", ctx.request_id)).action


@server.tool()
async def think(question: str, ctx: Context) -> str | InputRequiredResult:
    """Ask the client's model."""
    said = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))
    if is_modern(ctx):
        params = types.CreateMessageRequestParams(messages=[said], maxTokens=10)
        answer = asked(ctx, types.CreateMessageRequest(params=params))
        return answer if isinstance(answer, InputRequiredResult) else answer.content.text
    return (await ctx.session.create_message([said], max_tokens=10, related_request_id=ctx.request_id)).content.text


@server.tool()
async def roots(ctx: Context) -> str | InputRequiredResult:
    """Ask for the client's roots."""
    if is_modern(ctx):
        answer = asked(ctx, types.ListRootsRequest(params=None))
        if isinstance(answer, InputRequiredResult):
            return answer
    else:
        answer = await ctx.session.list_roots()
    return " ".join(str(root.uri) for root in answer.roots)


@server.tool()
async def change(ctx: Context) -> str:
    """Tell that the tools have changed, to whoever listens or within this call."""
    if hasattr(ctx, "send_notification"):
        await ctx.send_notification(types.ToolListChangedNotification())
    elif is_modern(ctx):
        await ctx.notify_tools_changed()
        await ctx.notify_resource_updated("peer://greeting")
    else:
        await ctx.session.send_tool_list_changed()
    return "changed"


@server.resource("peer://greeting")
def greeting() -> str:
    """A greeting."""
    return "grüß dich"


@server.resource("peer://pixel", mime_type="image/png")
def pixel() -> bytes:
    """An image."""
    return PNG


@server.resource("peer://number/{n}")
def number(n: str) -> str:
    """A number."""
    return f"number {n}"


@server.prompt()
def greet(who: str) -> str:
    """Greet somebody."""
    return f"greet {who}"


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> types.Completion | None:
    """Complete the name of a language, or a number."""
    if argument.name == "n":
        return types.Completion(values=[f"{argument.value}0"])
    values = [each for each in LANGUAGES if each.startswith(argument.value)]
    if context is not None and context.arguments:
        values = [f"{each} of {context.arguments['since']}" for each in values]
    return types.Completion(values=values, total=len(values), hasMore=False)


if "PORT" not in os.environ:
    server.run("stdio")
elif "fastmcp" in sys.modules:
    server.run("http", host="127.0.0.1", port=int(os.environ["PORT"]), **OVER_HTTP)
elif hasattr(server.settings, "port"):
    server.settings.port = int(os.environ["PORT"])
    server.run("streamable-http")
else:
    server.run("streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
