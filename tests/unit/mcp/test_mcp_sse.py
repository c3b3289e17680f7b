"""Server-sent events from bytes; ``tests/fuzz`` compares any stream, however it is cut, with the standard."""

from __future__ import annotations

import tracemalloc

import pytest

from mcpvault.errors import MessageTooLargeError
from mcpvault.mcp.sse import ServerSentEvent, SSEDecoder

Event = tuple[str, bytes, str, int | None]


def decoded(*pieces: bytes, limit: int = 1 << 20) -> list[Event]:
    """Return the events in *pieces*, their data as bytes."""
    decoder = SSEDecoder(limit)
    return [plain(event) for piece in pieces for event in decoder.feed(piece)]


def plain(event: ServerSentEvent) -> Event:
    """Return *event* with its data copied."""
    return event.event, bytes(event.data), event.id, event.retry


@pytest.mark.parametrize("size", [1, 3, 1000, 70_000, 1 << 20], ids=str)
def test_large_events_between_small_ones(size: int) -> None:
    """Events on both sides of one that is handed out without a copy are not disturbed."""
    large = b"x" * 200_000
    stream = b"data: one\n\ndata: %b\n\ndata: two\r\ndata: three\r\n\r\ndata: %b\r\r" % (large, large)
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]

    assert [b"one", large, b"two\nthree", large] == [event[1] for event in decoded(*pieces)]


def test_an_event_keeps_its_data_while_the_stream_goes_on() -> None:
    """What was handed out is not overwritten by what comes later."""
    decoder = SSEDecoder()
    (event,) = decoder.feed(b"data: " + b"x" * 100_000 + b"\n\ndata: half")
    (later,) = decoder.feed(b" and half\n\n" * 1)

    assert (b"x" * 100_000, b"half and half") == (bytes(event.data), bytes(later.data))


def test_an_event_that_is_broken_off_is_none() -> None:
    """Only an empty line ends an event."""
    assert [] == decoded(b"data: x\n")


def test_the_id_stays_and_the_type_does_not() -> None:
    """The last event id holds for the events after it, the type for one."""
    expected = [("x", b"1", "7", None), ("message", b"2", "7", 250)]
    assert expected == decoded(b"event: x\nid: 7\ndata: 1\n\nretry: 250\ndata: 2\n\n")


@pytest.mark.parametrize(
    "endless",
    [b"x" * 4096, b"data: " + b"x" * 57 + b"\n", b"event: e\n"],
    ids=["one line", "data lines", "other lines"],
)
def test_the_limit_holds(endless: bytes) -> None:
    """An event that does not end is refused once it is larger than the limit, and not kept."""
    decoder = SSEDecoder(1 << 20)
    decoder.feed(b"data: ")
    fed = 0
    with pytest.raises(MessageTooLargeError):
        while fed < 1 << 23:
            decoder.feed(endless)
            fed += len(endless)

    assert fed <= (1 << 21)


def test_comments_for_ever_cost_nothing() -> None:
    """Keep-alive comments between events are not kept."""
    assert [] == decoded(*[b": still here\n\n" * 1000] * 200, limit=100_000)


def test_a_large_event_is_not_copied() -> None:
    """The data of an event of 16 MB costs its own bytes and not much more."""
    pieces = [b"data: ", *[b"x" * 65536] * 256]
    decoder = SSEDecoder()
    tracemalloc.start()
    try:
        for piece in pieces:
            decoder.feed(piece)
        (event,) = decoder.feed(b"\n\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert 16 << 20 == len(event.data)
    assert peak < 1.3 * (16 << 20)
