"""Numbers as others write them."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest

from mcpvault.figures import finite, retry_after


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((1, 1.0), (-2.5, -2.5), (2**70, 2.0**70)),
        *((value, None) for value in (True, "1", None, [1], 10**400, -(10**400), float("nan"), float("inf"))),
    ],
)
def test_a_number_of_json_is_one_that_a_float_holds(value: Any, number: float | None) -> None:
    """Booleans, text, and what is beyond a float are none."""
    assert number == finite(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0", 0), ("120", 120), (" 7 ", 7), ("9" * 5000, 315_360_000)),
        *((text, None) for text in ("soon", None, "-1", "", "²", "٣", "1.5")),
    ],
)
def test_retry_after_is_read(text: str | None, seconds: float | None) -> None:
    """A number counts as seconds; what makes no sense counts as nothing."""
    assert seconds == retry_after(text)


def test_retry_after_may_be_a_date() -> None:
    """RFC 9110 §10.2.3 allows a date; one in the past means at once."""
    assert 0 == retry_after(email.utils.formatdate(0, usegmt=True))
    ahead = retry_after(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert ahead is not None
    assert 90 < ahead <= 100
