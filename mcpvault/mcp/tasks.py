"""
Tasks: calls that a server goes on with by itself, followed by polling.

Decides when to ask again, and what the end means. A task's ``id`` is all that another run needs.
It may be as good as a credential (tasks extension, "Task ID unguessability"): no message shows it.

Spec: MCP tasks extension ``io.modelcontextprotocol/tasks``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RemoteProtocolError, RequestLostError, ToolError, TransportError
from mcpvault.figures import finite
from mcpvault.mcp import jsonrpc, types
from mcpvault.mcp.rpc_errors import rpc_error
from mcpvault.mcp.wire import Json, TaskMemory
from mcpvault.quoting import quote
from mcpvault.secret import Secret, stand_in

if TYPE_CHECKING:
    from mcpvault.mcp.session import Session

LOG = logging.getLogger("mcpvault")
STATUSES = frozenset({"working", "input_required", "completed", "failed", "cancelled"})
_USUAL, _SHORTEST, _LONGEST = 1.0, 0.02, 60.0  # seconds between two questions
_MOST_FAILURES = 5  # questions in a row that brought no answer
_GOODBYE = 2.0  # seconds for a cancellation


class Task:
    """
    A task of a server.

    Attributes:
        id: The server's name for it; keep it to take the task up again, and keep it to yourself.
        raw: What the server last said of it.
        tool: The tool that it is of, where that is known.
        created: When it was begun, in Unix seconds, where that was kept.
    """

    def __init__(
        self,
        task_id: str,
        session: Session,
        raw: Json | None = None,
        *,
        tool: str | None = None,
        created: int | None = None,
    ) -> None:
        self.id = task_id
        self.tool = tool
        self.created = created
        self.raw: Json = raw or {}
        self._session = session
        self._answered: set[str] = set()
        self._sheltered = Secret(task_id)  # as long as it lives, messages mask the id

    @classmethod
    def of(cls, result: Json, session: Session, *, tool: str) -> Task:
        """
        Return the task of a CreateTaskResult.

        Raises:
            RemoteProtocolError: It is none.
        """
        task_id = result.get("taskId")
        if not isinstance(task_id, str) or not task_id:
            raise RemoteProtocolError(f"{session.name}: tools/call: a task without an id", server=session.name)
        return cls(task_id, session, _checked(result, session.name), tool=tool)

    def __repr__(self) -> str:
        return f"Task({self.status!r})"

    @property
    def handle(self) -> str:
        """What stands for the id where that must not be shown: eight digits made of it."""
        return stand_in(self.id)

    @property
    def status(self) -> str:
        """``working input_required completed failed cancelled``; ``unknown`` before it was asked for."""
        return str(self.raw.get("status", "unknown"))

    @property
    def status_message(self) -> str | None:
        """What the server says about it."""
        return self.raw.get("statusMessage")

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return self.status in ("completed", "failed", "cancelled")

    def refresh(self, *, timeout: float | None = None) -> Task:
        """Ask the server how it stands, and return the task."""
        self._refresh(self._session._deadline(timeout))
        return self

    def wait(self, *, timeout: float | None = None) -> types.CallToolResult:
        """
        Wait for its end, giving the server the inputs that it asks for; the task goes on if the time is over.

        Raises:
            RpcError: It failed; the error is the server's.
            ToolError: It was cancelled.
            DeadlineExceededError: It still goes on.
            McpVaultError: As ``Session.call_tool``.
        """
        return self._wait(self._session._deadline(timeout))

    def cancel(self, *, timeout: float | None = None) -> None:
        """Tell the server that the result is no longer wanted; whether it stops, it decides. Then forget it."""
        self._ask("tasks/cancel", {}, self._session._deadline(timeout))
        self.forget()

    def keep(self) -> None:
        """Remember it for other runs; where that does not work it is said in the log, and the task goes on."""
        tool = self.tool or ""
        self._remember(lambda memory: memory.keep(self.id, tool))

    def forget(self) -> None:
        """Remember it no more; the server is not told."""
        self._remember(lambda memory: memory.forget(self.id))

    def _remember(self, change: Callable[[TaskMemory], None]) -> None:
        if self._session._tasks is not None:
            try:
                change(self._session._tasks())
            except McpVaultError as error:
                LOG.warning("%s: what is remembered of tasks was not changed: %s", self._session.name, error.message)

    def finish(self, deadline: Deadline) -> types.CallToolResult:
        """Wait as a call does: Ctrl-C, or a callback that fails, cancels the task too."""
        try:
            return self._wait(deadline)
        except (Exception, KeyboardInterrupt) as error:
            if not isinstance(error, TransportError | RequestLostError) and not self.finished:
                try:
                    self.cancel(timeout=_GOODBYE)
                except Exception:  # noqa: S110  # the reason to cancel is what the caller must see
                    pass
            raise

    def _wait(self, deadline: Deadline) -> types.CallToolResult:
        failures = 0
        while not self.finished:
            deadline.pause(self._interval())
            try:
                self._refresh(deadline)
                failures = 0
            except (TransportError, RequestLostError):
                failures += 1
                if failures == _MOST_FAILURES or deadline.expired():
                    raise
            if self.status == "input_required":
                self._give_inputs(deadline)
        self.forget()
        return self._result()

    def _interval(self) -> float:
        if not self.raw:
            return 0.0
        told = finite(self.raw.get("pollIntervalMs"))
        seconds = _USUAL if told is None else told / 1000
        return min(max(seconds, _SHORTEST), _LONGEST)

    def _refresh(self, deadline: Deadline) -> None:
        self.raw = _checked(self._ask("tasks/get", {}, deadline), self._session.name)

    def _give_inputs(self, deadline: Deadline) -> None:
        requests = self.raw.get("inputRequests")
        if not isinstance(requests, dict):
            raise RemoteProtocolError(f"{self._session.name}: a task wants inputs and does not say which")
        # "Clients SHOULD deduplicate inputRequests keys across consecutive polls"; a key is never used again.
        fresh = {key: request for key, request in requests.items() if key not in self._answered}
        if fresh:
            inputs = self._session._client.inputs(fresh)
            self._ask("tasks/update", {"inputResponses": inputs}, deadline)
            self._answered.update(fresh)

    def _result(self) -> types.CallToolResult:
        server, method = self._session.name, "tools/call"
        if self.status == "cancelled":
            said = f": {quote(self.status_message)!r}" if isinstance(self.status_message, str) else ""
            raise ToolError(f"{server}: the task was cancelled{said}", server=server)
        message: Json = {"result": self.raw.get("result")}
        if self.status == "failed":
            message = {"error": self.raw.get("error") or {}}
        if (flaw := jsonrpc.flaw(message)) is not None:
            raise RemoteProtocolError(f"{server}: {method}: the task ended with {flaw}", server=server)
        if "error" in message:
            raise rpc_error(message["error"], method=method, server=server)
        return types.call_tool_result(message["result"], server=server)

    def _ask(self, method: str, params: Json, deadline: Deadline) -> Json:
        session = self._session
        session._open(deadline)
        return session._request(method, {"taskId": self.id, **params}, deadline, meta=session._client.with_tasks())


def _checked(raw: Any, server: str) -> Json:
    if not isinstance(raw, dict) or raw.get("status") not in STATUSES:
        raise RemoteProtocolError(f"{server}: the server's task has no status that there is", server=server)
    return raw
