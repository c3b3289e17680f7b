"""
The bodies of HTTP answers: messages out of a JSON document or an event stream, errors out of a status.

Decides what a status means for the caller. Leaves what a message means to the transport.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING

from mcpvault.errors import (
    CredentialRejectedError,
    ForbiddenError,
    InsufficientScopeError,
    McpVaultError,
    MessageTooLargeError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.mcp import jsonrpc

if TYPE_CHECKING:
    from mcpvault.mcp.sse import SSEDecoder
    from mcpvault.mcp.wire import HttpAnswer, Json

LARGEST = 64 * 1024 * 1024  # bytes of one message
_CHUNK = 256 * 1024  # bytes
_ERROR_BODY = 64 * 1024  # bytes read of the body of an error
_LONGEST_CHALLENGE = 4096  # characters
# A quoted string is taken as a whole: what it quotes is no parameter (RFC 9110 §5.6.4).
_PARAMETER = r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))'


def media_type(answer: HttpAnswer) -> str:
    """Return the media type of the body, in lower case, without parameters."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def messages_of(
    answer: HttpAnswer, *, largest: int, batches: bool = False, decoder: SSEDecoder | None = None
) -> Generator[Json, None, None]:
    """
    Yield the JSON-RPC messages of a body as they arrive; *batches* allows arrays of them (2025-03-26).

    *decoder* reads an event stream in place of a fresh one: then it tells where the stream broke off.

    Raises:
        RemoteProtocolError: The body is neither JSON nor an event stream, or holds no messages.
        MessageTooLargeError: A message is larger than *largest* bytes; nothing more is read.
    """
    kind = media_type(answer)
    if kind == "application/json":
        yield from jsonrpc.messages(_whole(answer, largest), batches=batches)
    elif kind == "text/event-stream":
        if decoder is None:
            from mcpvault.mcp.sse import SSEDecoder

            decoder = SSEDecoder(largest)
        while chunk := answer.read1(_CHUNK):
            events = decoder.feed(chunk)
            del chunk
            while events:
                event = events.pop(0)
                # "an event with an empty data field" primes reconnection and is no message (T46)
                if event.data and event.event == "message":
                    data = event.data
                    del event
                    yield from jsonrpc.messages(data, batches=batches)
                    del data
    else:
        raise RemoteProtocolError(f"the server answered with {kind or 'no content type'!r}, expected JSON or events")


def _whole(answer: HttpAnswer, largest: int) -> bytearray:
    body = bytearray()
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > largest:
            raise MessageTooLargeError(
                f"the server sent a message larger than {largest} bytes",
                hint="ask for less, or raise max_message of this server",
            )
    return body


def error_message(answer: HttpAnswer) -> Json | None:
    """Return the JSON-RPC message in the body of an error status, or None if there is none."""
    if media_type(answer) not in ("application/json", "text/event-stream"):
        return None
    try:
        for message in messages_of(answer, largest=_ERROR_BODY):
            return message
    except RemoteProtocolError:
        return None
    return None


def problem_of(answer: HttpAnswer, *, server: str, method: str, accepted: bool = False) -> McpVaultError | None:
    """
    Return the error that the status alone decides, or None.

    A request may be answered by 200, 400, 404 and 405; what is only *accepted* (a notification) by any 2xx.
    """
    status = answer.status
    if status == 401:
        return CredentialRejectedError(f"{server}: the server rejected the credential (401)", server=server)
    if status == 403:
        challenge = _challenge(answer.headers.get("WWW-Authenticate", ""))
        if challenge.get("error") == "insufficient_scope":
            from mcpvault.quoting import quote

            scope = challenge.get("scope")
            wanted = f": it asks for {quote(scope)!r}" if scope else ""
            return InsufficientScopeError(
                f"{server}: the credential's scope is not enough (403){wanted}", server=server
            )
        return ForbiddenError(f"{server}: the server refuses this (403)", server=server)
    if status == 429 or status >= 500:
        from mcpvault.figures import retry_after

        # A gateway gives up on what the server behind it may go on with; 429 and 503 are refusals.
        perhaps = method == "tools/call" and status not in (429, 503)
        return ServerUnavailableError(
            f"{server}: the server is unavailable ({status})",
            hint="the call may have been carried out: look before you repeat it" if perhaps else "try again later",
            server=server,
            retry_after=retry_after(answer.headers.get("Retry-After")),
        )
    if (200 <= status < 300) if accepted else (status in (200, 400, 404, 405)):
        return None
    return RemoteProtocolError(f"{server}: {method}: unexpected status {status}", server=server)


def _challenge(header: str) -> dict[str, str]:
    """Return the parameters of a WWW-Authenticate header, names in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in re.findall(_PARAMETER, header[:_LONGEST_CHALLENGE]):
        found.setdefault(name.lower(), quoted or plain)
    return found
