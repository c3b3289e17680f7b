"""What an exception carries along: its causes, its contexts, their frames, and what a reader would see there."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

OUTSIDE = ("requests", "urllib3", "oauthlib", "requests_oauthlib", "cryptography", "filelock", "msgspec", "tomlkit")


def windows(secret: str) -> Iterator[str]:
    """Yield every run of eight characters of *secret*."""
    return (secret[i : i + 8] for i in range(len(secret) - 7))


def frames(tb: TracebackType | None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield where each frame is and its locals."""
    while tb is not None:
        yield f"{tb.tb_frame.f_code.co_filename}:{tb.tb_lineno}", dict(tb.tb_frame.f_locals)
        tb = tb.tb_next


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and everything it came from, suppressed contexts included."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__]


def findings(error: BaseException, *secrets: str) -> list[str]:
    """Name every place in *error* where a window of a secret can be seen, and every guest that came along."""
    sought = [window for secret in secrets for window in windows(secret)]
    found = []
    for each in chain(error):
        if type(each).__module__.split(".")[0] in OUTSIDE:
            found.append(f"{type(each).__module__}.{type(each).__name__} came along")
        facts = [*map(repr, each.args), *(f"{k}={v!r}" for k, v in vars(each).items())]
        for where, local in frames(each.__traceback__):
            if "/tests/" in where:
                continue
            facts += [f"{where} {name}={value!r}" for name, value in local.items()]
        found += [fact[:200] for fact in facts if any(window in fact for window in sought)]
    return found
