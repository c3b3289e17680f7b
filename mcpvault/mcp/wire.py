"""
The seams between the rooms: who carries bytes for whom, and within which bounds.

Decides the shape of an HTTP exchange, of a transport and of the memory of eras.
Leaves carrying to ``mcpvault.http`` and ``mcpvault.transports``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.errors import LoginNeededError
    from mcpvault.mcp.callbacks import ClientSide
    from mcpvault.secret import Secret

Json = dict[str, Any]
Notify = Callable[[str, Json], None]  # method and params of a notification from the server


class Limits(Record):
    """What a server may cost us."""

    message: int = 64 * 1024 * 1024  # bytes of one JSON document, event or line
    pages: int = 1_000  # of one list
    items: int = 100_000  # of one list, all pages together
    noise: int = 10_000  # lines on a stdio server's stdout that are no JSON-RPC


class Readable(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Return the descriptor, or -1 when nothing more comes."""


class HttpAnswer(Readable, Protocol):
    """The head of an HTTP answer, and its body as it arrives."""

    status: int
    headers: Mapping[str, str]  # names without regard to case

    def read1(self, n: int) -> bytes:
        """Return decoded bytes as soon as there are any, at most *n*; ``b""`` at the end. Raises our errors only."""

    def arrived(self) -> bytes | None:
        """
        Return what is here already: None if nothing is, ``b""`` at the end; wait for nothing.

        For streams that are read beside something else, and asked for without content coding; ``read1`` is not for
        them. Raises our errors only.
        """

    def close(self) -> None:
        """Be done with the answer; an unfinished one is cut off."""


# Waits until a socket can be read, at most so many seconds; tells whether anything happened.
Meanwhile = Callable[[Readable, float | None], bool]


class HttpExchange(Protocol):
    """One MCP endpoint over HTTP; the credential is attached behind this seam."""

    url: str

    def send(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | Callable[[], bytes] | None,
        deadline: Deadline,
        *,
        safe: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> HttpAnswer:
        """
        Send one request and return its answer, whatever its status.

        *body* may be what makes it, for each try anew. *safe*: it may be repeated.
        *meanwhile* does the waiting, for the head and for the body.
        """

    def at(self, url: str) -> HttpExchange:
        """Return the exchange with another URL of the same origin, on the same connections."""

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread, so that it looks at its deadline."""

    def close(self) -> None:
        """Close every connection."""


class VerdictStore(Protocol):
    """Which era a server spoke last; a cache that may forget."""

    def get(self, key: str) -> str | None:
        """Return the era remembered for *key*, or None."""

    def put(self, key: str, era: str) -> None:
        """Remember *era* for *key*."""

    def forget(self, key: str) -> None:
        """Forget *key*."""


class KeptTask(Protocol):
    """A task that was begun, perhaps by another process."""

    @property
    def id(self) -> Secret:
        """The server's name for it."""

    @property
    def tool(self) -> str:
        """The tool that it is of."""

    @property
    def created(self) -> int:
        """When it was begun, in Unix seconds."""


class TaskMemory(Protocol):
    """Which tasks of a server are on their way; ids may be as good as credentials."""

    def keep(self, task_id: str, tool: str) -> None:
        """Remember a task of *tool*."""

    def forget(self, task_id: str) -> None:
        """Forget it."""

    def all(self) -> Sequence[KeptTask]:
        """Return what is remembered, oldest first."""


class Authorization(Protocol):
    """
    Who obtains the grant that a session's requests carry (OAuth entries have one).

    ``on_login`` is called whenever a person is about to be asked.
    """

    on_login: Callable[[], None]

    def authenticate(self, *, method: str | None, scope: str | None, deadline: Deadline) -> None:
        """Let a person log in, now; raise one of our errors where that did not come about."""

    def authorization_url(self, *, redirect_uri: str | None, scope: str | None, deadline: Deadline) -> str:
        """Begin a login elsewhere: return the URL to visit, and remember it for ``complete``."""

    def complete(self, redirected: Secret, *, deadline: Deadline) -> None:
        """End a login that ``authorization_url`` began, perhaps in another process."""

    def advise(self, error: LoginNeededError) -> None:
        """Let *error*, which ends a call, say what helps."""


class Transport(Protocol):
    """
    An era-aware carrier of requests to one server.

    ``client`` is our side of the conversation; whoever holds the transport sets it before it is opened.
    """

    client: ClientSide

    @property
    def server_info(self) -> Json:
        """What the server says it is."""

    @property
    def capabilities(self) -> Json:
        """What the server says it can do."""

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""

    @property
    def era(self) -> str | None:
        """``modern`` or ``legacy``; None before that is known."""

    @property
    def protocol_version(self) -> str | None:
        """The revision spoken; None before that is known."""

    def open(self, deadline: Deadline) -> None:
        """Find out the era and shake hands, as far as needed; do nothing when that is done."""

    def request(
        self,
        method: str,
        params: Json | None,
        *,
        deadline: Deadline,
        on_notification: Notify | None,
        safe: bool = False,
    ) -> Json:
        """
        Send one request and return its result object; raise one of our errors otherwise.

        *safe*: the caller says that carrying it out twice is the same as once.
        """

    def listen(self, params: Json, deadline: Deadline) -> Iterator[Json]:
        """
        Yield the notifications of a subscription (legacy: whatever the server says by itself).

        The end is the server's proper one; a stream that breaks off is a RequestLostError.
        """

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread, so that it looks at its deadline."""

    def forked(self) -> None:
        """Begin anew in a forked child, and leave what is the parent's alone."""

    def close(self) -> None:
        """End the session; never raises."""


class Forkable(Protocol):
    """Something that holds what only one process may use: connections, locks, a child."""

    def forked(self) -> None:
        """Begin anew, and leave what is the parent's alone."""
