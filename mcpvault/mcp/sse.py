"""
Server-sent events, from bytes, piece by piece.

Decides where an event ends and what it holds. Owns no stream. Linear in the number
of bytes whatever the pieces are, and without a copy of a large event.
Spec: WHATWG HTML §9.2.6.
"""

from __future__ import annotations

from typing import NamedTuple

from mcpvault.errors import MessageTooLargeError

_BOM = b"\xef\xbb\xbf"
_LARGE = 64 * 1024  # bytes from which an event's data is handed out without copying
_LF, _CR, _COLON, _SPACE = 0x0A, 0x0D, 0x3A, 0x20


class ServerSentEvent(NamedTuple):
    """One event. ``data`` is bytes, or a view of bytes when it is large."""

    event: str
    data: bytes | bytearray | memoryview
    id: str
    retry: int | None  # milliseconds


class SSEDecoder:
    """
    Turn the bytes of an event stream into events.

    Args:
        limit: The largest event, in bytes.
        last_event_id: Where a stream that is taken up again had broken off.

    Attributes:
        last_event_id: Of the last event that was complete.
        reconnection_time: What the server last said to wait before reconnecting, in milliseconds, or None.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024, *, last_event_id: str = "") -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._line = 0  # where the current line begins
        self._searched = 0  # how far the current line is known to hold no end
        self._cr = -1  # the next CR, if one is known
        self._no_cr = 0  # how far there is none
        self._at_start = True
        self._after_cr = False  # an LF that comes next belongs to the line end before it
        self._first: tuple[int, int] | None = None  # the event's only data line so far, in the buffer
        self._data: bytearray | None = None  # two data lines or more
        self._event = ""
        self._retry: int | None = None
        self._id = last_event_id
        self.last_event_id = last_event_id
        self.reconnection_time: int | None = None

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """
        Take the next bytes and return the events that end in them.

        An event that the stream breaks off is never returned.

        Raises:
            MessageTooLargeError: An event is larger than the limit; stop reading.
        """
        self._buffer += piece
        if self._at_start and not self._pass_bom():
            return []
        events: list[ServerSentEvent] = []
        while (end := self._line_end()) >= 0:
            start, next_line = self._line, end + 1
            if self._buffer[end] == _CR:
                if next_line < len(self._buffer):
                    next_line += self._buffer[next_line] == _LF
                else:
                    self._after_cr = True
            self._line = self._searched = next_line
            if end > start:
                self._take_line(start, end)
            elif (event := self._finish()) is not None:
                events.append(event)
        self._trim()
        return events

    def _pass_bom(self) -> bool:
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        self._at_start = False
        return True

    def _line_end(self) -> int:
        """Return where the current line ends, or -1; no byte is looked at twice."""
        buffer = self._buffer
        if self._after_cr and self._line < len(buffer):
            self._after_cr = False
            if buffer[self._line] == _LF:
                self._line += 1
                self._searched = self._line
        size = len(buffer)
        if self._cr < self._searched:
            self._cr = buffer.find(b"\r", max(self._searched, self._no_cr))
            self._no_cr = size if self._cr < 0 else self._cr
        lf = buffer.find(b"\n", self._searched, size if self._cr < 0 else self._cr)
        if lf >= 0:
            return lf
        if self._cr >= 0:
            return self._cr
        self._searched = size
        return -1

    def _take_line(self, start: int, end: int) -> None:
        buffer = self._buffer
        colon = buffer.find(b":", start, min(end, start + 6))
        if colon == start:
            return
        if colon < 0:
            colon = end  # "process the field using the whole line as the field name"
        value = min(colon + 1, end)
        if value < end and buffer[value] == _SPACE:
            value += 1
        name = buffer[start:colon]
        if name == b"data":
            self._add_data(value, end)
        elif name == b"event":
            self._event = buffer[value:end].decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in buffer[value:end]:
                self._id = buffer[value:end].decode("utf-8", "replace")
        elif name == b"retry" and buffer[value:end].isdigit() and end - value < 10:
            self._retry = self.reconnection_time = int(buffer[value:end])

    def _add_data(self, start: int, end: int) -> None:
        if self._data is None:
            if self._first is None:
                self._first = (start, end)
                return
            self._data = self._buffer[slice(*self._first)]
            self._first = None
        self._data += b"\n"
        self._data += memoryview(self._buffer)[start:end]
        if len(self._data) > self._limit:
            self._refuse()

    def _finish(self) -> ServerSentEvent | None:
        """Return the event that an empty line ends; without data there is none."""
        data: bytes | bytearray | memoryview
        self.last_event_id = self._id
        if self._first is not None:
            start, end = self._first
            if end - start > self._limit:
                self._refuse()
            # The rest of the buffer is copied where the event is not: whichever is smaller.
            if end - start < max(_LARGE, len(self._buffer) - self._line):
                data = bytes(memoryview(self._buffer)[start:end])
            else:
                data = memoryview(self._buffer)[start:end]
                self._give_away_buffer()
        elif self._data is not None:
            data = self._data
        else:
            self._event = ""
            return None
        event = ServerSentEvent(self._event or "message", data, self.last_event_id, self._retry)
        self._first = self._data = self._retry = None
        self._event = ""
        return event

    def _give_away_buffer(self) -> None:
        """Leave the buffer to the event that lies in it and go on with the rest."""
        self._buffer = self._buffer[self._line :]
        self._line = self._searched = self._no_cr = 0
        self._cr = -1

    def _trim(self) -> None:
        keep = self._line if self._first is None else self._first[0]
        if keep:
            del self._buffer[:keep]
            self._line -= keep
            self._searched -= keep
            self._no_cr = max(self._no_cr - keep, 0)
            self._cr = max(self._cr - keep, -1)
            if self._first is not None:
                self._first = (0, self._first[1] - keep)
        if len(self._buffer) + len(self._data or b"") > self._limit + _LARGE:
            self._refuse()

    def _refuse(self) -> None:
        self._buffer = bytearray()
        raise MessageTooLargeError(f"the server sent an event of more than {self._limit} bytes")
