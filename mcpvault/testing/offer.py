"""
What a fake MCP server offers: its tools, resources and prompts, in both eras.

Decides the result of a method from its parameters. Leaves HTTP, pipes, sessions and
misbehaviour to its neighbours: nothing here does I/O, except that the tool ``slow`` waits.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
SERVER_INFO = {"name": "mcpvault-fake", "title": "A fake server", "version": "1.0"}
INSTRUCTIONS = "a fake server for tests; it keeps nothing"
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}, "prompts": {}}
META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_SERVER = "io.modelcontextprotocol/serverInfo"

Json = dict[str, Any]
Progress = Callable[[float, float], None]


class Refusal(Exception):
    """A JSON-RPC error to be answered, with the HTTP status of the modern era."""

    def __init__(self, code: int, message: str, *, status: int = 200, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.data = code, message, status, data

    def as_error(self) -> Json:
        """Return the ``error`` member."""
        return {"code": self.code, "message": self.message} | ({} if self.data is None else {"data": self.data})


def _object(required: str = "", **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required.split()}


TOOLS: list[Json] = [
    {
        "name": "echo",
        "title": "Echo",
        "description": "says back what it is told",
        "inputSchema": _object("message", message={"type": "string"}),
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "add",
        "description": "adds two numbers",
        "inputSchema": _object("a b", a={"type": "number"}, b={"type": "number"}),
    },
    {
        "name": "fail",
        "description": "always reports failure",
        "inputSchema": _object(message={"type": "string"}),
    },
    {
        "name": "slow",
        "description": "answers after a while and reports progress",
        "inputSchema": _object(seconds={"type": "number"}, steps={"type": "integer"}),
    },
    {
        "name": "structured",
        "description": "answers with structured content",
        "inputSchema": _object("city", city={"type": "string"}),
        "outputSchema": _object("city celsius", city={"type": "string"}, celsius={"type": "number"}),
    },
    {
        "name": "ill-structured",
        "description": "answers with structured content that breaks its own schema",
        "inputSchema": _object(),
        "outputSchema": _object("celsius", celsius={"type": "number"}),
    },
]
RESOURCES: list[Json] = [
    {"uri": "fake://text/greeting", "name": "greeting", "title": "A greeting", "mimeType": "text/plain"},
    {"uri": "fake://blob/pixel", "name": "pixel", "mimeType": "application/octet-stream", "size": 4},
]
RESOURCE_TEMPLATES: list[Json] = [
    {"uriTemplate": "fake://number/{n}", "name": "number", "description": "a number", "mimeType": "text/plain"},
]
PROMPTS: list[Json] = [
    {"name": "plain", "description": "a prompt without arguments"},
    {"name": "greet", "description": "greets somebody", "arguments": [{"name": "who", "required": True}]},
]


class Offer:
    """
    The answers of one fake server.

    Args:
        page_size: How many items a list answer holds at most, or None for all at once.
        wait: Called with the seconds that the tool ``slow`` waits.

    Attributes:
        ttl_ms: How long results may be kept, or None to say nothing of it.
        revision: The revision that ``initialize`` answers with, whatever is asked for.
    """

    def __init__(self, *, page_size: int | None = None, wait: Callable[[float], object]) -> None:
        self.tools = [*TOOLS]
        self.capabilities = CAPABILITIES
        self.page_size = page_size
        self.ttl_ms: int | None = None
        self.revision: str | None = None
        self._wait = wait

    def discover(self) -> Json:
        """Return a DiscoverResult."""
        return {
            "supportedVersions": [MODERN],
            "capabilities": self.capabilities,
            "instructions": INSTRUCTIONS,
            "ttlMs": 0,
            "cacheScope": "private",
        }

    def initialize(self, params: Mapping[str, Any]) -> Json:
        """Return an InitializeResult for the wanted revision, or for the newest legacy one."""
        wanted = params.get("protocolVersion")
        return {
            "protocolVersion": self.revision or (wanted if wanted in LEGACY else LEGACY[0]),
            "capabilities": self.capabilities,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        }

    def answer(self, method: str, params: Mapping[str, Any], progress: Progress | None = None) -> Json:
        """
        Return the result of *method*.

        Raises:
            Refusal: The method, tool, resource or prompt does not exist, or an argument is missing.
        """
        match method:
            case "tools/list":
                return self._page("tools", self.tools, params)
            case "resources/list":
                return self._page("resources", RESOURCES, params)
            case "resources/templates/list":
                return self._page("resourceTemplates", RESOURCE_TEMPLATES, params)
            case "prompts/list":
                return self._page("prompts", PROMPTS, params)
            case "tools/call":
                return self._call(str(params.get("name")), params.get("arguments") or {}, progress)
            case "resources/read":
                return _read(str(params.get("uri")))
            case "prompts/get":
                return _prompt(str(params.get("name")), params.get("arguments") or {})
            case "completion/complete":
                typed = str(params["argument"]["value"])
                return {"completion": {"values": [name for name in ("Ada", "Alan") if name.startswith(typed)]}}
        raise Refusal(-32601, f"method not found: {method}", status=404)

    def check_mirrored(self, params: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Raise the Refusal for arguments that should be mirrored into headers, and are not."""

    def _page(self, key: str, items: list[Json], params: Mapping[str, Any]) -> Json:
        cursor = params.get("cursor")
        try:
            start = 0 if cursor is None else int(base64.b64decode(cursor, validate=True))
        except ValueError:
            raise Refusal(-32602, "invalid cursor", status=400) from None
        stop = len(items) if self.page_size is None else start + self.page_size
        more = {} if stop >= len(items) else {"nextCursor": base64.b64encode(str(stop).encode()).decode()}
        return {key: items[start:stop], **more}

    def _call(self, name: str, arguments: Mapping[str, Any], progress: Progress | None) -> Json:
        try:
            match name:
                case "echo":
                    return text(str(arguments["message"]))
                case "add":
                    return text(f"{arguments['a'] + arguments['b']}")
                case "fail":
                    return {**text(str(arguments.get("message", "it failed, as asked"))), "isError": True}
                case "slow":
                    return self._slow(float(arguments.get("seconds", 0.1)), int(arguments.get("steps", 3)), progress)
                case "structured":
                    found = {"city": str(arguments["city"]), "celsius": 21.5}
                    return {**text("21.5 °C"), "structuredContent": found}
                case "ill-structured":
                    return {**text("warm"), "structuredContent": {"celsius": "warm"}}
        except (KeyError, TypeError) as error:
            raise Refusal(-32602, f"invalid arguments for {name}: {error}", status=400) from None
        raise Refusal(-32602, f"unknown tool: {name}", status=400)

    def _slow(self, seconds: float, steps: int, progress: Progress | None) -> Json:
        for step in range(1, steps + 1):
            self._wait(seconds / steps)
            if progress:
                progress(step, steps)
        return text(f"done after {steps} steps")


def text(words: str) -> Json:
    """Return a CallToolResult with one text block."""
    return {"content": [{"type": "text", "text": words}]}


def _read(uri: str) -> Json:
    if uri == "fake://text/greeting":
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": "grüß dich \N{WAVING HAND SIGN}"}]}
    if uri == "fake://blob/pixel":
        blob = base64.b64encode(b"\x00\xff\x80\x7f").decode()
        return {"contents": [{"uri": uri, "mimeType": "application/octet-stream", "blob": blob}]}
    if uri.startswith("fake://number/"):
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": uri.rpartition("/")[2]}]}
    raise Refusal(-32602, f"resource not found: {uri}", status=400, data={"uri": uri})


def _prompt(name: str, arguments: Mapping[str, Any]) -> Json:
    if name == "plain":
        words = "say something kind"
    elif name == "greet" and "who" in arguments:
        words = f"greet {arguments['who']}"
    elif name == "greet":
        raise Refusal(-32602, "missing argument: who", status=400)
    else:
        raise Refusal(-32602, f"unknown prompt: {name}", status=400)
    return {"description": name, "messages": [{"role": "user", "content": {"type": "text", "text": words}}]}
