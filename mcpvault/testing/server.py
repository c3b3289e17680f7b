"""
``FakeMcpServer``: an MCP server over Streamable HTTP, in both eras, on loopback.

Decides sessions, credentials and which era a request belongs to. Leaves the
answers themselves to ``offer``, and every way of being wrong to ``behaviours``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mcpvault.testing.behaviours import BEHAVIOURS
from mcpvault.testing.exchange import Handler
from mcpvault.testing.listener import Listener, Recorded
from mcpvault.testing.offer import LEGACY, META_SERVER, META_VERSION, MODERN, SERVER_INFO, Json, Offer, Refusal
from mcpvault.testing.switches import Switch, Switches

if TYPE_CHECKING:
    from mcpvault.testing.authorization_server import FakeAuthorizationServer
    from mcpvault.testing.resource_server import Protection
    from mcpvault.testing.streams import Streams

_NAME_FIELD = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_CACHEABLE = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"})
_NAME_FIELD |= dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId")


class FakeMcpServer:
    """
    An MCP server on 127.0.0.1 that records what it is asked and misbehaves on demand.

    Use it as a context manager. Its tools are ``echo add fail slow structured ill-structured``;
    it has two resources, one template (``fake://number/{n}``) and the prompts ``plain`` and ``greet``.

    Args:
        era: ``"modern"`` (2026-07-28 only), ``"legacy"`` (2025-03-26 to 2025-11-25, with a session id)
            or ``"both"``.
        token: A bearer token to demand, or None.
        headers: Headers to demand, each with its exact value.
        sse: Answer with an event stream instead of a JSON document.
        page_size: Items per page of a list, or None for everything at once.
        port: The port to listen on; 0 takes a free one.
        interactive: It has the tools of ``mcpvault.testing.interactive`` too, which ask the client for something,
            sends changes to who listens, and lets interrupted streams be taken up again.
        authorization_server: A ``FakeAuthorizationServer`` whose tokens it demands, or None.
        protection: Fields of ``mcpvault.testing.resource_server.Protection``, such as ``scopes``, ``tool_scopes``,
            ``resource``, ``metadata_at``, ``challenge`` or ``dpop_nonce``.

    Attributes:
        requests: Every request so far, a list of ``Recorded``.
        tokens: Bearer tokens that it takes besides ``token``, each with the tools that are listed for it, None for all.
        protection: How it guards itself with an authorization server, or None; see ``protect``.
        streams: What an interactive server sends by itself, or None; see ``mcpvault.testing.streams.Streams``.
        sessions: The ids of the living legacy sessions; clear it to end them.
        delete_status: The status with which DELETE of a session is answered; 405 says "not supported".
    """

    def __init__(
        self,
        *,
        era: str = "both",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        sse: bool = False,
        page_size: int | None = None,
        port: int = 0,
        interactive: bool = False,
        authorization_server: FakeAuthorizationServer | None = None,
        **protection: Any,
    ) -> None:
        if era not in ("modern", "legacy", "both"):
            raise ValueError(f"era: expected 'modern', 'legacy' or 'both', got {era!r}")
        if protection and authorization_server is None:
            raise TypeError(f"{', '.join(protection)}: only with an authorization_server")
        self.era = era
        self.sse = sse
        self.token = token
        self.tokens: dict[str, Collection[str] | None] = {}
        self.required = dict(headers or {})
        self.requests: list[Recorded] = []
        self.sessions: set[str] = set()
        self.delete_status = 204
        self.abandoned = 0  # streams that the client closed before their end
        self.tenants: list[FakeAuthorizationServer] = []
        self.closing = threading.Event()
        self.offer = Offer(page_size=page_size, wait=self.closing.wait)
        self.streams: Streams | None = None
        if interactive:
            self._make_interactive(page_size)
        self._switches = Switches(BEHAVIOURS)
        self._http = Listener(port, Handler, self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self.protection: Protection | None = None
        if authorization_server is not None:
            try:
                self.protect(authorization_server, **protection)
            except TypeError:
                self._http.server_close()
                raise

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._http.port

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and drop every connection; hanging answers end."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
        self._http.server_close()

    def _make_interactive(self, page_size: int | None) -> None:
        from mcpvault.testing.interactive import Interactive
        from mcpvault.testing.streams import Streams

        self.streams = Streams()
        self.offer = offer = Interactive(page_size=page_size, wait=self.closing.wait)
        offer.touched = self.streams.change

    def protect(self, authorization_server: FakeAuthorizationServer, **protection: Any) -> Protection:
        """Demand tokens of this authorization server from now on; *protection* is as for the class."""
        from mcpvault.testing.resource_server import Protection

        self.protection = Protection(issuer=authorization_server, url=self.url, **protection)
        return self.protection

    def misbehave(self, name: str, *, on: str | Sequence[str] = "*", times: int | None = None, **options: Any) -> None:
        """
        Answer wrongly from now on.

        Args:
            name: A key of ``mcpvault.testing.behaviours.BEHAVIOURS``.
            on: The JSON-RPC or HTTP methods concerned, ``"metadata"``, or ``"*"`` for every request.
            times: How often, or None for ever.
            options: What the behaviour takes, such as ``to=`` of the redirects.
        """
        self._switches.add(name, on, times, options)

    def behave(self) -> None:
        """Answer properly again."""
        self._switches.clear()

    def called(self, rpc_method: str) -> list[Recorded]:
        """Return the recorded requests of one JSON-RPC method."""
        return [request for request in self.requests if request.rpc_method == rpc_method]

    # What follows is for the handler.

    def switch_for(self, request: Recorded) -> Switch | None:
        """Take the first misbehaviour that concerns *request*."""
        label = "metadata" if self.documents(request) is not None else request.rpc_method
        return self._switches.take({label, request.method})

    def documents(self, request: Recorded) -> Json | None:
        """Return the document that a GET is about: the metadata, nothing (empty), or None: it is no such request."""
        if request.method != "GET":
            return None
        if self.protection is not None and request.place == self.protection.place:
            return self.protection.document()
        return {} if request.place.startswith("/.well-known/") else None

    def refused(self, request: Recorded) -> tuple[int, dict[str, str]] | None:
        """Return status and headers of the refusal if the credential is missing or wrong."""
        if self.token is not None and _bearer(request) not in {self.token, *self.tokens}:
            why = ', error="invalid_token"' if "authorization" in request.headers else ""
            return 401, {"WWW-Authenticate": f'Bearer realm="fake"{why}'}
        if any(request.headers.get(name.lower()) != value for name, value in self.required.items()):
            return 401, {}
        return None if self.protection is None else self.protection.refused(request)

    def seen(self, request: Recorded, result: Json) -> Json:
        """Return *result* as whoever sent *request* may see it."""
        visible = self.tokens.get(_bearer(request) or "")
        if visible is None or "tools" not in result:
            return result
        return {**result, "tools": [tool for tool in result["tools"] if tool["name"] in visible]}

    def is_modern(self, request: Recorded) -> bool:
        """Tell whether *request* is to be answered in the modern era."""
        if self.era != "both":
            return self.era == "modern"
        return request.headers.get("mcp-protocol-version", LEGACY[-1]) not in LEGACY and (
            request.rpc_method != "initialize"
        )

    def check_modern(self, request: Recorded, message: Json) -> None:
        """Raise the Refusal that a strict 2026-07-28 server answers to a malformed request."""
        method, params = message["method"], message.get("params") or {}
        if "id" not in message:
            return
        version = request.headers.get("mcp-protocol-version")
        named = (params.get("_meta") or {}).get(META_VERSION)
        if (version or named) != MODERN and (version or named) is not None:
            raise Refusal(
                -32022,
                "unsupported protocol version",
                status=400,
                data={"supported": [MODERN], "requested": version or named},
            )
        if named is None:
            raise Refusal(-32602, f"missing _meta[{META_VERSION!r}]", status=400)
        expected = {"mcp-protocol-version": named, "mcp-method": method}
        if method in _NAME_FIELD:
            expected["mcp-name"] = str(params.get(_NAME_FIELD[method]))
        for name, value in expected.items():
            if request.headers.get(name) != value and not request.headers.get(name, "").startswith("=?base64?"):
                raise Refusal(-32020, f"header {name} does not match the body", status=400)
        if method == "tools/call" and self.streams is not None:
            self.offer.check_mirrored(params, request.headers)

    def check_legacy(self, request: Recorded, message: Json) -> None:
        """Raise the Refusal that a stateful legacy server answers outside a session."""
        session = request.headers.get("mcp-session-id")
        if message.get("method") == "initialize":
            return
        if session is None:
            raise Refusal(-32000, "Bad Request: Mcp-Session-Id header is required", status=400)
        if session not in self.sessions:
            raise Refusal(-32001, "Session not found", status=404)

    def new_session(self) -> str:
        """Begin a legacy session and return its id."""
        session = secrets.token_urlsafe(16)
        self.sessions.add(session)
        return session

    def result(self, message: Json, *, modern: bool, progress: Any = None) -> Json:
        """Return the result for *message*, shaped for its era."""
        method, params = message["method"], message.get("params") or {}
        if modern:
            found = (
                self.offer.discover() if method == "server/discover" else self.offer.answer(method, params, progress)
            )
            if self.offer.ttl_ms is not None and method in _CACHEABLE:
                found = {**found, "ttlMs": self.offer.ttl_ms, "cacheScope": "private"}
            return {"resultType": "complete", **found, "_meta": {META_SERVER: SERVER_INFO}}
        if method == "initialize":
            return self.offer.initialize(params)
        return {} if method == "ping" else self.offer.answer(method, params, progress)


def _bearer(request: Recorded) -> str | None:
    """Return the token that *request* carries."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else None
