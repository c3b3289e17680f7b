"""
One byte string per document, whatever its layout: what the vault's MAC is computed over.

Decides framing and order. Leaves to the caller what is left out (``vault.mac``, ``vault.sig``).

Spec: SPEC §2 (PAE), §8.1 (canonical form).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from vault_schema.errors import SchemaError

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
DEEPEST = 32  # levels of tables and arrays

_u64 = struct.Struct("<Q").pack
_i64 = struct.Struct("<q").pack
_LENGTHS = tuple(_u64(n) for n in range(256))  # most pieces are short, and a lookup beats a pack


def pae(*pieces: bytes | str | int) -> bytes:
    """
    Return the pre-authentication encoding of *pieces*: injective, so no two lists collide.

    Args:
        pieces: Bytes as they are, text as UTF-8, an integer as 8 bytes, little-endian, two's complement.

    Spec: SPEC §2.
    """
    parts = [_u64(len(pieces))]
    for piece in pieces:
        if isinstance(piece, str):
            piece = piece.encode()
        elif isinstance(piece, int):
            piece = _i64(piece)
        parts.append(_u64(len(piece)))
        parts.append(piece)
    return b"".join(parts)


def canonical(tree: Mapping[str, Any]) -> bytes:
    """
    Return the canonical form of a document or of a part of it.

    Raises:
        SchemaError: It holds something else than text, int64, booleans, arrays and tables.

    Spec: SPEC §8.1.
    """
    return _table(tree, DEEPEST)


def _text(value: str, _: int) -> bytes:
    return b"s" + value.encode()


def _integer(value: int, _: int) -> bytes:
    if not INT_MIN <= value <= INT_MAX:
        raise SchemaError("an integer does not fit into 64 bits")
    return b"i" + _i64(value)


def _boolean(value: bool, _: int) -> bytes:
    return b"b\x01" if value else b"b\x00"


def _array(value: list[Any], depth: int) -> bytes:
    if not depth:
        raise SchemaError(f"nested deeper than {DEEPEST} levels")
    parts = [b"a", _u64(len(value))]
    for item in value:
        encode = _ENCODERS.get(type(item)) or _refuse(item)
        piece = encode(item, depth - 1)
        size = len(piece)
        parts.append(_LENGTHS[size] if size < 256 else _u64(size))
        parts.append(piece)
    return b"".join(parts)


def _table(value: Mapping[str, Any], depth: int) -> bytes:
    if not depth:
        raise SchemaError(f"nested deeper than {DEEPEST} levels")
    parts = [b"t", _u64(2 * len(value))]
    add = parts.append
    # The code points of text sort as its UTF-8 bytes do.
    for key in sorted(value):
        item = value[key]
        name = key.encode()
        size = len(name)
        add(_LENGTHS[size] if size < 256 else _u64(size))
        add(name)
        if type(item) is str:
            piece = b"s" + item.encode()
        else:
            piece = (_ENCODERS.get(type(item)) or _refuse(item))(item, depth - 1)
        size = len(piece)
        add(_LENGTHS[size] if size < 256 else _u64(size))
        add(piece)
    return b"".join(parts)


def _refuse(value: object) -> Callable[[Any, int], bytes]:
    raise SchemaError(f"a value of type {type(value).__name__} has no canonical form")


_ENCODERS: dict[type, Callable[[Any, int], bytes]] = {
    str: _text,
    int: _integer,
    bool: _boolean,
    list: _array,
    dict: _table,
}


def same(left: Any, right: Any) -> bool:
    """Tell whether two values say the same: ``==`` alone takes ``True`` for 1."""
    if left is right:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)
