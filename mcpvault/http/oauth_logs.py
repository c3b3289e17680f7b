"""Keep secrets out of what requests-oauthlib and oauthlib log; ``session`` does so for requests and urllib3."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mcpvault.secret import RedactingFilter

_OAUTH = ("oauthlib", "requests_oauthlib")
_filter = RedactingFilter()
_here = threading.local()


class _Silence(logging.Filter):
    """Drop what is said on a thread while ``silence`` lasts there; other users of the library keep their logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "silent", False)


_silence = _Silence()


def filter_oauth_logs() -> None:
    """Put filters on every logger of requests-oauthlib and oauthlib; they have made theirs when they are imported."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _OAUTH:
            logger = logging.getLogger(name)
            logger.addFilter(_silence)
            logger.addFilter(_filter)


@contextmanager
def silence() -> Iterator[None]:
    """
    Let requests-oauthlib and oauthlib say nothing on this thread.

    They log whole bodies: tokens that nobody has called secret yet, and secrets in another spelling (urlencoded).
    """
    _here.silent = True
    try:
        yield
    finally:
        _here.silent = False
