"""What a check against a schema says: the field, or why there was no check."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mcpvault.deadline import Deadline
from mcpvault.errors import RemoteProtocolError, UsageError
from mcpvault.mcp.schema_check import check_arguments, fault_in

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
CLOSED = {"properties": {"x": {}}, "unevaluatedProperties": False}
PAIR = {"prefixItems": [{}], "unevaluatedItems": False}
NO_PATTERN = "the schema has a pattern that is not understood here"
SLOW = {"properties": {"a": {"pattern": "^(a+)+$"}}}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ({"x": 1, "y": 2}, CLOSED, "y: is not allowed"),
        ({"o": {"x": 1, "it's": 2}}, {"properties": {"o": {"allOf": [CLOSED]}}}, "o.it's: is not allowed"),
        ({"y": "text"}, {"unevaluatedProperties": {"type": "integer"}}, "y: is not allowed"),
        ({"l": [1, 2]}, {"properties": {"l": PAIR}}, "l: breaks the rule 'unevaluatedItems'"),
        ("é", {"pattern": r"\p{L}"}, NO_PATTERN),
        ({"é": 1}, {"$schema": DRAFT_4, "patternProperties": {r"\p{L}": {}}}, NO_PATTERN),
        (10**400, {"multipleOf": 0.5}, "a number is too large to be checked"),
        (1, {"type": "text"}, "the schema itself is invalid"),
    ],
    ids=str,
)
def test_a_fault_names_the_field_or_what_is_wrong_with_the_schema(value: Any, schema: Any, expected: str) -> None:
    """Also where another rule than the field's own excludes it, and where Python cannot do what the schema asks."""
    assert expected == fault_in(value, schema)


def check(value: Any, schema: Any, seconds: float = 20.0) -> None:
    """Check arguments."""
    check_arguments(value, schema, Deadline(seconds), tool="t", server="s")


def kill_the_next(ended: threading.Event) -> None:
    """Kill the first process that this one starts."""
    ends = time.monotonic() + 10
    while not ended.is_set() and time.monotonic() < ends:
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in children.read_text().split():
                with suppress(OSError):  # it may have ended
                    if b"fault_in" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(int(pid), signal.SIGKILL)
                        return


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_check_that_was_killed_is_told_apart_from_a_slow_one() -> None:
    """The error says that the process was ended, by what, and what that often means."""
    ended = threading.Event()
    killer = threading.Thread(target=kill_the_next, args=(ended,))
    killer.start()
    try:
        with pytest.raises(RemoteProtocolError, match="ended by signal 9, perhaps for want of memory"):
            check({"a": "a" * 60 + "b"}, SLOW)
    finally:
        ended.set()
        killer.join()
    with pytest.raises(RemoteProtocolError, match="takes too long to check"):
        check({"a": "a" * 60 + "b"}, SLOW, 0.5)


def test_a_check_that_fails_is_told_by_the_kind_of_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in the process that checks is named without its text; a process that cannot start is too."""
    with pytest.raises(UsageError, match="a: breaks the rule 'pattern'"):
        check({"a": "b"}, SLOW)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(RemoteProtocolError, match=r"cannot be checked: .* ended with ModuleNotFoundError(\n|$)"):
        check({"a": "b"}, SLOW)
    monkeypatch.setattr(sys, "executable", "/nowhere/to/be/found")
    with pytest.raises(RemoteProtocolError, match=r"no process can be started for it \(no such file or directory\)"):
        check({"a": "b"}, SLOW)
