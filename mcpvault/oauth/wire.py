"""
The seam between a flow and whoever carries it out: what a flow asks for, and what comes back.

A flow is a generator: it yields a step, is sent the answer, and returns its result. It opens
no socket, reads no clock of its own and asks nobody; ``drive`` runs one to its end. How a form and a
JSON object look on the wire is decided here as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode

from mcpvault.errors import ServerUnavailableError
from mcpvault.secret import Secret
from vault_schema.record import Record

T = TypeVar("T")
Step = TypeVar("Step")
Sent = TypeVar("Sent")
Form = dict[str, str | Secret]


class Ask(Record):
    """
    An HTTP request that a flow wants sent: without cookies, redirects or any credential but its own.

    ``purpose`` says what for in the words of a message (``protected resource metadata``, ``token request``);
    ``discovered`` tells that the URL came out of somebody's answer and not from the entry (A141, A145), ``safe``
    that carrying it out twice is the same as once, which is said of every ``GET`` already.
    """

    method: str
    url: str
    purpose: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    discovered: bool = True
    safe: bool = False

    _unprinted = frozenset({"headers", "body"})


class Answer(Record):
    """What came back, whatever its status; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""

    _unprinted = frozenset({"headers", "body"})


Flow = Generator[Ask, Answer, T]


class ShowCode(Record):
    """
    A step of the device flow: show the person where to go and which code to enter there (RFC 8628 §3.3).

    It is answered with None. ``verification_uri_complete`` carries the code in it, for a QR code or a link.
    """

    verification_uri: str
    user_code: str
    expires_in: float  # seconds
    verification_uri_complete: str | None = None


class Wait(Record):
    """A step of the device flow: let this much time pass. It is answered with None."""

    seconds: float


def drive(flow: Generator[Step, Sent, T], send: Callable[[Step], Sent]) -> T:
    """
    Run *flow* to its end and return its result.

    Args:
        flow: The generator.
        send: Carries one step out; what it raises is raised inside the flow, where it may be judged.
    """
    try:
        step = next(flow)
        while True:
            try:
                answer = send(step)
            except Exception as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
    return result


def form_encoded(form: Mapping[str, str | Secret]) -> bytes:
    """Return *form* as ``application/x-www-form-urlencoded`` (RFC 6749 appendix B), secrets in clear: for a body."""
    members = ((name, value.reveal() if isinstance(value, Secret) else value) for name, value in form.items())
    # A lone surrogate would raise an exception that carries the value; as "?" the server refuses it.
    return urlencode([*members], errors="replace").encode("ascii")


def json_object(body: bytes) -> dict[str, Any] | None:
    """
    Return the JSON object in *body*, or None where it holds anything else.

    Nothing is raised: a decoder's exception quotes what it read, which may be a token.
    """
    try:
        told = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def unavailable(answer: Answer, place: str) -> ServerUnavailableError | None:
    """
    Return the error of an answer that says nothing about the question, only about the moment; None for others.

    Args:
        answer: What came back.
        place: What the message begins with: the URL and what was asked of it.
    """
    if not busy(answer.status):
        return None
    return ServerUnavailableError(f"{place}: the server answered {answer.status}", retry_after=retry_after(answer))


def busy(status: int) -> bool:
    """Tell whether a status is about the moment: 5xx, 429, and their kin."""
    return status >= 500 or status in (408, 425, 429)


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3); a date counts from the answer's own."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,7}", text):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        ahead = parsedate_to_datetime(text) - parsedate_to_datetime(answer.headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, ahead.total_seconds())
