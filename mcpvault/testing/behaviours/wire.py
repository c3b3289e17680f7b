"""Bodies that are not JSON, heads that are not HTTP, and every status that is not 200."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcpvault.testing.behaviours.registry import JSON, STREAM, behaviour, proper_answer

if TYPE_CHECKING:
    from mcpvault.testing.exchange import Exchange


@behaviour
def invalid_utf8(x: Exchange) -> None:
    """JSON with a byte that is no UTF-8."""
    x.whole(200, b'{"jsonrpc":"2.0","id":1,"result":{"pad":"\xff\xfe"}}')


@behaviour
def invalid_utf8_event(x: Exchange) -> None:
    """The same in an event."""
    x.start(200, STREAM)
    x.write(b'data: {"jsonrpc":"2.0","id":1,"result":{"pad":"\xff\xfe"}}\n\n')


@behaviour
def deep_json(x: Exchange, depth: int = 100_000) -> None:
    """Arrays in arrays in arrays."""
    x.start(200, JSON)
    x.write(b'{"jsonrpc":"2.0","id":%d,"result":{"deep":' % int(x.message.get("id") or 1))
    x.write(b"[" * depth + b"]" * depth + b"}}")


@behaviour
def nan(x: Exchange) -> None:
    """A number that is none."""
    x.whole(200, b'{"jsonrpc":"2.0","id":%d,"result":{"value":NaN}}' % int(x.message.get("id") or 1))


@behaviour
def huge_number(x: Exchange) -> None:
    """An integer of a million digits."""
    x.start(200, JSON)
    x.write(b'{"jsonrpc":"2.0","id":%d,"result":{"value":' % int(x.message.get("id") or 1))
    x.write(b"9" * 1_000_000 + b"}}")


@behaviour
def not_json(x: Exchange) -> None:
    """Text that claims to be JSON."""
    x.whole(200, b"welcome")


@behaviour
def empty_body(x: Exchange) -> None:
    """Nothing, with status 200."""
    x.whole(200, b"")


@behaviour
def html(x: Exchange, status: int = 200) -> None:
    """A login page."""
    x.whole(status, b"<!doctype html><title>Sign in</title>", "text/html")


@behaviour
def wrong_content_type(x: Exchange, kind: str = "text/plain") -> None:
    """The proper answer under another type."""
    x.whole(200, json.dumps(proper_answer(x)).encode(), kind)


@behaviour
def no_content_type(x: Exchange) -> None:
    """The proper answer under no type."""
    body = json.dumps(proper_answer(x)).encode()
    x.start(200, {"Content-Length": str(len(body))})
    x.write(body)


@behaviour
def accepted(x: Exchange) -> None:
    """202 for a request that wants an answer."""
    x.start(202, {"Content-Length": "0"})


@behaviour
def no_content(x: Exchange) -> None:
    """204 for a request that wants an answer."""
    x.start(204, {})


@behaviour
def huge_headers(x: Exchange, size: int = 1 << 20) -> None:
    """A header of a megabyte."""
    x.write(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"h" * size + b"\r\n\r\n")
    x.cut()


@behaviour
def many_headers(x: Exchange, count: int = 5000) -> None:
    """Thousands of headers."""
    x.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(count)) + b"\r\n")
    x.cut()


@behaviour
def not_http(x: Exchange) -> None:
    """The greeting of another protocol."""
    x.write(b"SSH-2.0-OpenSSH_9.7\r\n")
    x.cut()


@behaviour
def redirect(x: Exchange, to: str | None = None, status: int = 307) -> None:
    """Elsewhere: another host name for this very server, unless *to* says where."""
    x.start(status, {"Location": to or f"http://localhost:{x.fake.port}/elsewhere", "Content-Length": "0"})


@behaviour
def status(x: Exchange, code: int = 500, body: bytes = b"", kind: str = "text/plain", **headers: str) -> None:
    """Any status; header names are given with underscores."""
    x.whole(code, body, kind, **headers)


@behaviour
def too_many_requests(x: Exchange, retry_after: str = "17") -> None:
    """429 with Retry-After."""
    x.whole(429, b"slow down", "text/plain", Retry_After=retry_after)


@behaviour
def bad_gateway(x: Exchange) -> None:
    """502 with a page of HTML."""
    x.whole(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html")


@behaviour
def unauthorized(x: Exchange, challenge: str = 'Bearer error="invalid_token"', body: bytes = b"") -> None:
    """401 with a challenge."""
    x.whole(401, body, "text/plain", WWW_Authenticate=challenge)


@behaviour
def forbidden(x: Exchange, challenge: str | None = None) -> None:
    """403, with a challenge if one is given."""
    x.whole(403, b"no", "text/plain", **({"WWW_Authenticate": challenge} if challenge else {}))


@behaviour
def echoes_credential(x: Exchange, code: int = 400) -> None:
    """An error page that says back every header that came in."""
    said = json.dumps(dict(x.request.headers)).encode()
    x.whole(code, said, "text/plain", X_Echo=x.request.headers.get("authorization", ""))


@behaviour
def echoes_credential_in_error(x: Exchange, pad: int = 0) -> None:
    """A JSON-RPC error whose message (after *pad* letters) and data say the credential back."""
    said = "x" * pad + x.request.headers.get("authorization", "")
    error = {"code": -32603, "message": f"bad credential {said}", "data": {"authorization": said}}
    x.answer({"jsonrpc": "2.0", "id": x.message.get("id"), "error": error})
