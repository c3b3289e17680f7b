"""The forms that are matched by hand agree with the patterns that the JSON Schema publishes."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault_schema.fields import _SECRET_SHAPES, looks_secret
from vault_schema.forms import BY_HAND, FORMS

LENGTHS = {"16 bytes": 22, "32 bytes": 43, "64 bytes": 86, "80 bytes": 107}
TIME = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format,
    *(st.integers(0, 2500), st.integers(0, 14), st.integers(0, 33)),
    *(st.integers(0, 25), st.integers(0, 61), st.integers(0, 61)),
)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://h.example/client.json", True),
        ("https://h.example/.well-known/client?v=/../1", True),
        ("https://h.example/a/", True),
        ("https://h.example", False),
        ("https://h.example/", False),
        ("https://h.example/?id=1", False),
        ("https://h.example/a/../b", False),
        ("https://h.example/./b", False),
        ("https://h.example/b/..", False),
    ],
)
def test_an_address_that_no_server_takes_for_a_client_has_not_the_form(url: str, good: bool) -> None:
    """A path there must be, without dot segments (client ID metadata document §3): `login` would refuse it later."""
    assert good is (re.fullmatch(FORMS["https"].pattern, url) is not None)


@pytest.mark.parametrize("form", LENGTHS)
@given(data=st.data())
def test_bytes_by_hand_are_bytes_by_pattern(form: str, data: st.DataObject) -> None:
    """Text of about the right length is taken or refused alike."""
    size = LENGTHS[form]
    alphabet = st.sampled_from("AEIMQgw048_-Zz9+/=\u0391\n")
    text = data.draw(st.text(alphabet, min_size=size - 1, max_size=size + 1))

    assert (re.fullmatch(FORMS[form].pattern, text) is not None) == (BY_HAND[form](text) is not None)


@given(text=TIME | st.text("0123456789-T:Z\u0661 ", min_size=19, max_size=21))
@example(text="2024-02-29T00:00:00Z")
@example(text="2100-02-29T00:00:00Z")
@example(text="2000-02-29T23:59:59Z")
@example(text="2026-04-31T00:00:00Z")
def test_times_by_hand_are_times_by_pattern(text: str) -> None:
    """Moments that there are, and those that there are not, leap days among them."""
    assert (re.fullmatch(FORMS["time"].pattern, text) is not None) == (BY_HAND["time"](text) is not None)


NAMES = st.text("aZ0_-.@/\u0391\u0661 \n", max_size=6) | st.integers(62, 66).map(lambda size: "a" * size)
SEALED = st.builds(
    "{}.{}.{}.{}".format,
    st.sampled_from(["mv1", "mv2", "", "mv1 "]),
    st.sampled_from(["1", "42", "0", "01", "4294967295", "12345678901", "", "x", "\u0661", "1.1"]),
    st.integers(31, 33).map(lambda size: "A" * size) | st.just("A" * 31 + "+") | st.just("A" * 31 + "\n"),
    st.builds(str.__add__, st.integers(62, 72).map(lambda size: "A" * size), st.sampled_from("AEQgw048z_-=\n.")),
)


@pytest.mark.parametrize("form", ["name", "slot id"])
@given(text=NAMES)
def test_names_by_hand_are_names_by_pattern(form: str, text: str) -> None:
    """A name is taken or refused alike, whatever alphabet it is in and however long it is."""
    assert (re.fullmatch(FORMS[form].pattern, text) is not None) == (BY_HAND[form](text) is not None)


@given(text=SEALED)
@example(text="")
@example(text="mv1")
@example(text="mv1.1.A.A.A")
def test_sealed_lines_by_hand_are_those_by_pattern(text: str) -> None:
    """A sealed line is taken or refused alike, down to the spare bits of its last character."""
    assert (re.fullmatch(FORMS["sealed"].pattern, text) is not None) == (BY_HAND["sealed"](text) is not None)


MARKS = st.sampled_from(
    [
        "ghp_",
        "sk-",
        "eyJ",
        ".",
        "ya29.",
        "AIza",
        "AKIA",
        "Bearer ",
        "BASIC\t",
        "://u:p@",
        "-----BEGIN PRIVATE KEY",
        "a1" * 9,
    ]
)


@given(text=st.lists(MARKS | st.text("abc123;:/ ", max_size=8), max_size=6).map("".join))
def test_no_shape_of_a_secret_is_without_a_mark(text: str) -> None:
    """Sparing a text the pattern never changes the answer."""
    assert (re.search(_SECRET_SHAPES, text) is not None) == looks_secret(text)
