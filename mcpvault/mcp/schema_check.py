"""
Structured content and arguments against their JSON Schema, on request; nothing is ever fetched.

Spec: JSON Schema 2020-12; MCP 2026-07-28 "JSON Schema usage" (no network ``$ref``).
"""

from __future__ import annotations

import re
from typing import Any

from mcpvault.errors import RemoteProtocolError, UsageError
from mcpvault.mcp.wire import Json
from mcpvault.quoting import quote

_DIALECT = "https://json-schema.org/draft/2020-12/schema"  # where a schema names none


def fault_in(value: Any, schema: Json) -> str | None:
    """Return what is wrong with *value*, beginning with the place, or None. Unusable schemas are a fault too."""
    import jsonschema
    import jsonschema.validators
    import referencing
    import referencing.exceptions

    try:
        # What is named and not known must not be taken for 2020-12.
        dialect = str(schema.get("$schema", _DIALECT))
        validator_class: Any = jsonschema.validators.validator_for({"$schema": dialect}, default=None)  # type: ignore[arg-type]
        if validator_class is None:
            return f"the schema is of a dialect that is not supported: {quote(dialect[:100])!r}"
        validator_class.check_schema(schema)
        validator = validator_class(schema, registry=referencing.Registry())
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except jsonschema.exceptions.SchemaError:
        return "the schema itself is invalid"
    except referencing.exceptions.Unresolvable:
        return "the schema refers to something outside itself, which is not fetched"
    except RecursionError:
        return "the schema or the value is nested too deeply"
    if error is None:
        return None
    missing, extra = _keys_of(error)
    place = ".".join(str(part) for part in [*error.absolute_path, *missing[:1], *extra[:1]])
    fault = "is missing" if missing else "is not allowed" if extra else f"breaks the rule {error.validator!r}"
    return f"{quote(place) or 'the value'}: {fault}"


def _keys_of(error: Any) -> tuple[list[str], list[str]]:
    """Return the keys that an object lacks, and those that it has in excess: there the place is the object's own."""
    rule, asked, held = error.validator, error.validator_value, error.instance
    if rule == "required":
        return [key for key in asked if key not in held], []
    if rule == "dependentRequired":
        return [key for given, needed in asked.items() if given in held for key in needed if key not in held], []
    if rule == "additionalProperties":
        known, patterns = error.schema.get("properties", ()), error.schema.get("patternProperties", ())
        return [], [key for key in held if key not in known and not any(re.search(each, key) for each in patterns)]
    return [], []


def check_output(value: Any, schema: Json, *, tool: str, server: str) -> None:
    """
    Check structured content against the tool's ``outputSchema``.

    Raises:
        RemoteProtocolError: It does not fit; the message names the place and the rule, not the value.
    """
    if (fault := fault_in(value, schema)) is not None:
        raise RemoteProtocolError(f"tool {tool!r}: structured content: {fault}", server=server)


def check_arguments(value: Any, schema: Json, *, tool: str, server: str) -> None:
    """
    Check arguments against the tool's ``inputSchema`` before anything is sent.

    Raises:
        UsageError: They do not fit; the message names the field.
    """
    if (fault := fault_in(value, schema)) is not None:
        raise UsageError(
            f"tool {tool!r}: arguments: {fault}", hint=f"run: mcpvault tools {server} {tool}", server=server
        )
