"""
Markdown on a terminal: whether a text is some, and how it is laid out.

Decides by the media type where there is one. Where there is none, only by marks that other texts
rarely have: a log or a program that is taken for Markdown loses its lines.
"""

from __future__ import annotations

import re
from typing import Any

_FENCES = re.compile(r"^```[^`\n]*$.*?^```\s*$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\|.*\|\s*\n\|[ :|-]*-[ :|-]*\|\s*$", re.MULTILINE)
_MARKS = (
    re.compile(r"(?:\A|\n\n)#{1,6} \S[^\n]*\n\n"),  # a comment of a script stands closer to what follows
    re.compile(r"\*\*[^\s*][^*\n]*\*\*"),
    re.compile(r"\[[^\]\n]+\]\(https?://[^)\s]+\)"),
    re.compile(r"^ {0,3}[*-] \S.*\n {0,3}[*-] \S", re.MULTILINE),
    re.compile(r"(?<![`\w])`[^`\n]+`(?!`)"),
)


def is_markdown(text: str, mime_type: str | None = None) -> bool:
    """
    Tell whether *text* is Markdown.

    Args:
        text: The text.
        mime_type: Its media type, if the server has named one.
    """
    if mime_type:
        return mime_type.partition(";")[0].strip().lower() in ("text/markdown", "text/x-markdown")
    if _FENCES.search(text) or _TABLE.search(text):
        return True
    return sum(mark.search(text) is not None for mark in _MARKS) >= 2


def laid_out(text: str) -> Any:
    """Return what rich draws for the Markdown *text*, which is printable. Links show where they lead."""
    from rich.markdown import Markdown

    return Markdown(text, hyperlinks=False)
