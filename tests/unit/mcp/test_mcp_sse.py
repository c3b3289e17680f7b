"""Server-sent events from bytes, however they are cut."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def by_the_book(stream: bytes) -> list[Event]:
    """Return the events as WHATWG HTML §9.2.6 says, from the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[Event] = []
    kind, data, last_id, retry = "", [], "", None
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append((kind or "message", b"\n".join(data), last_id, retry))
                retry = None
            kind, data = "", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            retry = int(value)
    return events


LINES = st.sampled_from(
    [
        b"data: a", b"data:b", b"data:  c", b"data", b"data:", b"data: \xe2\x80\xa8", b"event: x", b"event", b"id: 1",
        b"id: a\0b", b"id", b"retry: 10", b"retry: ten", b": comment", b":", b"other: y", b"datax: z", b"dat", b"", b"",
        b"data: {\"k\": \"v:w\"}", b"\xef\xbb\xbfdata: bom", b" data: indented", b"event: \xff", b"data: " + b"x" * 200,
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=24).map(lambda lines: b"".join(a + b for a, b in lines))


@given(STREAMS, st.booleans())
def test_byte_by_byte_gives_what_the_standard_says(stream: bytes, bom: bool) -> None:
    """The smallest pieces, and all at once, give the standard's events."""
    stream = b"\xef\xbb\xbf" * bom + stream

    assert by_the_book(stream) == decoded(*[stream[i : i + 1] for i in range(len(stream))]) == decoded(stream)


@given(STREAMS, st.lists(st.integers(0, 600), max_size=8))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """Where the pieces end does not matter, in the middle of CRLF and of a character included."""
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    assert by_the_book(stream) == decoded(*[stream[a:b] for a, b in itertools.pairwise(places)])


@given(st.binary(max_size=300), st.integers(1, 300))
def test_arbitrary_bytes_split_anywhere(stream: bytes, size: int) -> None:
    """Bytes that are no event stream do no harm and mean the same in any pieces."""
    assert by_the_book(stream) == decoded(*[stream[i : i + size] for i in range(0, len(stream), size)])


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
