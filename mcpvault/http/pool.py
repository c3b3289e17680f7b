"""
The connections to one origin, and one exchange over one of them.

Decides which connection is used again. Leaves to ``adapter`` what may be sent,
and whether to try again.
"""

from __future__ import annotations

import os
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from urllib3.util.connection import is_connection_dropped

from mcpvault.errors import ConfigurationError
from mcpvault.http.connection import GuardedConnection, RefusedAddress
from mcpvault.http.response import WIRE_ERRORS
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.errors import McpVaultError
    from mcpvault.http.policy import Allowance, OriginPolicy
    from mcpvault.http.proxies import Proxy
    from mcpvault.http.response import GuardedResponse

_MOST_IDLE = 32  # connections; more threads than that open new ones


class Failure(Record):
    """
    A request that brought no answer.

    Args:
        error: What to tell the caller.
        sent: Whether any of the request may have reached the server.
        lasting: Trying again cannot help.
    """

    error: McpVaultError
    sent: bool
    lasting: bool = False


class Pool:
    """
    Connections to one origin.

    Args:
        policy: Which origin, and what may be connected to.
        proxy: To go through, or None.
        context: Makes the TLS context when it is first needed; None for a plain http origin.
        proxy_context: The same for a proxy that is itself spoken to over TLS.
    """

    def __init__(
        self,
        policy: OriginPolicy,
        *,
        proxy: Proxy | None,
        context: Callable[[], ssl.SSLContext] | None,
        proxy_context: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._policy = policy
        self._proxy = proxy
        self._context = context
        self._proxy_context = proxy_context
        self._idle: deque[GuardedConnection] = deque(maxlen=_MOST_IDLE)
        self._made: weakref.WeakSet[GuardedConnection] = weakref.WeakSet()
        self._process = os.getpid()
        # As requests does it: whoever forgets to close a session leaves no connection open.
        weakref.finalize(self, _close, self._idle).atexit = False
        self._through = f" through the proxy {proxy.host}:{proxy.port}" if proxy else ""

    def exchange(
        self, method: str, target: str, headers: dict[str, Any], body: Any, allowance: Allowance
    ) -> GuardedResponse | Failure:
        """
        Send one request and return its answer's head, with the body still to be read.

        Errors of the wire are returned and not raised: the frames here hold headers.
        """
        connection = self._waiting()
        if connection is None:
            opened = self._open(allowance)
            if isinstance(opened, Failure):
                return opened
            connection = opened
        else:
            connection.use(allowance)
        if allowance.leaving is not None:
            allowance.leaving()
        answered = False
        try:
            try:
                connection.request(
                    method,
                    target,
                    body=body,
                    headers=headers,
                    chunked="Transfer-Encoding" in headers,
                    preload_content=False,
                    decode_content=False,
                )
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server may answer before it has read everything: 413, 401
            response = connection.getresponse()
            answered = response.status >= 200
        except WIRE_ERRORS as e:
            from mcpvault.http.failures import while_answering

            return Failure(while_answering(e, self._policy, allowance), sent=True)
        finally:
            if not answered:
                connection.close()
        if not answered:
            # http.client skips 100 only; after another one the real answer would be taken for the next request's.
            from mcpvault.http.failures import unexpected_answer

            return Failure(unexpected_answer(self._policy, response.status), sent=True)
        response._pool = self  # type: ignore[assignment]  # all that it asks of a pool is _put_conn
        response._connection = connection
        response.policy = self._policy
        response.use(allowance)
        if response.isclosed():
            response.release_conn()
        return response

    def _waiting(self) -> GuardedConnection | None:
        if self._process != os.getpid():
            # A forked child must not speak on its parent's connections: these are its own ends of them.
            _close(self._idle)
            self._process = os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.sock is not None and not is_connection_dropped(connection):
                return connection
            connection.close()
        return None

    def _open(self, allowance: Allowance) -> GuardedConnection | Failure:
        try:
            context = self._context() if self._context else None
            proxy_context = self._proxy_context() if self._proxy_context else None
        except ConfigurationError as e:
            return Failure(e.with_traceback(None), sent=False, lasting=True)
        connection = GuardedConnection(
            self._policy.host,
            self._policy.port,
            refuses=self._policy.refuses,
            proxy=self._proxy,
            context=context,
            proxy_context=proxy_context,
        )
        self._made.add(connection)
        opened = False
        try:
            connection.open(allowance)
            opened = True
            return connection
        except RefusedAddress as e:
            return Failure(e.error, sent=False, lasting=True)
        except WIRE_ERRORS as e:
            from mcpvault.http.failures import while_connecting

            return while_connecting(e, self._policy, allowance, self._through)
        finally:
            if not opened:
                connection.close()

    def _put_conn(self, connection: GuardedConnection) -> None:
        if connection.sock is None or self._process != os.getpid():
            return
        if len(self._idle) == _MOST_IDLE:
            connection.close()
            return
        self._idle.append(connection)

    def interrupt(self) -> None:
        """Shut down every connection: whoever waits on one of them, in any thread, goes on and looks at the clock."""
        for connection in list(self._made):
            with suppress(OSError, AttributeError):
                # The plain socket's method: that of a TLS socket would leave it to go on in clear.
                socket.socket.shutdown(connection._inner, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the idle connections; those in use close when their answer is done with."""
        _close(self._idle)


def _close(idle: deque[GuardedConnection]) -> None:
    while idle:
        with suppress(IndexError):  # another thread took it
            idle.pop().close()
