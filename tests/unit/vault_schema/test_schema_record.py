"""Frozen records: their fields, their defaults, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vault_schema.record import Record


def doubled(number: int) -> int:
    """Return twice the number."""
    return 2 * number


class Step(Record):
    """A record whose default is a function."""

    name: str
    does: Callable[[int], int] = doubled
    often: int = 1

    def done(self, number: int) -> int:
        """Return what the step makes of a number."""
        return self.does(number)


class Later(Step):
    """A record that has a default of its own for a field of another."""

    when: str = "now"
    does: Callable[[int], int] = abs


class Unlike(Later):
    """A record without fields of its own."""

    does = doubled


def test_a_default_that_is_a_function_is_a_value() -> None:
    """It is called with what it was given and never with the record, as if the record had been made with it."""
    assert 6 == Step("a").done(3) == Step("a", doubled).done(3)
    assert doubled is Step("a").does
    assert Step("a") == Step("a", doubled)
    assert hash(Step("a")) == hash(Step("a", doubled))
    assert 6 == Step("a").replaced(name="b").done(3)


def test_such_a_default_is_printed_once() -> None:
    """The text of a record ends: it does not hold the record again."""
    assert f"Step(name='a', does={doubled!r}, often=1)" == repr(Step("a"))


def test_defaults_are_inherited_and_replaced() -> None:
    """A record of a record has its fields, with the nearest default, also one that is no field there."""
    assert (3, "now", 1) == (Later("a").done(-3), Later("a").when, Later("a").often)
    assert (-6, "now") == (Unlike("a").done(-3), Unlike("a").when)


@pytest.mark.parametrize("words", [(), ("a", doubled, 1, 2)])
def test_a_record_is_made_of_its_fields(words: tuple[object, ...]) -> None:
    """One without a default is needed, and there are no others."""
    with pytest.raises(TypeError, match="Step: "):
        Step(*words)
