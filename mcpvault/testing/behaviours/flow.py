"""Answers that are too much, too slow, or break off. A gigabyte is written piece by piece, never built."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from mcpvault.testing.behaviours.registry import JSON, STREAM, behaviour, proper_answer

if TYPE_CHECKING:
    from mcpvault.testing.exchange import Exchange

_PIECE = b"x" * 65536


@behaviour
def endless_sse(x: Exchange, every: float = 0.0) -> None:
    """Notifications for ever, never the answer."""
    x.start(200, STREAM)
    while not x.pause(every):
        x.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "more"}})


@behaviour
def endless_comments(x: Exchange, every: float = 0.02) -> None:
    """A stream that only keeps itself alive."""
    x.start(200, STREAM)
    while not x.pause(every):
        x.write(b": still here\n\n")


@behaviour
def endless_line(x: Exchange, size: int = 1 << 30) -> None:
    """One event line of a gigabyte."""
    x.start(200, STREAM)
    x.write(b"data: ")
    for _ in range(size // len(_PIECE)):
        x.write(_PIECE)
    x.write(b"\n\n")


@behaviour
def endless_event(x: Exchange, size: int = 1 << 30) -> None:
    """One event of a gigabyte in short lines."""
    x.start(200, STREAM)
    lines = (b"data: " + b"x" * 58 + b"\n") * 1024
    for _ in range(size // len(lines)):
        x.write(lines)
    x.write(b"\n")


@behaviour
def endless_json(x: Exchange, size: int = 1 << 30) -> None:
    """One JSON document of a gigabyte, its length not announced."""
    x.start(200, JSON)
    x.write(b'{"jsonrpc":"2.0","id":1,"result":{"pad":"')
    for _ in range(size // len(_PIECE)):
        x.write(_PIECE)
    x.write(b'"}}')


@behaviour
def announced_gigabyte(x: Exchange) -> None:
    """A Content-Length of a gigabyte, then one byte at a time."""
    x.start(200, {**JSON, "Content-Length": str(1 << 30)})
    while not x.pause(0.02):
        x.write(b" ")


@behaviour
def gzip_bomb(x: Exchange, size: int = 1 << 30) -> None:
    """A few hundred kilobytes of gzip that unpack to a gigabyte."""
    x.start(200, {**JSON, "Content-Encoding": "gzip"})
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    x.write(packer.compress(b'{"jsonrpc":"2.0","id":1,"result":{"pad":"'))
    for _ in range(size // len(_PIECE)):
        x.write(packer.compress(_PIECE))
    x.write(packer.compress(b'"}}') + packer.flush())


@behaviour
def broken_gzip(x: Exchange) -> None:
    """A body that claims to be gzip and is not."""
    x.whole(200, b"this is not gzip", Content_Encoding="gzip")


@behaviour
def endless_error_body(x: Exchange, status: int = 400, size: int = 1 << 30) -> None:
    """An error status whose body does not end."""
    x.start(status, {"Content-Type": "text/plain"})
    for _ in range(size // len(_PIECE)):
        x.write(_PIECE)


@behaviour
def drip(x: Exchange, every: float = 0.1) -> None:
    """The proper answer, one byte at a time."""
    body = json.dumps(proper_answer(x)).encode()
    x.start(200, {**JSON, "Content-Length": str(len(body) + 100_000)})
    for byte in body + b" " * 100_000:
        x.write(bytes([byte]))
        if x.pause(every):
            return


@behaviour
def drip_headers(x: Exchange, every: float = 0.05) -> None:
    """Header lines for ever, one byte at a time."""
    x.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not x.pause(every):
        x.write(b"z")


@behaviour
def hang_before_headers(x: Exchange) -> None:
    """Silence."""
    x.hang()


@behaviour
def hang_mid_body(x: Exchange) -> None:
    """Half of the answer, then silence."""
    body = json.dumps(proper_answer(x)).encode()
    x.start(200, {**JSON, "Content-Length": str(len(body))})
    x.write(body[: len(body) // 2])
    x.hang()


@behaviour
def hang_mid_event(x: Exchange) -> None:
    """Half of an event, then silence."""
    x.start(200, STREAM)
    x.write(b'data: {"jsonrpc":')
    x.hang()


@behaviour
def close_before_answer(x: Exchange) -> None:
    """The connection drops before a status line."""
    x.cut()


@behaviour
def close_mid_answer(x: Exchange) -> None:
    """The connection drops in the middle of a JSON document."""
    body = json.dumps(proper_answer(x)).encode()
    x.start(200, {**JSON, "Content-Length": str(len(body))})
    x.write(body[: len(body) // 2])
    x.cut()


@behaviour
def close_mid_event(x: Exchange) -> None:
    """The stream ends in the middle of an event."""
    x.start(200, STREAM)
    x.write(b'data: {"jsonrpc":"2.0"')
    x.cut()


@behaviour
def stream_without_answer(x: Exchange) -> None:
    """A stream that ends properly without the answer."""
    x.start(200, STREAM)
    x.write(b": nothing to say\n\n")


@behaviour
def truncated_chunk(x: Exchange) -> None:
    """A chunk that is shorter than it said."""
    x.start(200, {**JSON, "Transfer-Encoding": "chunked"})
    x.write(b"ff\r\n{")
    x.cut()
