"""
Text to ``Document``, or a ``SchemaError`` that names the place.

Decides whether a text is a vault of this format. Leaves to ``mcpvault.vault`` whether
its MAC, signature and seals hold, and whether bindings still fit.

Spec: SPEC §3, §4, §15.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from vault_schema import check
from vault_schema.document import Document
from vault_schema.errors import SchemaError
from vault_schema.values import Fault, name_of, unknown

CURRENT = 1  # the newest format; ``migrations`` leads there
LARGEST = 16 * 1024 * 1024  # bytes
_AT = r"(?s:(.*?)) ?\((?:at line (\d+), column (\d+)|at end of document)\)\Z"
_MARKER = r"(?m)^(?:<{7,}|>{7,})(?: |\r?$)"  # a row of equals signs may be anybody's
_CONFLICT = (
    "take one side: git checkout --ours -- FILE, or --theirs; or choose between the markers, then run: mcpvault sign; "
    "for later merges, once: mcpvault git install"
)
_SURROGATE = r"[\ud800-\udfff]"
# A decoder's message may quote the text it stumbled over, and that may be a secret.
_TWICE = r"Cannot (?:declare|mutate|overwrite|redefine) |Duplicate inline table key "
_QUOTES_NOTHING = r"[A-Za-z ,/-]+\Z"


def parse(text: bytes | str) -> Document:
    """
    Return the document that *text* holds.

    Raises:
        SchemaError: It is no vault of this format; ``path`` and ``line`` say where. Nothing
            in the message comes from a value.

    Spec: SPEC §3.
    """
    text = _decoded(text)
    return judge(_loaded(text), text)


def judge(tree: dict[str, Any], text: str, before: Document | None = None) -> Document:
    """
    Return the document of a text that is known to say *tree*, as ``rewrite`` knows it of what it returns.

    Args:
        tree: What *text* says.
        text: The text.
        before: A document that *tree* was made from; entries that are the very same objects are not judged again.

    Raises:
        SchemaError: As ``parse``.
    """
    _decoded(text)
    try:
        _judge(tree, before)
        return Document(tree, text)
    except Fault as error:
        fault = error
    from vault_schema.lines import line_of

    path = fault.path()
    line = line_of(text, fault.trail)
    where = f" (line {line})" if line else ""
    place = f"{path}: " if path else ""
    raise SchemaError(
        f"{place}{fault.what}{where}", path=path or None, line=line, literal_secret=fault.literal, hint=fault.remedy()
    )


def _decoded(source: bytes | str) -> str:
    if len(source) > LARGEST:
        raise SchemaError(f"a vault is at most {LARGEST // 1024**2} MiB")
    text = source if isinstance(source, str) else _utf8(source)
    if not text.isascii() and re.search(_SURROGATE, text):
        raise SchemaError("holds half of a surrogate pair, which is no character")
    if text.startswith("\ufeff"):
        raise SchemaError("begins with a byte order mark", line=1, hint="save the file as UTF-8 without BOM")
    return text


def _utf8(source: bytes) -> str:
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
    # Raised out here: the decoder's error carries the whole file.
    raise SchemaError(f"not valid UTF-8 at line {line}", line=line)


def _loaded(text: str) -> dict[str, Any]:
    # Without a line that has the dots of a key of more than ``scanner.MOST_PARTS``, the keys are not looked at closely.
    if any(line.count(".") > 31 for line in text.split("\n")):
        _refuse_long_keys(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = str(error)
    if (line := conflict_line(text)) is not None:
        raise SchemaError(f"holds git's conflict markers, the first at line {line}", line=line, hint=_CONFLICT)
    said = re.match(_AT, problem)
    what = said[1] if said else problem
    if re.match(_TWICE, what):
        what = "A table or key twice"
    line = int(said[2] or text.count("\n") + 1) if said else None
    place = (f" at line {line}" if line else "") + (f", column {said[3]}" if said and said[3] else "")
    shown = f": {what[0].lower()}{what[1:]}" if re.match(_QUOTES_NOTHING, what) else ""
    raise SchemaError(f"not valid TOML{shown}{place}", line=line)


def conflict_line(text: str) -> int | None:
    """Return the line of the first marker that git leaves in a file where two sides conflict, or None."""
    found = re.search(_MARKER, text)
    return text.count("\n", 0, found.start()) + 1 if found else None


def _refuse_long_keys(text: str) -> None:
    from vault_schema.scanner import MOST_PARTS, long_key

    at = long_key(text)
    if at is not None:
        line = text.count("\n", 0, at) + 1
        raise SchemaError(f"a key of more than {MOST_PARTS} parts at line {line}", line=line)


def _judge(tree: dict[str, Any], before: Document | None) -> None:
    for key, value in tree.items():
        if key not in ("vault", "servers"):
            fault = unknown(key, ("vault", "servers"))
            fault.trail.insert(0, key)
            raise fault
        if type(value) is not dict:
            raise Fault(f"expected a table, got {name_of(value)}", key)
    header = tree.get("vault")
    if header is None:
        raise Fault("missing: this file is no vault", "vault")
    format_ = header.get("format")
    if type(format_) is int and format_ > CURRENT:
        raise Fault(
            f"this vault has format {format_}, this program reads up to {CURRENT}", "vault", "format",
            hint="update mcpvault on this machine",
        )  # fmt: skip
    try:
        check.header(header)
    except Fault as fault:
        fault.trail.insert(0, "vault")
        raise
    try:
        same = before is not None and before.header.epoch == header["epoch"]
        good = before.tree.get("servers", {}) if before is not None and same else {}
        check.servers(tree.get("servers", {}), header["epoch"], good)
    except Fault as fault:
        fault.trail.insert(0, "servers")
        raise
