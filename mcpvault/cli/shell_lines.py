"""
The lines of ``mcpvault shell``: their words, and which of them may be remembered.

Pure. Decides what is kept out of the history: whatever may hold a secret.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Sequence

from mcpvault.errors import UsageError
from mcpvault.secret import redact
from vault_schema.fields import is_sensitive_name, looks_secret

_KEY = re.compile(r"([A-Za-z0-9_.-]+)[\"']?\s*:?[=:]")


def words_of(line: str) -> list[str]:
    """
    Return the words of *line* as a shell would split it; a JSON object is one word, without quotes around it.

    Raises:
        UsageError: A quotation mark or a brace is not closed.
    """
    words: list[str] = []
    rest = line.strip()
    while rest:
        if rest.startswith("{"):
            word, rest = _object(rest)
        else:
            word, rest = _word(rest)
        words.append(word)
        rest = rest.lstrip()
    return words


def _object(text: str) -> tuple[str, str]:
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        end = 0
    if not end:
        raise UsageError("arguments: not a JSON object", hint='write {"key": "value"}, or key=value')
    return text[:end], text[end:]


def _word(text: str) -> tuple[str, str]:
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    problem = ""
    try:
        return lexer.get_token() or "", stream.read()
    except ValueError as error:
        problem = str(error).lower()
    raise UsageError(f"the line cannot be split into words: {problem}")


def taken_out(words: Sequence[str], option: str) -> tuple[list[str], str | None]:
    """
    Return *words* without *option* and its value, and the value.

    Raises:
        UsageError: It has none.
    """
    if option not in words:
        return [*words], None
    at = words.index(option)
    if at + 1 == len(words):
        raise UsageError(f"{option}: needs a value")
    return [*words[:at], *words[at + 2 :]], words[at + 1]


def may_be_kept(line: str) -> bool:
    """
    Tell whether *line* may go into the history.

    Not where it holds a secret of this process, something of the shape of one, or a value for a key that is named
    like one; and not where it begins with a space, as in other shells.
    """
    if not line.strip() or line[0].isspace() or not line.isprintable():
        return False
    if redact(line) != line or looks_secret(line):
        return False
    return not any(is_sensitive_name(key) for key in _KEY.findall(line))
