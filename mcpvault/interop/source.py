"""
A foreign configuration file: its bytes, its JSON tree, and neither in a traceback.

Decides what is JSON here (comments and trailing commas are). Leaves the meaning to ``sources``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError

LARGEST = 64 * 1024 * 1024  # bytes; ~/.claude.json grows without end
_COMMENT = re.compile(r'("(?:[^"\\]++|\\.)*+")|//[^\n]*+|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+")|,(?=\s*[}\]])', re.DOTALL)


class Written:
    """A text of the source. It may be a secret, so it shows itself to ``reveal`` only."""

    __slots__ = ("_show",)

    def __init__(self, text: str) -> None:
        self._show: Callable[[], str] = lambda: text

    def reveal(self) -> str:
        """Return the text. Use it in the same expression; do not keep it."""
        return self._show()

    def __repr__(self) -> str:
        return "Written(…)"


class Source:
    """A file that was read, and its tree, in which every text is a ``Written``."""

    __slots__ = ("_show", "path", "tree")

    def __init__(self, path: Path, show: Callable[[], bytes]) -> None:
        self.path = path
        self._show = show
        self.tree: dict[str, Any] = {}

    @classmethod
    def of(cls, path: Path, data: bytes) -> Source:
        """
        Return the source in *data*.

        Raises:
            ConfigurationError: It is no JSON object; nothing of it is quoted.
        """
        source = cls(path, _holder(data))
        del data  # from here on something raises
        problem = source._parse()
        if problem is not None:
            raise ConfigurationError(
                f"{path}: {problem}", hint="name a configuration file in JSON, or Codex's config.toml"
            )
        return source

    @classmethod
    def load(cls, path: Path) -> Source:
        """
        Read the file at *path*.

        Raises:
            ConfigurationError: It cannot be read, or is no JSON object.
        """
        problem = None
        try:
            with path.open("rb") as file:
                return cls.of(path, file.read(LARGEST + 1))
        except OSError as error:
            problem = error.strerror or "refused"
        raise ConfigurationError(f"{path}: cannot be read: {problem}", hint=f"run: ls -l {path}")

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r})"

    def reveal(self) -> bytes:
        """Return the bytes as they were read. Use them in the same expression; do not keep them."""
        return self._show()

    def plain(self) -> Any:
        """Return the tree with its texts in clear. Do not keep it where something raises."""
        if self.is_toml:
            import tomllib

            return tomllib.loads(self.reveal().decode())
        return json.loads(strict(self.reveal().decode("utf-8-sig")))

    @property
    def is_toml(self) -> bool:
        """Whether it is a TOML file, by its name."""
        return self.path.suffix.lower() == ".toml"

    def _parse(self) -> str | None:
        """Fill in the tree; return what is wrong instead of raising, for the frame here holds the text."""
        if len(self.reveal()) > LARGEST:
            return f"larger than {LARGEST // 1024**2} MiB"
        try:
            text = self.reveal().decode("utf-8-sig")
        except UnicodeDecodeError:
            return "is not UTF-8 text"
        if self.is_toml:
            return self._parse_toml(text)
        try:
            tree = json.loads(strict(text), parse_constant=_constant)
            hidden = _hidden(tree)
        except json.JSONDecodeError as error:
            return f"is not JSON (line {error.lineno}, column {error.colno})"
        except RecursionError:
            return "is nested too deeply"
        except ValueError:
            return "is not JSON"
        if not isinstance(tree, dict):
            return "expected a JSON object"
        self.tree = hidden
        return None

    def _parse_toml(self, text: str) -> str | None:
        import tomllib

        try:
            self.tree = _hidden(tomllib.loads(text))
        except (ValueError, RecursionError):
            return "is not TOML"
        return None


def _holder(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _constant(name: str) -> Any:
    raise ValueError(name)


def strict(text: str) -> str:
    """Return *text* without comments and trailing commas; line breaks stay, so that line numbers hold."""
    if "//" in text or "/*" in text:
        text = _COMMENT.sub(lambda found: found[1] or " " + "\n" * found[0].count("\n"), text)
    return _TRAILING_COMMA.sub(lambda found: found[1] or "", text)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return Written(value)
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    return value
