"""What only the client knows: kept aside, told, and never with a secret in it."""

from __future__ import annotations

from typing import Any

import pytest
from interop_samples import RANDOM, TOKEN, URL, http, said, told


def test_unknown_keys_survive_and_are_told() -> None:
    """Of any type that a vault can say, at any depth that it allows."""
    extras = {"a": "text", "b": 1, "c": True, "d": {"e": ["x", 1, {"f": "g"}]}}
    entry = http(**extras)

    assert extras == entry.tree["x-mcp-use"]
    assert ["a", "b", "c", "d"] == [loss.partition(":")[0] for loss in entry.losses]


def test_what_a_vault_cannot_say_is_told() -> None:
    """Fractions become text or whole numbers; nothing and too deep are left out."""
    deep: Any = "bottom"
    for _ in range(10):
        deep = {"d": deep}
    entry = http(half=0.5, whole=2.0, big=1e300, none={"x": None, "y": 1}, items=[None, 1], deep=deep)

    kept = entry.tree["x-mcp-use"]
    assert {"half": "0.5", "whole": 2, "big": "1e+300", "none": {"y": 1}, "items": [1]} == {
        key: value for key, value in kept.items() if key != "deep"
    }
    assert "bottom" not in str(kept)
    assert told(entry.losses, "none.x", "cannot be written down")


@pytest.mark.parametrize(
    "extras",
    [
        {"apiKey": "abc"},
        {"odd": TOKEN},
        {"deep": {"list": [{"token": "abc"}]}},
        {"tokens": ["abc"]},
        {"odd": f"${{X:-{RANDOM}}}"},
    ],
    ids=["name", "looks", "deep", "list", "default"],
)
def test_a_secret_among_the_extras_is_kept_back(extras: dict[str, Any]) -> None:
    """It has no field: it is told, left out, and the source keeps it."""
    entry = http(**extras)

    assert entry.kept_back
    assert told(entry.losses, "a secret that no field of an entry can hold")
    assert [] == [secret for secret in ("abc", TOKEN, RANDOM) if secret in said(entry)]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("disabled", True, True), ("disabled", False, False), ("enabled", False, True), ("enabled", True, False)],
)
def test_a_server_that_was_switched_off_is_a_task(key: str, value: bool, expected: bool) -> None:
    """Here it can be used."""
    assert expected == told(http(**{key: value}).todo, "switched off")


def test_null_is_nothing() -> None:
    """Some writers fill in every key."""
    entry = http(headers=None, authToken=None, env=None, args=None, description=None)

    assert ({"url": URL}, ()) == (entry.tree, entry.losses)
