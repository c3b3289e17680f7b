"""The encodings that MAC, signature and seals are computed over."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_schema import SchemaError, canonical, pae
from vault_schema.migrations import migrate

LEAVES = st.text(max_size=8) | st.integers(-(2**63), 2**63 - 1) | st.booleans()
TREES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def test_pae_vector() -> None:
    """SPEC §17.1: two pieces, one of them empty."""
    assert "02000000000000000100000000000000610000000000000000" == pae("a", "").hex()


def test_pae_of_associated_data() -> None:
    """SPEC §17.3: the associated data of one sealed value."""
    data = pae(
        "mcpvault/1/seal", bytes(range(16)), 3, "github", "auth.token", 7, "str", "url.origin",
        "https://mcp.example.com:443",
    )  # fmt: skip

    assert 9 == data[0]
    assert 183 == len(data)
    assert "537d47d9ca08721802a5166ae69cc3afe98a328b66d55511b828e29ea8f46f86" == hashlib.sha256(data).hexdigest()


def test_an_integer_is_eight_bytes() -> None:
    """Integers are little-endian two's complement, so that 7 and "7" differ."""
    assert pae(bytes([7, 0, 0, 0, 0, 0, 0, 0])) == pae(7)
    assert pae(7) != pae("7")


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_pae_is_injective(left: list[bytes], right: list[bytes]) -> None:
    """Two lists of pieces have one encoding only if they are one list."""
    assert (left == right) == (pae(*left) == pae(*right))


def test_canonical_vector() -> None:
    """SPEC §17.2: one value of each type."""
    tree = {"b": [1, True], "a": "é", "": {}}

    inner = "610200000000000000090000000000000069010000000000000002000000000000006201"
    pieces = [
        "0000000000000000", "", "0900000000000000", "74" "0000000000000000",
        "0100000000000000", "61", "0300000000000000", "73" "c3a9",
        "0100000000000000", "62", "2400000000000000", inner,
    ]  # fmt: skip

    assert "740600000000000000" + "".join(pieces) == canonical(tree).hex()


@given(TREES, TREES)
def test_canonical_is_injective(left: Any, right: Any) -> None:
    """Two trees have one canonical form only if they are equal, types included."""
    same = repr(normal(left)) == repr(normal(right))

    assert same == (canonical({"x": left}) == canonical({"x": right}))


def normal(value: Any) -> Any:
    """Return *value* with its tables sorted."""
    if isinstance(value, dict):
        return [("t", key, normal(value[key])) for key in sorted(value)] or ["t"]
    return [normal(item) for item in value] if isinstance(value, list) else value


def test_the_order_of_keys_does_not_matter_and_that_of_arrays_does() -> None:
    """Tables are sets of keys, arrays are sequences."""
    assert canonical({"a": 1, "é": 2, "z": 3}) == canonical({"z": 3, "é": 2, "a": 1})
    assert canonical({"a": [1, 2]}) != canonical({"a": [2, 1]})


def test_true_is_not_one() -> None:
    """Python calls them equal; the canonical form does not."""
    assert canonical({"a": True}) != canonical({"a": 1})


@pytest.mark.parametrize("value", [1.5, None, 2**63, -(2**63) - 1, b"x", {"deep": 1.0}, [[2**64]]])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """Floats, dates, null and wide integers never reach a MAC."""
    with pytest.raises(SchemaError):
        canonical({"a": value})


def test_depth_is_bounded() -> None:
    """A tree that could exhaust the stack is refused."""
    tree: dict[str, Any] = {}
    for _ in range(100):
        tree = {"a": tree}

    with pytest.raises(SchemaError, match="nested deeper than 32 levels"):
        canonical(tree)
    array: list[Any] = []
    for _ in range(100):
        array = [array]
    with pytest.raises(SchemaError, match="nested deeper than 32 levels"):
        canonical({"a": array})


def test_migrations_lead_to_the_current_format() -> None:
    """A tree of the current format is left alone; there is no way from a format that never was."""
    assert {"vault": {"format": 1}} == migrate({"vault": {"format": 1}})
    with pytest.raises(LookupError):
        migrate({"vault": {"format": 0}})
