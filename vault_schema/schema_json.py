"""
The JSON Schema of a vault file, derived from ``fields``, for editors.

It says what a schema can say; ``parse`` is stricter (SPEC §15).

Spec: SPEC §10.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from vault_schema.fields import FIELDS, HEADER_FIELDS, RETIRED_FIELDS, SLOT_FIELDS, VERSION_FIELDS
from vault_schema.forms import FORMS, KEY_FORMS, FieldSpec

Schema = dict[str, Any]

_VERSIONS: Final = {"$ref": "#/$defs/versions"}


def json_schema() -> Schema:
    """Return the schema (draft 2020-12) of the tree that a vault's TOML decodes to."""
    header = _table(HEADER_FIELDS)
    header["properties"]["slots"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/slot"}}
    header["properties"]["retired"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/retired"}}
    server = _table(FIELDS)
    server["patternProperties"] = {"^x-": True}
    server["oneOf"] = [{"required": ["url"]}, {"required": ["command"]}]
    version = _table(VERSION_FIELDS)
    version["properties"]["bound"]["minItems"] = 2
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mcpvault vault file, format 1",
        "type": "object",
        "additionalProperties": False,
        "required": ["vault"],
        "properties": {
            "vault": header,
            "servers": {
                "type": "object",
                "propertyNames": {"pattern": _whole(FORMS["name"].pattern)},
                "additionalProperties": {"$ref": "#/$defs/server"},
            },
        },
        "$defs": {
            "server": server,
            "retired": _table(RETIRED_FIELDS),
            "slot": _table(SLOT_FIELDS),
            "version": version,
            "versions": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/version"}},
        },
    }


def _table(specs: Iterable[FieldSpec]) -> Schema:
    table: Schema = {"type": "object", "additionalProperties": False, "properties": {}}
    required = []
    for spec in specs:
        head, _, rest = spec.path.partition(".")
        if rest == "*":
            table["properties"][head] = {
                "type": "object",
                "propertyNames": {"pattern": _whole(KEY_FORMS[head].pattern)},
                "additionalProperties": _value(spec),
            }
            continue
        if rest:
            inner = table["properties"].setdefault(
                head, {"type": "object", "additionalProperties": False, "properties": {}}
            )
            inner["properties"][rest] = _value(spec)
            if spec.required and not spec.kinds:
                inner.setdefault("required", []).append(rest)
            continue
        table["properties"][head] = _value(spec)
        if spec.required and not spec.kinds:
            required.append(head)
    if required:
        table["required"] = required
    return table


def _value(spec: FieldSpec) -> Schema:
    text: Schema = {"type": "string"}
    if spec.choices:
        text["enum"] = list(spec.choices)
    elif spec.form is not None:
        text["pattern"] = _whole(FORMS[spec.form].pattern)
    schema: Schema
    match spec.type:
        case "integer":
            schema = {"type": "integer"}
            if spec.minimum is not None:
                schema["minimum"] = spec.minimum
            schema["maximum"] = 2**63 - 1 if spec.maximum is None else spec.maximum
        case "boolean":
            schema = {"type": "boolean"}
        case "texts":
            schema = {"type": "array", "items": text}
        case _ if spec.may_be_secret:
            schema = {"anyOf": [{**text, "pattern": r"\$\{"} if spec.always_secret else text, _VERSIONS]}
        case _:
            schema = text
    return {"description": spec.help, **schema}


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"
