"""
The listener that the authorization server sends the browser back to (RFC 8252 §7.3).

Decides which of the requests that come is the awaited one. Leaves what its parameters mean to ``mcpvault.oauth``.
One thread, nothing blocks: browsers open connections that they never use, and ask for icons.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from mcpvault.deadline import Deadline
from mcpvault.errors import BusyError, ConfigurationError, DeadlineExceededError, McpVaultError

_ADDRESS, _ADDRESS_6 = "127.0.0.1", "::1"
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_PATIENCE = 2.0  # seconds for one connection, from its beginning to its end
_MOST_BYTES = 16 * 1024  # of one request
_MOST_VISITS = 64  # at a time
_TICK = 1.0  # seconds after which to look up; where select() is deaf to Ctrl-C, this is how it is heard
_FIRST_PORT, _PORTS = 20_000, 12_000  # below what Linux and macOS hand out to outgoing connections
_WALK = 16  # ports tried one after another
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
_HEADERS = (
    "Content-Type: text/html; charset=utf-8",
    "Cache-Control: no-store",
    "Referrer-Policy: no-referrer",  # the address of the page holds the code
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} - mcpvault</title>
<style>main {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }}</style>
</head>
<body><main><h1>{title}</h1><p>{text}</p></main></body>
</html>
"""
_ANSWERS = {
    200: ("OK", "Back to the terminal", "mcpvault has the answer and says there what came of it. Close this page."),
    400: ("Bad Request", "Not what was expected", "This is no answer to the login that waits in the terminal."),
    404: ("Not Found", "Nothing here", "This port waits for the end of a login, and has no other pages."),
    405: ("Method Not Allowed", "Not what was expected", "Only GET is answered here."),
    431: ("Request Header Fields Too Large", "Too large", "The request is larger than a login's answer can be."),
}
Judge = Callable[[str], "bool | str"]
_REFUSED = ("Not logged in", "The answer was no. mcpvault says more in the terminal. Close this page.")


def stable_port(*facts: str) -> int:
    """Return the port that these facts always lead to, so that a registered redirect URI stays true."""
    digest = hashlib.sha256("\0".join(facts).encode()).digest()
    return _FIRST_PORT + int.from_bytes(digest[:8], "big") % _PORTS


class Loopback:
    """
    Listen on 127.0.0.1 from now on, and on ::1 too where the redirect URI says ``localhost``; a context manager.

    Args:
        port: This one and no other; None: the first that is free, from *preferred* on.
        path: Of the redirect URI; any other path is not found.
        preferred: The port of the stored registration, else ``stable_port(…)``.
        host: How the redirect URI names this machine, ``127.0.0.1`` or ``localhost``.

    Raises:
        BusyError: The port is in use; end what uses it, or take another way to log in.
        ConfigurationError: The port cannot be had at all.
    """

    def __init__(
        self, *, port: int | None = None, path: str = "/callback", preferred: int = 0, host: str = _ADDRESS
    ) -> None:
        self._path = path
        self._listeners = _listen(port, preferred, both=host == "localhost")
        self._selector = selectors.DefaultSelector()
        for listener in self._listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
        self._visits: list[_Visit] = []
        self.port: int = self._listeners[0].getsockname()[1]
        self._base = f"http://{host}:{self.port}"
        self._hosts = {f"{name}:{self.port}" for name in (_ADDRESS, "localhost")}
        if self.port == 80:
            self._hosts |= {_ADDRESS, "localhost"}

    @classmethod
    def at(cls, redirect_uri: str) -> Self:
        """
        Listen where *redirect_uri* leads, which somebody has registered.

        Raises:
            ConfigurationError: It does not lead to a port of this machine.
            BusyError: The port is in use.
        """
        try:
            parts = urlsplit(redirect_uri)
            port = parts.port
        except ValueError:
            port = None
        if not port or parts.scheme != "http" or parts.hostname not in (_ADDRESS, "localhost") or parts.query:
            raise ConfigurationError(
                f"redirect_uri: {redirect_uri!r} cannot be listened on",
                hint="expected http://127.0.0.1:PORT/PATH, or log in with: --method paste",
            )
        return cls(port=port, path=parts.path or "/", host=parts.hostname)

    @property
    def redirect_uri(self) -> str:
        """What is registered and sent."""
        return f"{self._base}{self._path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        for visit in self._visits:
            visit.socket.close()
        self._visits.clear()
        self._selector.close()
        for listener in self._listeners:
            listener.close()

    def wait(self, judge: Judge, deadline: Deadline) -> str:
        """
        Serve until the awaited request has come and its page has gone out; return its whole URL.

        Args:
            judge: Is shown each URL that arrives at the path, and tells whether its ``state`` is ours; ``refusal``,
                if the page may say no. If it is not ours, or one of our errors or ``ValueError`` is raised, the
                waiting goes on.
            deadline: For all of it.

        Raises:
            DeadlineExceededError: Nobody came back in time.
        """
        while not deadline.expired():
            for key, _ in self._selector.select(self._pause(deadline)):
                if isinstance(key.fileobj, socket.socket) and key.data is None:
                    self._accept(key.fileobj)
                elif (url := self._attend(key.data, judge)) is not None:
                    return url
            for visit in [visit for visit in self._visits if visit.limit.expired()]:
                self._end(visit)
                if visit.url is not None:
                    return visit.url  # the page did not get through; the answer did
        raise DeadlineExceededError(
            f"nobody came back to {self.redirect_uri} within {deadline.seconds or 0:g} s",
            hint="log in again; where the browser runs elsewhere, with: --method paste",
            sent=False,
        )

    def _pause(self, deadline: Deadline) -> float:
        return min(_TICK, deadline.remaining(), *(visit.limit.remaining() for visit in self._visits))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # it is gone again
        connection.setblocking(False)
        if len(self._visits) >= _MOST_VISITS:
            self._end(next(visit for visit in self._visits if visit.url is None))  # never the answer
        visit = _Visit(connection)
        self._visits.append(visit)
        self._selector.register(connection, selectors.EVENT_READ, visit)

    def _attend(self, visit: _Visit, judge: Judge) -> str | None:
        """Read or write what goes; return the URL when the awaited request has its page."""
        if visit not in self._visits:
            return None  # ended by an event before this one
        try:
            if visit.unsent:
                del visit.unsent[: visit.socket.send(visit.unsent)]
            elif not (piece := visit.socket.recv(_MOST_BYTES)):
                self._end(visit)
                return visit.url
            elif not visit.answered:
                visit.received += piece
        except BlockingIOError:
            return None
        except OSError:
            self._end(visit)
            return visit.url
        if not visit.answered and (b"\r\n\r\n" in visit.received or len(visit.received) > _MOST_BYTES):
            status, visit.url, refused = self._judged(bytes(visit.received), judge)
            visit.answer(status, refused=refused)
            self._selector.modify(visit.socket, selectors.EVENT_WRITE, visit)
        elif visit.answered and not visit.unsent:
            if visit.url is not None:
                self._end(visit)
                return visit.url
            # Closing with something unread would reset the connection, and the page with it.
            with suppress(OSError):
                visit.socket.shutdown(socket.SHUT_WR)
            self._selector.modify(visit.socket, selectors.EVENT_READ, visit)
        return None

    def _judged(self, request: bytes, judge: Judge) -> tuple[int, str | None, bool]:
        """Return the status that a request deserves, its URL if it is the awaited one, and whether it says no."""
        if len(request) > _MOST_BYTES:
            return 431, None, False
        first, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        line = _REQUEST_LINE.fullmatch(first)
        hosts = [
            value.strip() for name, _, value in (line.partition(b":") for line in lines) if name.lower() == b"host"
        ]
        # Any other name leads here only by somebody's DNS (rebinding), or by accident.
        if line is None or len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return 400, None, False
        method, target = line[1], line[2].decode("ascii")
        if target.partition("?")[0] != self._path:
            return 404, None, False
        if method != b"GET":
            return 405, None, False
        url = f"{self._base}{target}"
        try:
            said = judge(url)
        except (McpVaultError, ValueError):
            said = ""
        return (200, url, said == "refusal") if said else (400, None, False)

    def _end(self, visit: _Visit) -> None:
        self._visits.remove(visit)
        self._selector.unregister(visit.socket)
        visit.socket.close()


class _Visit:
    """One connection: what has been read, what is still to be written, and when it must be over."""

    __slots__ = ("answered", "limit", "received", "socket", "unsent", "url")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.limit = Deadline(_PATIENCE)
        self.received = bytearray()
        self.unsent = bytearray()
        self.answered = False
        self.url: str | None = None  # of the awaited request

    def answer(self, status: int, *, refused: bool = False) -> None:
        """Prepare the page of *status*. It holds nothing of the request."""
        reason, title, text = _ANSWERS[status]
        if refused:
            title, text = _REFUSED
        body = _PAGE.format(title=title, text=text).encode()
        lines = [f"HTTP/1.1 {status} {reason}", *_HEADERS, f"Content-Length: {len(body)}"]
        if status == 405:
            lines.append("Allow: GET")
        self.unsent += "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self.answered = True
        self.received.clear()


def _listen(port: int | None, preferred: int, *, both: bool) -> list[socket.socket]:
    """
    Return a listening socket: on *port*, or on the first free one from *preferred* on, or on any.

    With *both* another one is on ::1, which browsers try first for ``localhost``: left free, it would be for anybody
    on this machine to take, and the answer with it. A system without IPv6 has no such address.
    """
    candidates = [port] if port is not None else [*range(preferred, min(preferred + _WALK, 65_536)), 0]
    number = 0
    for candidate in candidates:
        try:
            first = socket.create_server((_ADDRESS, candidate), backlog=_MOST_VISITS)
        except OSError as e:
            number = e.errno or 0
            continue
        if not both:
            return [first]
        try:
            there = _ADDRESS_6, first.getsockname()[1]
            return [first, socket.create_server(there, family=socket.AF_INET6, backlog=_MOST_VISITS)]
        except OSError as e:
            if e.errno in _NO_IPV6:
                return [first]
            first.close()
            raise _occupied(e.errno or 0, *there) from None
    raise _occupied(number, _ADDRESS, candidates[0])


def _occupied(number: int, address: str, port: int) -> McpVaultError:
    kind = BusyError if number == errno.EADDRINUSE else ConfigurationError
    return kind(
        f"port {port} of {address} cannot be listened on: {os.strerror(number).lower()}",
        hint="end what uses it, choose another redirect_uri, or log in with: --method paste",
    )
