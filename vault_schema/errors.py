"""The one exception of the format: a text that is no vault, and where it stops being one."""

from __future__ import annotations


class SchemaError(ValueError):
    """
    The text is not a vault of this format, or not one that may be written.

    Args:
        message: One lower-case line that begins with the place. It never quotes a value.
        path: Dotted path of the offending field (``servers.github.auth.token``), or None.
        line: Line of that field, counted from 1, or None.
        literal_secret: A secret stands in clear where only a reference or a sealed value may.
        hint: What to do about it, as an order, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        literal_secret: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line
        self.literal_secret = literal_secret
        self.hint = hint
