"""An answer whose body is read under the deadline, and whose errors are ours."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import urllib3.exceptions
from urllib3.response import HTTPResponse

from mcpvault.deadline import Deadline
from mcpvault.http.policy import Allowance, OriginPolicy

if TYPE_CHECKING:
    from mcpvault.errors import McpVaultError
    from mcpvault.http.framing import Framing

# What sending and receiving may raise. ValueError: http.client on a header that it cannot send.
WIRE_ERRORS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, ValueError)
_SPARE_TIME = 0.02  # seconds to wait for the end of an answer, against the cost of another connection
_SPARE_BYTES = 64 * 1024


class GuardedResponse(HTTPResponse):
    """
    urllib3's response; what it raises while a body is read becomes one of ours.

    ``policy`` is set by the pool that sent the request, which then lets it ``use`` the time of that.
    """

    policy: OriginPolicy
    _allowance: Allowance
    framing: Framing | None = None  # of a body that is read as it arrives

    def use(self, allowance: Allowance) -> None:
        """Let what is still to be read spend *allowance*."""
        self._allowance = allowance
        connection: Any = self._connection
        if connection is not None:
            connection.use(allowance)

    def judge(self, error: BaseException) -> McpVaultError:
        """Return what an error of the wire means for the caller."""
        from mcpvault.http.failures import while_answering

        return while_answering(error, self.policy, self._allowance)

    def read(self, amt: int | None = None, decode_content: bool | None = None, cache_content: bool = False) -> bytes:
        """Read as urllib3 does; raise our errors only."""
        try:
            return super().read(amt, decode_content, cache_content)
        except WIRE_ERRORS as e:
            failure = self.judge(e)
        raise failure

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read what is there, at most *amt* bytes; raise our errors only."""
        try:
            return super().read1(amt, decode_content)
        except WIRE_ERRORS as e:
            failure = self.judge(e)
        raise failure

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override]
        """Yield chunk after chunk; raise our errors only."""
        try:
            yield from super().read_chunked(amt, decode_content)
            return
        except WIRE_ERRORS as e:
            failure = self.judge(e)
        raise failure

    def arrived(self) -> bytes | None:
        """
        Return what of the body is here, as it came: None if nothing is, ``b""`` at the end; wait for nothing.

        An answer that is read so is read in no other way. Raises our errors only.
        """
        from mcpvault.http.arrivals import arrived

        try:
            return arrived(self)
        except WIRE_ERRORS as e:
            failure = self.judge(e)
        raise failure

    def finish(self) -> None:
        """
        Be done with this answer: keep its connection if the end is at hand, else close it.

        An SSE stream ends a moment after its last event; waiting that moment saves a connection.
        """
        if self._connection is None:
            return
        if self.framing is not None:
            self.close()
            return
        self.use(Allowance(Deadline(_SPARE_TIME), connect=0, read=_SPARE_TIME))
        seen = 0
        try:
            while seen < _SPARE_BYTES and (piece := super().read1(_SPARE_BYTES, True)):
                seen += len(piece)
        except WIRE_ERRORS:
            pass
        self.close()
