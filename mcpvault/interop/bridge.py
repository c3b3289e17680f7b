"""
A stdio MCP server in front of an HTTP entry of the vault: any MCP client works with no secret in its configuration.

Decides which messages go where, under which ids, and what is called off. Leaves the eras' differences to
``bridge_eras``, what the client is asked to ``bridge_questions``, and credentials, connections and the server's era
to the transport. Nothing of the client's but methods and parameters goes on: it has no headers, and its ids stay
here. No browser is ever opened.

Spec: MCP 2026-07-28 and 2025-11-25 "stdio", "Cancellation"; 2025-03-26 "Batching".
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RemoteProtocolError, RpcError
from mcpvault.interop import bridge_eras
from mcpvault.interop.bridge_eras import Facts
from mcpvault.interop.bridge_questions import Questions
from mcpvault.interop.interruptible import CalledOff, Interruptible
from mcpvault.mcp import era, jsonrpc, judgement
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.rounds import carried_on
from mcpvault.mcp.wire import Json, Transport

LOG = logging.getLogger("mcpvault.bridge")
MOST_AT_ONCE = 64
_LAST_WORDS = 2.0  # seconds; a request whose time is over is called off at the server before that is told
Request = tuple[Any, str, Json | None]  # id, method, parameters
_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600


class Bridge:
    """
    One client on stdio, one server over HTTP.

    Args:
        transport: To the server, over *exchange*.
        exchange: Whose requests can be called off.
        name: The entry's name.
        timeout: Seconds for one request; None: as long as it takes.
        write: Takes one message for the client, in bytes without a line end; called by one thread at a time.
    """

    def __init__(
        self,
        transport: Transport,
        exchange: Interruptible,
        *,
        name: str,
        timeout: float | None,
        write: Callable[[bytes], None],
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._name = name
        self._timeout = timeout
        self._write = write
        self._writing = threading.Lock()
        self._running: dict[str, threading.Event] = {}  # the client's requests, by id
        self._lasting: set[str] = set()  # those that have no end of their own
        self._questions = Questions(self._send, timeout)
        self._workers = ThreadPoolExecutor(MOST_AT_ONCE, "bridge")
        self._work: set[Future[None]] = set()
        self._known = False  # what the server is has been asked
        self._facts: Facts = ({}, {}, None)
        self._opening = threading.Lock()
        self._listener: threading.Thread | None = None
        self._ended = threading.Event()  # the client says nothing more
        self._over = threading.Event()

    def take(self, line: bytes) -> None:
        """Take one line of the client's; whatever it holds, the answer is a message."""
        if not line.strip():
            return
        message = jsonrpc.decode(line)
        if isinstance(message, RemoteProtocolError):
            self._send({"id": None, "error": {"code": _PARSE_ERROR, "message": "parse error"}})
        elif isinstance(message, list) and message:  # 2025-03-26
            answers: list[Json] = []
            if asked := [request for each in message if (request := self._accepted(each, answers.append))]:
                self._begin(self._batch, asked, answers)
            elif answers:
                self._out_batch(answers)
        elif (request := self._accepted(message, self._send)) is not None:
            self._begin(self._answer, request, self._send)

    def finish(self) -> None:
        """Answer what has been asked, within little more than the time of one; the client says nothing more."""
        self._ended.set()
        self._questions.end()
        for key in [*self._lasting]:
            self._call_off(key)
        wait([*self._work], None if self._timeout is None else self._timeout + _LAST_WORDS)

    def close(self) -> None:
        """Call everything off, and end the session with the server as well as it goes."""
        self._over.set()
        self._hang_up()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def _hang_up(self) -> None:
        for event in [*self._running.values()]:
            event.set()
        self._questions.end()

    def _begin(self, answer: Callable[..., None], *words: Any) -> None:
        work = self._workers.submit(answer, *words)
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    def _accepted(self, message: Any, send: Callable[[Json], None]) -> Request | None:
        """Do at once what waits for no server, however many calls are under way; return a request that does."""
        if not isinstance(message, dict):
            send({"id": None, "error": {"code": _INVALID_REQUEST, "message": "invalid request"}})
            return None
        id_, method, params = message.get("id"), message.get("method"), message.get("params")
        if method is None:
            self._questions.answered(message)
        elif not isinstance(method, str) or not isinstance(params, dict | None):
            send({"id": id_, "error": {"code": _INVALID_REQUEST, "message": "invalid request"}})
        elif "id" not in message:
            self._notified(method, params or {})
        elif method == "ping" and not bridge_eras.is_modern(params):
            send({"id": id_, "result": {}})
        else:
            self._running[repr(id_)] = threading.Event()
            return id_, method, params
        return None

    def _batch(self, asked: list[Request], answers: list[Json]) -> None:
        for request in asked:
            self._answer(request, answers.append)
        if answers:
            self._out_batch(answers)

    def _call_off(self, key: str) -> None:
        if (event := self._running.get(key)) is not None:
            event.set()

    def _notified(self, method: str, params: Json) -> None:
        if method == "notifications/cancelled":
            self._call_off(repr(params.get("requestId")))
        elif method == "notifications/initialized" and self._listener is None:
            self._listener = threading.Thread(target=self._listen, name="bridge-listener", daemon=True)
            self._listener.start()

    def _answer(self, request: Request, send: Callable[[Json], None]) -> None:
        id_, method, params = request
        called_off = self._running.setdefault(repr(id_), threading.Event())
        if called_off.is_set():
            self._running.pop(repr(id_), None)
            return
        self._exchange.obey(called_off)
        told: Json
        try:
            told = {"result": self._result(id_, method, params)}
        except CalledOff:
            return  # "the receiver SHOULD NOT send a response for the cancelled request"
        except McpVaultError as error:
            told = {"error": bridge_eras.error_of(error)}
        except Exception as error:
            LOG.exception("%s: %s failed", self._name, method)
            told = {"error": {"code": bridge_eras.INTERNAL_ERROR, "message": f"mcpvault: {type(error).__name__}"}}
        finally:
            self._exchange.obey(None)
            self._running.pop(repr(id_), None)
        if not called_off.is_set():
            send({"id": id_, **told})

    def _result(self, id_: Any, method: str, params: Json | None) -> Json:
        deadline = Deadline(self._timeout)
        modern = bridge_eras.is_modern(params)
        if modern and (refusal := bridge_eras.unsupported(params)) is not None:
            raise RpcError(refusal["message"], code=refusal["code"], data=refusal["data"])
        if method == "initialize":
            self._transport.client = ClientSide(self._name, self._questions.callbacks(params or {}))
            self._open(deadline)
            return bridge_eras.initialize_result(
                (params or {}).get("protocolVersion"), self._transport.era, self._facts
            )
        self._open(deadline)
        if self._transport.era == "modern":
            return self._of_modern(id_, method, params, deadline, modern=modern)
        if method == "server/discover":
            return bridge_eras.discover_result(self._facts)
        return self._ask(method, bridge_eras.for_legacy(params) if modern else params, deadline)

    def _of_modern(self, id_: Any, method: str, params: Json | None, deadline: Deadline, *, modern: bool) -> Json:
        if modern and method == "subscriptions/listen":
            return self._subscribed(id_, params or {})
        if not modern and method == "logging/setLevel":
            level = (params or {}).get("level")
            self._transport.client.log_level = level if isinstance(level, str) else None
            return {}
        result = self._ask(method, params, deadline)
        if modern or result.get("resultType", "complete") != "input_required":
            return result
        # A legacy client answers requests, and knows no rounds.
        return carried_on(
            lambda again: self._ask(method, again, deadline),
            result,
            params,
            client=self._transport.client,
            deadline=deadline,
            what=method,
            server=self._name,
        )

    def _ask(self, method: str, params: Json | None, deadline: Deadline) -> Json:
        return self._transport.request(method, params, deadline=deadline, on_notification=self._heard)

    def _open(self, deadline: Deadline) -> None:
        with self._opening:
            self._transport.open(deadline)
            if self._known:
                return
            if self._transport.era == "modern" and not self._transport.capabilities:
                told = self._ask("server/discover", None, deadline)
                self._facts = judgement.facts_of(told)
            else:
                self._facts = self._transport.server_info, self._transport.capabilities, self._transport.instructions
            self._known = True

    def _subscribed(self, id_: Any, params: Json) -> Json:
        """Carry a subscription; the client knows it by its own request."""
        self._lasting.add(repr(id_))
        try:
            if self._ended.is_set():
                raise CalledOff
            for message in self._transport.listen(params, Deadline(None)):
                facts = message.get("params")
                facts = facts if isinstance(facts, dict) else {}
                meta = {**(facts.get("_meta") or {}), era.META_SUBSCRIPTION: id_}
                self._heard(str(message.get("method")), {**facts, "_meta": meta})
        finally:
            self._lasting.discard(repr(id_))
        return {"resultType": "complete"}

    def _listen(self) -> None:
        """Carry what a server says by itself to a legacy client, as long as there is such a stream."""
        wanted = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if isinstance(offered := self._facts[1].get(kind), dict) and offered.get("listChanged")
        }
        if not wanted and self._transport.era == "modern":
            return
        self._exchange.obey(self._over)
        with contextlib.suppress(McpVaultError, CalledOff):
            for message in self._transport.listen(wanted, Deadline(None)):
                method, facts = message.get("method"), message.get("params")
                if isinstance(method, str) and not method.startswith("notifications/subscriptions/"):
                    self._heard(method, facts if isinstance(facts, dict) else {})

    def _heard(self, method: str, params: Json) -> None:
        self._transport.client.heard(method)
        self._send({"method": method, "params": params})

    def _send(self, message: Json) -> None:
        self._out({"jsonrpc": "2.0", **message})

    def _out_batch(self, answers: list[Json]) -> None:
        self._out([{"jsonrpc": "2.0", **answer} for answer in answers])

    def _out(self, message: Any) -> None:
        data = jsonrpc.encode(message)
        try:
            with self._writing:
                self._write(data)
        except (OSError, ValueError):
            self._hang_up()  # a client that has gone hears nothing
