"""
What has arrived of an answer's body, taken without waiting for more.

For streams that are read beside something else. Leaves where the body ends to ``framing``.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from mcpvault.errors import RemoteProtocolError
from mcpvault.http.framing import Framing

if TYPE_CHECKING:
    from mcpvault.http.response import GuardedResponse

_MOST = 64 * 1024  # bytes at once


def arrived(answer: GuardedResponse) -> bytes | None:
    """
    Return what of the body is here, as it came: None if nothing is, ``b""`` at the end.

    Raises:
        RemoteProtocolError: It is encoded, although that was not asked for.
        OSError, HTTPException: It broke off, or is not framed as the head says.
    """
    body: Any = answer._fp
    if body is None or body.fp is None or answer._connection is None:
        return b""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        place, server = answer.policy.origin, answer.policy.server
        raise RemoteProtocolError(f"{place}: the stream is encoded, which was not asked for", server=server)
    if answer.framing is None:
        answer.framing = Framing(chunked=bool(body.chunked), length=None if body.chunked else body.length)
    framing = answer.framing
    data = _here(answer, body.fp)
    if data is None:
        return None
    found = framing.feed(data)
    if not data:
        framing.stop()
    if framing.ended:
        body.close()
        answer.release_conn()
    return found or (b"" if framing.ended else None)


def _here(answer: GuardedResponse, reader: Any) -> bytes | None:
    """Return what the connection has for us: None if nothing, ``b""`` at its end."""
    connection: Any = answer._connection
    inner = connection._inner
    held, inner.allowance = inner.allowance, None
    try:
        inner.settimeout(0)
        if ahead := reader.peek():
            return bytes(reader.read(len(ahead)))
        # Nothing and the end look alike so far.
        last: bytes | None = reader.raw.read(_MOST)
        return last
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    finally:
        inner.allowance = held
