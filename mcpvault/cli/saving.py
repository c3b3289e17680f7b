"""
Content that is no text, into files: images, audio, and the contents of resources.

Decides the names: a server's words choose neither the folder nor more than a plain file name in it,
and no file that is there already is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import click

from mcpvault.cli.output import note
from mcpvault.cli.render import one_line
from mcpvault.errors import UsageError
from mcpvault.mcp.resources import ResourceContents
from mcpvault.mcp.types import Content
from mcpvault.mcp.wire import Json

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_LONGEST = 80  # characters of a name, without its ending and number
_MOST = 10_000  # files of one name
_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/webm": ".weba",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/gzip": ".gz",
    "application/zip": ".zip",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
}
_HELD = ("data", "blob", "text")


def save_option(function: Decorated) -> Decorated:
    """Add ``--save``."""
    option = click.option(
        "--save",
        "folder",
        metavar="DIR",
        help="Save images, audio and resource contents to new files in DIR; nothing is overwritten.",
    )
    return option(function)


class Folder:
    """
    Where files are saved; it is made when the first one is.

    Args:
        path: The folder. Its parent must exist.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if self._path.exists() and not self._path.is_dir():
            raise UsageError(f"{path}: is no folder")

    def put(self, data: bytes, name: str, mime_type: str | None) -> Path:
        """
        Write a new file and say so; a name that is taken gets a number.

        Args:
            data: The content.
            name: What it is called, in anybody's words.
            mime_type: Its type, for the ending where the name has none.

        Raises:
            UsageError: The folder or the disk refuses.
        """
        stem, ending = _name(name, mime_type)
        problem = "has too many files of that name"
        try:
            self._path.mkdir(exist_ok=True)
            for number in range(1, _MOST):
                path = self._path / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
                if _write_new(path, data):
                    kind = f"{one_line(mime_type)}, " if mime_type else ""
                    note(f"saved {path} ({kind}{len(data)} bytes)")
                    return path
        except OSError as error:
            problem = (error.strerror or "cannot be written").lower()
        raise UsageError(f"{self._path}: {problem}")

    def keep(self, content: Sequence[Any], name: str) -> list[Any]:
        """
        Save what of a tool's content is no text; return the content with file names in the place of the data.

        Raises:
            RemoteProtocolError: A block does not hold what it says; nothing has been saved.
        """
        held = [Content(block).data() if is_binary(block) else None for block in content]
        return [
            block if data is None else self._kept(block, data, name) for block, data in zip(content, held, strict=True)
        ]

    def _kept(self, block: Json, data: bytes, name: str) -> Json:
        inner = block.get("resource")
        if isinstance(inner, dict):
            return {**block, "resource": _without(inner, self.put(data, _last_step(inner.get("uri")), mime_of(inner)))}
        return _without(block, self.put(data, f"{name}-{block['type']}", mime_of(block)))

    def keep_contents(self, parts: Sequence[ResourceContents]) -> list[Json]:
        """
        Save all parts of a resource, text included; return them with file names in the place of the data.

        Raises:
            RemoteProtocolError: A part does not hold what it says; nothing has been saved.
        """
        held = [part.data() for part in parts]
        kinds = [mime_of(part.raw) or (None if "blob" in part.raw else "text/plain") for part in parts]
        return [
            _without(part.raw, self.put(data, _last_step(part.uri), kind))
            for part, data, kind in zip(parts, held, kinds, strict=True)
        ]


def is_binary(block: Any) -> bool:
    """Tell whether a block of content is no text."""
    if not isinstance(block, dict):
        return False
    if block.get("type") in ("image", "audio"):
        return True
    inner = block.get("resource")
    return block.get("type") == "resource" and isinstance(inner, dict) and "blob" in inner


def mime_of(raw: Json) -> str | None:
    """Return the media type that *raw* names, or None."""
    kind = raw.get("mimeType")
    return kind if isinstance(kind, str) else None


def _without(raw: Json, path: Path) -> Json:
    return {**{key: value for key, value in raw.items() if key not in _HELD}, "savedTo": str(path)}


def _name(name: str, mime_type: str | None) -> tuple[str, str]:
    """Return a plain file name, its ending apart: no separator, no leading dot, nothing that a shell would read."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")
    own = Path(plain).suffix
    ending = own if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", own) else ""
    stem = plain.removesuffix(ending)[:_LONGEST].strip("._-")
    return stem or "content", ending or _ENDINGS.get((mime_type or "").partition(";")[0].strip().lower(), ".bin")


def _last_step(uri: Any) -> str:
    """Return the last step of a URI's path."""
    try:
        parts = urlsplit(str(uri))
    except ValueError:
        return "resource"
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc or "resource"


def _write_new(path: Path, data: bytes) -> bool:
    """Write a file that must not be there yet, links included; return whether it was not."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    with file:
        try:
            file.write(data)
            file.flush()
        except OSError:
            path.unlink()  # half of an image is none
            raise
    return True
