"""
``Secret``: a value that does not leak by accident, and the log filter that knows all of them.

What is left to callers: to call ``reveal()`` as late as possible, in an
expression rather than into a local variable, so that no traceback holds it.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

MASK = "[redacted]"
_SHORTEST_REDACTED = 6  # characters; shorter values would mask ordinary words
_EVERYWHERE_ALIKE = r"[A-Za-z0-9._~-]*"
_UNESCAPED = r"[ !#-&(-.0-\[\]-~]*"  # in JSON and by repr: printable ASCII without quotes, slash and backslash

_live: dict[int, weakref.ref[Secret]] = {}
_live_lock = threading.Lock()


def _renew_lock() -> None:
    global _live_lock  # in a forked child: another thread of the parent may have held it
    _live_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Secret:
    """
    A secret text that shows itself only to ``reveal()``.

    It cannot be formatted, pickled, copied or put into JSON, and its repr is
    constant, so that it does no harm in a traceback's locals. Comparison takes
    constant time.

    Args:
        value: The text.
        of: The secrets that it was made of; they are masked in logs as long as it is.
    """

    __slots__ = ("__weakref__", "_of", "_show")

    def __init__(self, value: str, *, of: Iterable[Secret] = ()) -> None:
        if not isinstance(value, str):
            raise TypeError("a Secret holds text")
        self._show: Callable[[], str] = lambda: value
        self._of = tuple(of)
        key = id(self)
        with _live_lock:
            _live[key] = weakref.ref(self, lambda _: _live.pop(key, None))

    def reveal(self) -> str:
        """Return the value. Use it in the same expression; do not keep it."""
        return self._show()

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (held.reveal().encode("utf-8", "surrogatepass") for held in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash of the value would be an oracle

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __format__(self, spec: str) -> str:
        raise TypeError("a Secret cannot be formatted; call reveal() where the value must be sent")

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError("a Secret cannot be copied or pickled")

    __reduce__ = __reduce_ex__ = __copy__ = __deepcopy__ = __getstate__ = _refuse


def spellings(text: str) -> set[str]:
    """Return how programs write *text*: as it is, in URLs, in JSON, and as Python's ``repr`` in either quotes."""
    if re.fullmatch(_EVERYWHERE_ALIKE, text):
        return {text}
    from urllib.parse import quote_plus

    in_form = quote_plus(text, errors="replace")
    in_url = {text, in_form, in_form.replace("+", "%20")}
    if re.fullmatch(_UNESCAPED, text):
        return in_url
    import json

    in_json = [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
    slashed = [each.replace("/", "\\/") for each in in_json]  # as PHP does
    in_repr = [repr(f'{text}"')[1:-2], repr(_raw(text) + b'"')[2:-2]]
    unquoted = [each.replace("\\'", "'") for each in in_repr]  # within double quotes
    return {each for each in (*in_url, *in_json, *slashed, *in_repr, *unquoted) if each}


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which no bytes say
        return b""


def _live_spellings() -> Iterable[str]:
    """Return what is to be masked, the longest first."""
    with _live_lock:
        secrets = [ref() for ref in _live.values()]
    values = {secret.reveal() for secret in secrets if secret is not None}
    spelt = {each for value in values if len(value) >= _SHORTEST_REDACTED for each in spellings(value)}
    return sorted(spelt, key=len, reverse=True)


def stand_in(text: str) -> str:
    """Return eight hex digits that stand for a value nobody can guess, where that must not be shown."""
    from hashlib import sha256

    return sha256(b"mcpvault/1/stand-in\0" + text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def redact(text: str) -> str:
    """Return *text* with every live secret of six characters or more masked, in each of its ``spellings``."""
    for spelling in _live_spellings():
        if spelling in text:
            text = text.replace(spelling, MASK)
    return text


class RedactingFilter(logging.Filter):
    """
    Mask every live secret in a log record, arguments and traceback included.

    Put it on handlers, or on the exact loggers that speak: a filter on a
    parent logger does not see its children's records.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite *record* in place; let it pass."""
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
