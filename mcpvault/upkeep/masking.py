"""
A program whose output is masked: its words pass through us, the secrets that it was given do not.

Decides what is masked and how the program ends. For people and logs; a program that means to give a secret away
finds another way.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence

from mcpvault.errors import UsageError
from mcpvault.secret import MASK, Secret, spellings

_CHUNK = 64 * 1024
_FORWARDED = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]
_SHORTEST = 4  # characters; to mask less would mask ordinary words


class Masker:
    """Masks secrets in a stream of bytes, wherever it is cut; holds back only what may be the beginning of one."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        spelt = {
            spelling.encode("utf-8", "surrogateescape")
            for secret in secrets
            for spelling in spellings(secret.reveal())
            if len(spelling) >= _SHORTEST
        }
        self._needles = sorted(spelt, key=len, reverse=True)
        # The longest one first: of two that begin alike it is the longer one that is masked.
        self._pattern = re.compile(b"|".join(map(re.escape, self._needles)) or rb"(?!)")
        self._held = b""

    def __call__(self, data: bytes) -> bytes:
        """Return what can be shown now."""
        text = self._held + data
        shown, at, limit = [], 0, self._unfinished(text, 0)
        for found in self._pattern.finditer(text):
            if found.start() >= limit:
                break
            shown += [text[at : found.start()], MASK.encode()]
            at = found.end()
            if at > limit:
                limit = self._unfinished(text, at)
        self._held = text[limit:]
        return b"".join([*shown, text[at:limit]])

    def rest(self) -> bytes:
        """Return what was held back; the stream has ended."""
        text, self._held = self._pattern.sub(MASK.encode(), self._held), b""
        return text

    def _unfinished(self, text: bytes, at: int) -> int:
        """Return where after *at* a secret may have begun that has not ended, however much of it is one already."""
        return len(text) - max((_overlap(text[at:], needle) for needle in self._needles), default=0)


def _overlap(text: bytes, needle: bytes) -> int:
    """Return how many bytes at the end of *text* begin *needle*."""
    for size in range(min(len(text), len(needle) - 1), 0, -1):
        if text.endswith(needle[:size]):
            return size
    return 0


def run_masked(
    words: Sequence[str],
    env: Mapping[str, str],
    secrets: Iterable[Secret],
    *,
    pass_fds: Sequence[int] = (),
    show: Callable[[int, bytes], None],
) -> int:
    """
    Run a program to its end with its output masked; return its exit code, 128 and the number for a signal.

    Args:
        words: Program and arguments.
        env: Its whole environment.
        secrets: What is masked.
        pass_fds: Descriptors that it inherits.
        show: Takes 1 (stdout) or 2 (stderr) and bytes to show.

    Raises:
        UsageError: There is no such program.
    """
    hidden = [*secrets]
    process = _started(words, env, pass_fds)
    if isinstance(process, str):
        raise UsageError(f"{words[0]}: {process}", hint="what follows -- is a program and its arguments")
    streams = ((1, process.stdout), (2, process.stderr))
    before = {number: signal.signal(number, lambda n, _: process.send_signal(n)) for number in _FORWARDED}
    # The terminal tells the program as well: how it ends is its own affair.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with selectors.DefaultSelector() as selector:
            for number, stream in streams:
                assert stream is not None  # noqa: S101  piped
                selector.register(stream, selectors.EVENT_READ, (number, Masker(hidden)))
            while selector.get_map():
                for key, _ in selector.select():
                    number, mask = key.data
                    data = os.read(key.fd, _CHUNK)
                    show(number, mask(data) if data else mask.rest())
                    if not data:
                        selector.unregister(key.fileobj)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for _, stream in streams:
            if stream is not None:
                stream.close()
    return code if code >= 0 else 128 - code


def _started(words: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int]) -> subprocess.Popen[bytes] | str:
    try:
        return subprocess.Popen(
            words, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=pass_fds, bufsize=0
        )
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", None) or "cannot be run").lower()
