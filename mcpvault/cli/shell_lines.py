"""
The lines of ``mcpvault shell``: their words, and which of them may be remembered.

Pure. Decides what is kept out of the history: whatever may hold a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mcpvault.errors import UsageError
from mcpvault.secret import redact
from vault_schema.fields import is_sensitive_name, looks_secret

_BLANKS = " \t\r\n"
_SPECIAL = _BLANKS + "\\\"'"
_KEY = re.compile(r"([A-Za-z0-9_.-]+)[\"']?\s*:?[=:]")


def words_of(line: str) -> list[str]:
    """
    Return the words of *line* as a shell would split it; a JSON object is one word, without quotes around it.

    Raises:
        UsageError: A quotation mark or a brace is not closed.
    """
    words: list[str] = []
    rest = line.lstrip()
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
    word, quoting, end = _read(text)
    if quoting:
        what = "nothing comes after the backslash" if quoting.endswith("\\") else f"no second {quoting}"
        raise UsageError(f"the line cannot be split into words: {what}")
    return word, text[end:]


def _read(text: str) -> tuple[str, str, int]:
    """Return the word that *text* begins with, the quotation that is open at its end, and where that is."""
    word, quoting, end = "", "", 0
    while end < len(text):
        char = text[end]
        if quoting.endswith("\\"):
            quoting = quoting[:-1]
            word += char if quoting != '"' or char in '"\\' else "\\" + char
        elif char == "\\" and quoting != "'":
            quoting += char
        elif char == quoting:
            quoting = ""
        elif quoting:
            word += char
        elif char in "'\"":
            quoting = char
        elif char in _BLANKS:
            break
        else:
            word += char
        end += 1
    return word, quoting, end


def unfinished(line: str) -> tuple[list[str], str, str]:
    """
    Return the words of *line* but the one that it ends in, what there is of that, and the quotation it is in.

    The quotation is a quotation mark, a backslash that waits for its character, both, or nothing.

    Raises:
        UsageError: It ends in a JSON object.
    """
    words: list[str] = []
    rest = line.lstrip()
    while True:
        if rest.startswith("{"):
            word, rest = _object(rest)
            if not rest:
                raise UsageError("arguments: a JSON object has its end")
        else:
            word, quoting, end = _read(rest)
            if end == len(rest):
                return words, word, quoting
            rest = rest[end:]
        words.append(word)
        rest = rest.lstrip()


def continued(rest: str, quoting: str) -> str | None:
    """Return what is to be typed for *rest* in a quotation that is open, and its end; None if it cannot be said so."""
    if quoting == "'":
        return rest.replace("'", "'\\''") + "'"
    if quoting == '"':
        return re.sub(r'(["\\])', r"\\\1", rest) + '"'
    if quoting == "\\":
        return rest[0] + _escaped(rest[1:]) if rest else None
    return _escaped(rest) if not quoting else None


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


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
