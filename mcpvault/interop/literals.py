"""
Whether a text in a foreign configuration is a secret.

Decides on the side of caution: what is sealed without need can still be used, what stands in
clear cannot be taken back. What the vault's format itself refuses in clear is a secret here, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlsplit

from vault_schema import is_sensitive_name, looks_secret
from vault_schema.forms import has_reference, without_references

_PREFIXES = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[a-z]_|github_pat_|glpat-|sk[-_]|rk_live_|xox[a-z]-|xapp-|lin_|eyJ|AKIA|ASIA|AIza|hf_|npm_|"
    r"ya29\.|whsec_|ntn_|tvly-|dop_v1_|pypi-)[A-Za-z0-9_.-]{8}"
)
# A run of letters and digits; a digest names public content and is no secret.
_RUN = re.compile(r"(?<!sha256:)(?<!sha512:)(?<!sha256-)(?<!sha512-)(?<![A-Za-z0-9])[A-Za-z0-9]{16,}")
_SHORT, _LONG = 16, 20  # characters
_BITS_SHORT, _BITS_LONG = 3.5, 3.0  # of entropy, each
_SHORTEST_VALUE = 8  # characters; what follows --token is a secret from this length on
_PATH = re.compile(r"(?:~|\.{1,2})?/")
_NAMED = re.compile(r"-{0,2}([A-Za-z][A-Za-z0-9_-]*)\s*[=:]\s*(\S.*)", re.DOTALL)


def is_secret(name: str, text: str) -> bool:
    """Return whether the value *text* of a header or variable *name* is a secret."""
    return bool(text) and (is_sensitive_name(name) or shows_secret(text))


def shows_secret(text: str) -> bool:
    """Return whether *text* looks like a secret whatever its name: a known prefix, or too much chance in it."""
    return is_token(text) or is_random(text)


def is_token(text: str) -> bool:
    """Return whether *text* holds something of a known shape; paths full of digests do not."""
    return looks_secret(text) or _PREFIXES.search(text) is not None


def left_in_clear(name: str, text: str) -> bool:
    """Return whether *text* holds a secret in clear; beside a reference, or as its default, only by its looks."""
    return is_secret("" if has_reference(text) else name, without_references(text))


def is_random(text: str) -> bool:
    """Return whether *text* holds a run of letters and digits that nobody thought of."""
    return any(_random_run(found[0]) for found in _RUN.finditer(text))


def _random_run(run: str) -> bool:
    has_digit = any(c.isdigit() for c in run)
    has_upper, has_lower = any(c.isupper() for c in run), any(c.islower() for c in run)
    if not has_digit or not (has_upper or has_lower):
        return False
    if has_upper and has_lower and len(run) >= _SHORT and _entropy(run) >= _BITS_SHORT:
        return True
    return len(run) >= _LONG and _entropy(run) >= _BITS_LONG


def _entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    shares = [text.count(c) / len(text) for c in set(text)]
    return -sum(share * math.log2(share) for share in shares)


def secret_argument(flag: str | None, text: str) -> tuple[str, str] | None:
    """
    Return what the secret in an argument should be called and what stands before it, or None if there is none.

    Args:
        flag: The argument before it, if that one is an option without a value.
        text: The argument: ``--token=…``, ``GITHUB_TOKEN=…`` and ``Authorization: …`` say themselves what follows.
    """
    if not text:
        return None
    if flag is not None and is_sensitive_name(flag.lstrip("-")) and len(text) >= _SHORTEST_VALUE:
        return flag.lstrip("-"), ""
    named = _NAMED.fullmatch(text)
    if named is not None and is_sensitive_name(named[1]) and len(named[2]) >= _SHORTEST_VALUE:
        return named[1], text[: named.start(2)]
    if "://" in text and query_secrets(text):
        return f"{query_secrets(text)[0]}_url", ""
    if named is not None and not named[2].startswith("//") and shows_secret(named[2]):
        return "argument", text[: named.start(2)]  # a variable PATH, say, would be more than a name for it
    return ("argument", "") if shows_secret(text) else None


def in_arguments(arguments: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield index and name of each argument that holds a secret in clear; a path is none for its option's name."""
    before: str | None = None
    for index, argument in enumerate(arguments):
        clear = without_references(argument)
        named = secret_argument(before, clear)
        if named is not None and (shows_secret(clear) or not _PATH.match(clear[len(named[1]) :])):
            yield index, named[0]
        before = argument if argument.startswith("-") and "=" not in argument else None


def query_secrets(url: str) -> list[str]:
    """Return the names in the query of *url* whose values are secrets in clear."""
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:
        return []
    return [name for name, value in pairs if "${" not in value and is_secret(name, value)]
