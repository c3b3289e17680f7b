"""The framing of a body, undone piece by piece: every split, every end, and what is no framing."""

from __future__ import annotations

import http.client

import pytest

from mcpvault.http.framing import Framing

BODY = b"one\r\n\r\n0\r\n\r\ntwo" + bytes(range(256))
CHUNKED = b"a;name=\"x;y\"\r\n%b\r\n001 \r\n%b\r\n%X\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (
    BODY[:10], BODY[10:11], len(BODY) - 11, BODY[11:],
)  # fmt: skip


def undone(framing: Framing, *pieces: bytes) -> bytes:
    """Return what the pieces say."""
    return b"".join(framing.feed(piece) for piece in pieces)


def chunked() -> Framing:
    """Return the framing of a body in chunks."""
    return Framing(chunked=True, length=None)


def test_every_split_says_the_same() -> None:
    """Cut in two anywhere, or into bytes, the body is the same, and it ends with the last byte and not before."""
    for cut in range(len(CHUNKED)):
        framing = chunked()
        first = framing.feed(CHUNKED[:cut])
        assert not framing.ended
        assert first + framing.feed(CHUNKED[cut:]) == BODY
        assert framing.ended
    assert BODY == undone(chunked(), *(bytes([byte]) for byte in CHUNKED))


def test_what_follows_the_end_is_not_the_body() -> None:
    """Neither behind the last chunk nor behind the announced length."""
    assert b"ab" == undone(chunked(), b"2\r\nab\r\n0\r\n\r\nHTTP/1.1 200 OK", b"more")
    assert b"ab" == undone(Framing(chunked=False, length=2), b"abHTTP/1.1 200 OK", b"more")


def test_a_body_without_length_ends_with_the_connection() -> None:
    """All of it is the body, and its end is no error; the others have an end of their own."""
    framing = Framing(chunked=False, length=None)
    assert BODY == undone(framing, BODY[:7], BODY[7:])
    assert not framing.ended
    framing.stop()
    assert framing.ended
    assert Framing(chunked=False, length=0).ended


@pytest.mark.parametrize(
    "said", [b"", b"5", b"5\r\n", b"5\r\nab", b"2\r\nab", b"2\r\nab\r\n", b"0\r\n", b"0\r\nX: 1\r\n"]
)
def test_a_connection_that_ends_too_early_is_an_error(said: bytes) -> None:
    """Wherever in the chunks it was."""
    framing = chunked()
    framing.feed(said)
    with pytest.raises(http.client.IncompleteRead):
        framing.stop()


def test_an_announced_length_is_waited_for() -> None:
    """Fewer bytes are an incomplete body."""
    framing = Framing(chunked=False, length=3)
    framing.feed(b"ab")
    with pytest.raises(http.client.IncompleteRead):
        framing.stop()


@pytest.mark.parametrize(
    "said",
    [
        *(b"\r\n", b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b" 1\r\n", b"1 2\r\n", b"\xb2\r\n"),
        *(b"1\r\nabc\r\n", b"2\r\nab0\r\n", b"f" * 17 + b"\r\n", b"1;" + b"x" * 5000, b"9" * 5000),
        b"0\r\n" + b"X: 1\r\n" * 101,
    ],
)
def test_what_is_no_chunk_is_refused(said: bytes) -> None:
    """A size that is none, a chunk longer than it said, and a head or trailers without end."""
    with pytest.raises(http.client.HTTPException):
        undone(chunked(), *(bytes([byte]) for byte in said))
