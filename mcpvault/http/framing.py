"""
Where the body of an HTTP answer ends, in whatever pieces it comes.

Decides nothing and reads nothing: bytes in, the body's bytes out. It is for streams that are read beside
something else: ``http.client`` waits for the rest of a chunk's head once it has seen its first digit.

Spec: RFC 9112 §6.3, §7.1.
"""

from __future__ import annotations

import http.client
import re

_LONGEST = 4096  # bytes of a chunk's head or of a trailer line
_MOST_TRAILERS = 100
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\Z", re.DOTALL)


class Framing:
    """
    The framing of one body.

    Args:
        chunked: It comes in chunks.
        length: Its bytes, where the head says how many; else it goes on to the end of the connection.

    Attributes:
        ended: Its end has come.
    """

    def __init__(self, *, chunked: bool, length: int | None) -> None:
        self.ended = not chunked and length == 0
        self._chunked = chunked
        self._left = 0 if chunked else length  # bytes until the framing has something to say
        self._line = bytearray()
        self._behind = False  # a chunk is complete, and its line end is to come
        self._trailers: int | None = None  # lines of the trailer section, once the last chunk was seen

    def feed(self, data: bytes) -> bytes:
        """
        Return the bytes of the body that *data* holds; it may end anywhere.

        Raises:
            HTTPException: It is no such body.
        """
        found = bytearray()
        while data and not self.ended:
            if self._left == 0:
                data = self._head(data)
                continue
            piece, data = data[: self._left], data[self._left :] if self._left is not None else b""
            found += piece
            if self._left is not None:
                self._left -= len(piece)
                self._behind = self._chunked and self._left == 0
                self.ended = not self._chunked and self._left == 0
        return bytes(found)

    def stop(self) -> None:
        """
        Take note that the connection has ended.

        Raises:
            IncompleteRead: The body had not.
        """
        if not self.ended and self._left is not None:
            raise http.client.IncompleteRead(b"")
        self.ended = True

    def _head(self, data: bytes) -> bytes:
        """Take a line that is no part of the body, or the beginning of one; return what is behind it."""
        line, end, rest = data.partition(b"\n")
        self._line += line
        if len(self._line) > _LONGEST:
            raise http.client.LineTooLong("chunk size")
        if end:
            whole = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            self._understand(whole)
        return rest

    def _understand(self, line: bytes) -> None:
        if self._trailers is not None:
            self._trailers += 1
            self.ended = not line
            if self._trailers > _MOST_TRAILERS:
                raise http.client.HTTPException("too many trailers")
        elif self._behind and not line:
            self._behind = False
        elif not self._behind and (size := _SIZE.match(line)):
            self._left = int(size[1], 16)
            self._trailers = None if self._left else 0
        else:
            raise http.client.HTTPException("not a chunk")
