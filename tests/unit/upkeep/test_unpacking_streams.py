"""Compressed files and archives are unpacked as streams, within bounds, and what is damaged spoils nothing else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable

import pytest

from mcpvault.upkeep import unpacking
from mcpvault.upkeep.unpacking import DAMAGED, TooMuch, in_memory, streams

TEXT = b"a line\nanother\n" * 3


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    """Return what each stream holds, as far as it can be read, and what could not be."""
    unread: list[str] = []
    found = {}
    for place, stream in streams("f", in_memory(data), len(data), unread):
        found[place] = b""
        try:
            while piece := stream.read1(100):
                found[place] += piece
        except DAMAGED:
            unread.append(place)
    return found, unread


@pytest.mark.parametrize(
    "pack",
    [
        lambda data: data,
        gzip.compress,
        lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
        bz2.compress,
        lzma.compress,
        lambda data: lzma.compress(data[:9]) + bytes(8) + lzma.compress(data[9:]),
        lambda data: gzip.compress(bz2.compress(lzma.compress(data))),
    ],
    ids=["plain", "gz", "gz, two", "bz2", "xz", "xz, two", "one in another"],
)
def test_a_compressed_file_is_what_it_unpacks_to(pack: Callable[[bytes], bytes]) -> None:
    """Also where it was packed in parts, or packed again; nothing is left out."""
    assert ({"f": TEXT}, []) == unpacked(pack(TEXT))


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_its_members(kind: int) -> None:
    """Each by its name, those that are packed themselves, and archives within; folders are nothing."""
    inner = zipped({"deep": b"deep"})
    data = zipped({"a": TEXT, "d/": b"", "d/b.gz": gzip.compress(TEXT), "inner.zip": inner, "new\nline": b"x"}, kind)

    found = {"f!a": TEXT, "f!d/b.gz": TEXT, "f!inner.zip!deep": b"deep", "f!new?line": b"x"}
    assert (found, []) == unpacked(data)


def test_what_is_damaged_spoils_nothing_else() -> None:
    """A member whose bytes were changed is told, and the next is read; of one that breaks off the beginning is read."""
    data = bytearray(zipped({"a": TEXT * 20, "b": TEXT}))
    data[40:44] = b"\xff\xff\xff\xff"
    found, unread = unpacked(bytes(data))
    assert (TEXT, ["f!a"]) == (found["f!b"], [each.partition(":")[0] for each in unread])

    noise = os.urandom(300_000)
    found, unread = unpacked(gzip.compress(noise)[:-5000])
    assert (["f"], True) == (unread, noise.startswith(found["f"]) and len(found["f"]) > 200_000)
    assert ({}, ["f: cannot be unpacked"]) == unpacked(lzma.compress(noise)[:20])


def test_an_archive_without_its_end_is_looked_through_as_it_is() -> None:
    """What was only stored can still be found in it."""
    data = zipped({"a": TEXT}, zipfile.ZIP_STORED)[:-30]
    found, unread = unpacked(data)
    assert (data, 1) == (found["f"], len(unread))


def test_what_needs_a_password_is_told() -> None:
    """The other members are read."""
    data = bytearray(zipped({"a": TEXT, "b": TEXT}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + flags] |= 1
    assert ({"f!b": TEXT}, ["f!a: needs a password"]) == unpacked(bytes(data))


@pytest.mark.parametrize("data", [b"\x28\xb5\x2f\xfd" + TEXT, b"7z\xbc\xaf\x27\x1c" + TEXT, b"Rar!\x1a\x07" + TEXT])
def test_what_nobody_unpacks_here_is_told(data: bytes) -> None:
    """And looked through as it is."""
    found, [told] = unpacked(data)
    assert {"f": data} == found
    assert "is not unpacked" in told


def test_how_deep_it_goes() -> None:
    """A file that is packed again and again is told and left."""
    data = TEXT
    for _ in range(6):
        data = gzip.compress(data)
    assert ({}, ["f: is packed too deeply"]) == unpacked(data)
    for _ in range(6):
        data = zipped({"z": data})
    assert {} == unpacked(data)[0]


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress, bz2.compress, lzma.compress, lambda data: zipped({"a": data}),
        lambda data: zipped({"a": gzip.compress(data)}),
    ],
    ids=["gz", "bz2", "xz", "zip", "gz in zip"],
)  # fmt: skip
def test_a_bomb_is_not_unpacked_to_its_end(monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    """All members of a file share one budget, by its size; whoever reads on is stopped."""
    monkeypatch.setattr(unpacking, "LEAST", 1 << 20)
    data = pack(bytes(4 << 20))
    assert len(data) * unpacking.RATIO < 4 << 20
    read = 0
    with pytest.raises(TooMuch):
        for _, stream in streams("f", in_memory(data), len(data), []):
            while piece := stream.read1(1 << 16):
                read += len(piece)
    assert read <= 1 << 20


def test_a_file_may_not_ask_for_memory() -> None:
    """An xz file whose dictionary is larger than any that is used needs no more than others, and is told."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    data = bytearray(lzma.compress(TEXT, filters=filters))
    # Block header: size, flags, filter id 0x21, size of properties 1, dictionary size, padding, then its CRC32.
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 38  # 2 GiB, in the spelling of xz
    end = 12 + (data[12] + 1) * 4
    data[end - 4 : end] = zlib.crc32(data[12 : end - 4]).to_bytes(4, "little")

    assert ({}, ["f: cannot be unpacked"]) == unpacked(bytes(data))
