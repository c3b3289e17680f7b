"""
Sockets that keep a deadline, and connections made of them.

Law: every connect, send and receive first asks how much time is left, and none
waits when that is over. Plain ``requests`` counts from one piece of an answer to
the next, so that a server which drips a byte per second holds it for ever.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from urllib3._collections import HTTPHeaderDict
from urllib3.connection import HTTPConnection

from mcpvault.http.response import GuardedResponse

if TYPE_CHECKING:
    from mcpvault.errors import McpVaultError
    from mcpvault.http.policy import Allowance
    from mcpvault.http.proxies import Proxy


class RefusedAddress(OSError):
    """Every address of the host is one that the policy forbids; ``error`` says why."""

    def __init__(self, error: McpVaultError) -> None:
        super().__init__(str(error))
        self.error = error


class Timed:
    """What a plain and a TLS socket have in common: an allowance, asked before each blocking call."""

    allowance: Allowance | None = None

    def _step(self) -> None:
        if self.allowance is not None:
            self.settimeout(self.allowance.step())  # type: ignore[attr-defined]  # the socket's, further down the line

    def recv(self, *args: Any) -> bytes:
        """Receive, in time."""
        return self._receive(super().recv, args)  # type: ignore[misc, no-any-return]

    def recv_into(self, *args: Any) -> int:
        """Receive into a buffer, in time."""
        return self._receive(super().recv_into, args)  # type: ignore[misc, no-any-return]

    def _receive(self, receive: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        allowance = self.allowance
        if allowance is not None and allowance.meanwhile is not None:
            return self._busily(receive, args)
        try:
            self._step()
        except TimeoutError:
            if allowance is None or allowance.late <= 0:
                raise
        else:
            return receive(*args)
        return self._belatedly(receive, args, allowance)

    def _belatedly(self, receive: Callable[..., Any], args: tuple[Any, ...], allowance: Allowance) -> Any:
        """Receive what came before the time was over, as it does while a process is stopped; wait for nothing."""
        self.settimeout(0)  # type: ignore[attr-defined]
        try:
            got = receive(*args)
        except (BlockingIOError, ssl.SSLWantReadError):
            got = None
        if got is None:
            raise TimeoutError
        allowance.late -= got if isinstance(got, int) else len(got)
        return got

    def _busily(self, receive: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Receive; somebody else does the waiting, and something useful meanwhile."""
        allowance = self.allowance
        while True:
            self.settimeout(0)  # type: ignore[attr-defined]
            try:
                return receive(*args)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            if allowance is None or allowance.meanwhile is None or not allowance.meanwhile(self, allowance.step()):
                raise TimeoutError

    def send(self, *args: Any) -> int:
        """Send some of it, in time."""
        self._step()
        return super().send(*args)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any) -> None:
        """Send all of it, in time."""
        self._step()
        super().sendall(*args)  # type: ignore[misc]


class TimedSocket(Timed, socket.socket):
    """A socket that keeps its allowance. ``sendall`` takes the timeout as its own total."""


def dial(host: str, port: int, allowance: Allowance, refuses: Callable[[str], McpVaultError | None]) -> TimedSocket:
    """
    Return a socket connected to *host*, trying its addresses within one allowance.

    Args:
        host: A name or an address.
        port: The port.
        allowance: For the resolution of the name and for all addresses together; each of them gets an equal
            share of what is left.
        refuses: Asked with every address before it is tried.

    Raises:
        OSError: Name resolution failed, or no address answered: the last one's error.
        RefusedAddress: There are addresses, and none is allowed.
    """
    found = _addresses_of(host, port, allowance.step())
    refusals = [refuses(str(address[0])) for *_, address in found]
    allowed = [entry for entry, refusal in zip(found, refusals, strict=True) if refusal is None]
    if not allowed and (refusal := next(filter(None, refusals), None)):
        raise RefusedAddress(refusal)
    last: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(allowed):
        left = allowance.step()
        connection = TimedSocket(family, kind, protocol)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(None if left is None else left / (len(allowed) - number))
            connection.connect(address)
        except OSError as e:
            connection.close()
            last = e
        else:
            connection.allowance = allowance
            return connection
    raise last


def _addresses_of(host: str, port: int, seconds: float | None) -> list[Any]:
    """Return what ``socket.getaddrinfo`` returns for a stream; only names take time."""
    if seconds is None or _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    from mcpvault.http.resolution import resolve

    return resolve(host, port, seconds)


def _is_address(host: str) -> bool:
    """Tell whether an origin's host is an address and not a name."""
    return ":" in host or host.replace(".", "").isdecimal()


class GuardedConnection(HTTPConnection):
    """
    One connection to one origin, straight or through a proxy.

    Args:
        host: Of the origin.
        port: Of the origin.
        refuses: Asked with the address before it is connected to. Behind a proxy, where names are
            resolved by somebody else, it is asked only about an origin that is an address itself.
        proxy: The proxy to go through, or None.
        context: For an https origin.
        proxy_context: For a proxy that is itself spoken to over TLS.
    """

    # Somebody who sets http.client.HTTPConnection.debuglevel must not see credentials printed.
    debuglevel = 0

    def __init__(
        self,
        host: str,
        port: int,
        *,
        refuses: Callable[[str], McpVaultError | None],
        proxy: Proxy | None = None,
        context: ssl.SSLContext | None = None,
        proxy_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(proxy.host if proxy else host, proxy.port if proxy else port)
        self._origin = (host, port)
        self._refuses = refuses
        self._via = proxy
        self._context = context
        self._proxy_context = proxy_context
        if context is not None:
            self.default_port = 443  # type: ignore[misc]  # what http.client leaves out of Host

    def open(self, allowance: Allowance) -> None:
        """
        Connect, tunnel and shake hands within what *allowance* grants for connecting.

        Raises:
            OSError: It did not work; nothing of a request was sent.
        """
        limit = allowance.connecting()
        via = self._via
        if via and _is_address(self._origin[0]) and (refusal := self._refuses(self._origin[0])):
            raise RefusedAddress(refusal)
        if via and self._context is not None:
            authorization = via.authorization
            self.set_tunnel(
                *self._origin,
                headers={"Proxy-Authorization": authorization.reveal()} if authorization else None,
            )
        self.sock = plain = dial(self.host, self.port or 0, limit, (lambda _: None) if via else self._refuses)
        stream: Any = plain
        if via and via.scheme == "https":
            self.sock = stream = _shaken(plain, self._proxy_context, via.host, limit)
        if via and self._context is not None:
            self._tunnel()
            # http.client keeps them for a reconnect, which never happens here.
            self._tunnel_headers: dict[str, str] = {}
        timed: Any = stream if isinstance(stream, Timed) else plain
        if self._context is not None:
            self.sock = secure = _shaken(stream, self._context, self._origin[0], limit)
            timed = secure if isinstance(secure, Timed) else timed
        self._inner = timed
        self.is_verified = self._context is not None
        self.use(allowance)

    def use(self, allowance: Allowance) -> None:
        """Let the next request spend *allowance*."""
        self._inner.allowance = allowance

    def connect(self) -> None:
        """Refuse to connect behind the back of whoever counts the time."""
        raise OSError("the connection is closed")

    def getresponse(self) -> GuardedResponse:  # type: ignore[override]
        """Return the answer as soon as its head has been read; the body is the caller's to read."""
        method = self._method  # type: ignore[attr-defined]
        answer = http.client.HTTPConnection.getresponse(self)
        # RFC 9112 §5.2: obsolete line folding is replaced with a space.
        fields = [(name, " ".join(v.split()) if "\n" in v else v) for name, v in answer.msg.items()]
        return GuardedResponse(
            body=answer,
            headers=HTTPHeaderDict(fields),
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            original_response=answer,
            request_method=method,
        )


def _shaken(stream: Any, context: ssl.SSLContext | None, host: str, limit: Allowance) -> Any:
    from mcpvault.http.tls import shaken

    assert context is not None  # noqa: S101  # where there is TLS, there is a context
    return shaken(stream, context, host, limit)
