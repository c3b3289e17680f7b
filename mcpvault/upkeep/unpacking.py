"""
What compressed files and archives hold, as streams: unpacked in memory, piece by piece, and never to disk.

Decides what is unpacked, and how much of it: whoever can leave a file somewhere must not fill the memory or the time of
those who look for secrets. Leaves the looking to ``scan``.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

MOST, LEAST = 1 << 30, 64 << 20  # bytes that a file is unpacked to, however large and however small it is
RATIO = 200  # unpacked to packed, in between; logs reach 50
DEEPEST = 4  # packed in packed in packed
_IN_MEMORY = 64 << 20  # bytes of an archive in another one, which has to be read from its end
_XZ_MEMORY = 128 << 20  # bytes; xz -9 needs 65 MiB, and a file may ask for 4 GiB
_PIECE = 1 << 16  # bytes
# What the standard library raises while something damaged or hostile is unpacked; RuntimeError: a password is missing.
DAMAGED = (EOFError, OSError, RuntimeError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_ZIP = b"PK\x03\x04"
_MARK = 10  # bytes that tell what a file is
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}


class TooMuch(Exception):
    """More would be unpacked than anybody looks through."""


class _Counted(io.RawIOBase):
    """What *read* gives, as long as the budget that a file's streams share is not spent."""

    def __init__(self, read: Callable[[int], bytes], budget: list[int]) -> None:
        self._read = read
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        self._budget[0] -= len(data)
        if self._budget[0] < 0:
            raise TooMuch
        buffer[: len(data)] = data
        return len(data)


def streams(
    place: str, file: io.BufferedReader, size: int, unread: list[str]
) -> Iterator[tuple[str, io.BufferedReader]]:
    """
    Yield what *file* holds: itself where it is not packed, what it unpacks to, or each member of an archive.

    Reading what was packed may raise ``TooMuch`` or one of ``DAMAGED``; then the next one may be read.

    Args:
        place: What the file is called; a member is ``place!member``.
        file: At its beginning; seekable.
        size: Its bytes.
        unread: Collects what cannot be unpacked.
    """
    yield from _opened(place, file, [max(LEAST, min(MOST, RATIO * size))], unread, DEEPEST)


def in_memory(data: bytes) -> io.BufferedReader:
    """Return *data* as a file that ``streams`` takes."""
    return io.BufferedReader(io.BytesIO(data))


def _opened(
    place: str, file: io.BufferedReader, budget: list[int], unread: list[str], depth: int
) -> Iterator[tuple[str, io.BufferedReader]]:
    try:
        magic = file.peek(_MARK)
    except DAMAGED as error:
        if getattr(error, "errno", None) is not None:  # the disk's
            raise
        unread.append(f"{place}: cannot be unpacked")
        return
    unpack = next((unpack for mark, unpack in _UNPACK.items() if re.match(mark, magic)), None)
    if kind := _OTHERS.get(magic[:4]):
        unread.append(f"{place}: {kind} is not unpacked, and was looked through as it is")
        yield place, file
    elif (unpack or magic.startswith(_ZIP)) and depth == 0:
        unread.append(f"{place}: is packed too deeply")
    elif unpack is not None:
        yield from _opened(place, _counted(unpack(file), budget), budget, unread, depth - 1)
    elif magic.startswith(_ZIP):
        yield from _members(place, file, budget, unread, depth - 1)
    else:
        yield place, file


def _members(
    place: str, file: io.BufferedReader, budget: list[int], unread: list[str], depth: int
) -> Iterator[tuple[str, io.BufferedReader]]:
    if not file.seekable():
        data = file.read(_IN_MEMORY + 1)
        if len(data) > _IN_MEMORY:
            unread.append(f"{place}: an archive of more than {_IN_MEMORY >> 20} MiB in another one")
            return
        file = in_memory(data)
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED:
        unread.append(f"{place}: cannot be unpacked, and was looked through as it is")
        file.seek(0)
        yield place, file
        return
    for member in archive.infolist():
        if member.is_dir():
            continue
        inside = f"{place}!{''.join(char if char.isprintable() else '?' for char in member.filename)}"
        try:
            with archive.open(member) as packed:
                yield from _opened(inside, _counted(packed.read, budget), budget, unread, depth)
        except DAMAGED as error:
            unread.append(f"{inside}: {'needs a password' if 'password' in str(error) else 'cannot be unpacked'}")


def _counted(read: Callable[[int], bytes], budget: list[int]) -> io.BufferedReader:
    return io.BufferedReader(_Counted(read, budget), _PIECE)


def _unxz(file: io.BufferedReader) -> Callable[[int], bytes]:
    """Return what reads an xz file: the standard library's own reader has no limit of memory."""
    decoder, more = lzma.LZMADecompressor(memlimit=_XZ_MEMORY), b""

    def read(size: int) -> bytes:
        nonlocal decoder, more
        while True:
            if decoder.eof:  # another stream may follow, and zeros between them
                more = (decoder.unused_data + file.read(_PIECE)).lstrip(b"\0")
                if not more:
                    return b""
                decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif decoder.needs_input and not more:
                more = file.read(_PIECE)
                if not more:
                    raise EOFError
            data, more = decoder.decompress(more, size), b""
            if data:
                return data

    return read


# How the first bytes of a packed file look, and what reads it.
_UNPACK: dict[bytes, Callable[[io.BufferedReader], Callable[[int], bytes]]] = {
    rb"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file).read,
    rb"BZh[1-9]1AY&SY": lambda file: bz2.BZ2File(file).read,
    rb"\xfd7zXZ\0": _unxz,
}
