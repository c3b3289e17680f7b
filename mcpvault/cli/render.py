"""
What a server offers and answers, as text for people.

Decides the words and their order, from the wire's JSON. Leaves printing to ``output``.
Rule: what a server wrote reaches a terminal only without control characters, because an
escape sequence in a tool's answer could rewrite what the reader sees.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcpvault.cli.arguments import follow, list_of, part_of, types_of

Json = Mapping[str, Any]
Text = tuple[str, str | None]  # with its media type
WIDTH = 100  # columns of running text
_DEEPEST = 4  # levels of nested arguments that are spelled out
_CONTROL = {code: None for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\n\t"}
# Marks that reorder what stands around them: "Trojan Source", CVE-2021-42574.
_REORDERING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def printable(text: str) -> str:
    """Return *text* without control characters and marks that reorder a line."""
    return text.replace("\r\n", "\n").translate(_CONTROL | _REORDERING)


def one_line(text: object) -> str:
    """Return the first paragraph of *text* as one printable line."""
    if not isinstance(text, str):
        return ""
    return " ".join(printable(text).strip().split("\n\n", 1)[0].split())


def label(item: Json) -> str:
    """Return the words under which an item of a list is introduced."""
    return one_line(item.get("description")) or one_line(item.get("title")) or one_line(item.get("name"))


def tool(raw: Json) -> str:
    """Return the description of one tool: what it does, how it behaves, what it takes and gives."""
    lines = [printable(str(raw.get("name")))]
    lines += _running(raw.get("description") or raw.get("title"))
    if marks := _marks(raw.get("annotations")):
        lines += ["", f"  {', '.join(marks)}"]
    schema = raw.get("inputSchema")
    lines += ["", "arguments:" if part_of(schema, "properties") else "arguments: none"]
    lines += _arguments(schema, schema)
    output = raw.get("outputSchema")
    if part_of(output, "properties"):
        lines += ["", "structured answer:", *_arguments(output, output)]
    return "\n".join(lines)


def type_text(part: Json, whole: Any = None, depth: int = 1) -> str:
    """Return the type of one property in words, such as ``array of string`` or ``"a" | "b"``."""
    part = follow(part, whole)
    if "const" in part:
        return json.dumps(part["const"], ensure_ascii=False)
    if isinstance(values := part.get("enum"), list):
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
    words = []
    for name in types_of(part, whole):
        inner = "anything"
        if name == "array" and depth < _DEEPEST:
            inner = type_text(part_of(part, "items"), whole, depth + 1)
        words.append(name if inner == "anything" else f"array of {f'({inner})' if ' | ' in inner else inner}")
    kind = " | ".join(words) or "anything"
    return f"{kind} ({part['format']})" if isinstance(part.get("format"), str) else kind


def prompt(raw: Json) -> str:
    """Return the description of one prompt and its arguments."""
    lines = [printable(str(raw.get("name"))), *_running(raw.get("description") or raw.get("title"))]
    arguments = [item for item in list_of(raw, "arguments") if isinstance(item, Mapping)]
    lines += ["", "arguments:" if arguments else "arguments: none"]
    for item in arguments:
        need = "required" if item.get("required") else "optional"
        lines.append(f"  {printable(str(item.get('name')))}  ({need})")
        lines += _running(item.get("description"), indent=6)
    return "\n".join(lines)


def messages(raw: Json) -> str:
    """Return the messages of a prompt, each after the role that speaks it."""
    spoken = []
    for message in list_of(raw, "messages"):
        texts, notes = blocks(_content(message.get("content")))
        spoken.append(f"{message.get('role')}: {joined(texts) if texts else ' '.join(notes)}")
    return "\n\n".join(spoken)


def blocks(content: Sequence[Json]) -> tuple[list[Text], list[str]]:
    """
    Return the texts of content blocks with their media types, and a note for each block that is not text.

    Links to resources are text: they are shown by their URI. Nothing is noted of what was saved.
    """
    texts: list[Text] = []
    notes = []
    for block in content:
        inner = block.get("resource") if isinstance(block.get("resource"), Mapping) else None
        if "savedTo" in (inner or block):
            continue
        match block.get("type"):
            case "text":
                texts.append((str(block.get("text", "")), None))
            case "resource_link":
                texts.append((str(block.get("uri")), "text/uri-list"))
            case "resource" if inner is not None and "text" in inner:
                kind = inner.get("mimeType")
                texts.append((str(inner["text"]), kind if isinstance(kind, str) else None))
            case kind:
                told = f"{one_line(str(kind))} not shown: {_binary(inner or block)}"
                notes.append(f"{told}; use --save DIR to keep it, or --json to see it")
    return texts, notes


def joined(texts: Sequence[Text]) -> str:
    """Return texts as one."""
    return "\n".join(text for text, _ in texts)


def _content(found: Any) -> list[Json]:
    """Return the blocks of a message: the one that there should be, several in a list, or bare text as one."""
    if isinstance(found, str):
        return [{"type": "text", "text": found}]
    return [block for block in (found if isinstance(found, list) else [found]) if isinstance(block, Mapping)]


def _binary(part: Json) -> str:
    encoded = part.get("data") or part.get("blob") or ""
    size = len(encoded.rstrip("=")) * 3 // 4 if isinstance(encoded, str) else 0
    return f"{one_line(part.get('mimeType')) or 'unknown type'}, {size} bytes"


def _marks(annotations: Any) -> list[str]:
    if not isinstance(annotations, Mapping):
        return []
    words = {
        "readOnlyHint": ("only reads", "changes things"),
        "destructiveHint": ("may destroy", "destroys nothing"),
        "idempotentHint": ("safe to repeat", "not safe to repeat"),
        "openWorldHint": ("reaches outside", "stays inside"),
    }
    claims = [words[key][0 if value else 1] for key, value in annotations.items() if key in words]
    return [f"the server says: {claims[0]}", *claims[1:]] if claims else []


def _running(text: Any, indent: int = 2) -> list[str]:
    if not isinstance(text, str) or not text.strip():
        return []
    space = " " * indent
    lines: list[str] = []
    for line in printable(text).strip().splitlines():
        lines += textwrap.wrap(line, WIDTH, initial_indent=space, subsequent_indent=space) or [""]
    return lines


def _arguments(schema: Any, whole: Any, depth: int = 1) -> Iterator[str]:
    required = list_of(schema, "required")
    for name, declared in part_of(schema, "properties").items():
        part = follow(declared, whole) if isinstance(declared, Mapping) else {}
        need = "required" if name in required else "optional"
        if "default" in part:
            need = f"default {json.dumps(part['default'], ensure_ascii=False)}"
        space = "  " * depth
        yield printable(f"{space}{name}  {type_text(part, whole)}  ({', '.join([need, *_bounds(part)])})")
        words = declared.get("description") if isinstance(declared, Mapping) else None
        yield from _running(words or part.get("description"), indent=2 * depth + 4)
        inner = follow(part["items"], whole) if isinstance(part.get("items"), Mapping) else part
        if depth < _DEEPEST and part_of(inner, "properties"):
            yield from _arguments(inner, whole, depth + 1)


def _bounds(part: Json) -> list[str]:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "pattern": "matches {}",
    }
    return [form.format(part[key]) for key, form in words.items() if key in part]
