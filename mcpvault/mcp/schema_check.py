"""
Structured content and arguments against their JSON Schema, on request; nothing is ever fetched.

A schema is the server's: its patterns and references may take for ever. One that is small and has none of what can
is checked here, any other in a process of its own, which is killed when its time is over.

Spec: JSON Schema 2020-12; MCP 2026-07-28 "JSON Schema usage" (no network ``$ref``).
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import RemoteProtocolError, UsageError
from mcpvault.mcp.wire import Json
from mcpvault.quoting import quote

_DIALECT = "https://json-schema.org/draft/2020-12/schema"  # where a schema names none
_MOST_RULES = 500  # of a schema that is checked here, its references followed
_MOST_CHECKS = 50_000  # rules times values
_NO_PATTERN = "the schema has a pattern that is not understood here"  # JSON Schema's are ECMAScript's
_PATIENCE = 5.0  # seconds for any other
# What may take longer than sizes say; also the names of fields, whose rules are an object.
_UNBOUNDED = frozenset("pattern uniqueItems $dynamicRef $recursiveRef $schema $id id".split())
_NESTING = frozenset(["patternProperties", "unevaluatedItems", "unevaluatedProperties"])
_CHILD = """
import json, sys
told = json.load(sys.stdin)
sys.path[:] = told["path"]
from mcpvault.mcp.schema_check import fault_in
json.dump(fault_in(told["value"], told["schema"]), sys.stdout)
"""


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
    except jsonschema.exceptions.SchemaError as wrong:
        return _NO_PATTERN if wrong.validator_value == "regex" else "the schema itself is invalid"
    except referencing.exceptions.Unresolvable:
        return "the schema refers to something outside itself, which is not fetched"
    except RecursionError:
        return "the schema or the value is nested too deeply"
    except re.error:
        return _NO_PATTERN
    except OverflowError:
        return "a number is too large to be checked"
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
    if rule == "unevaluatedProperties":  # the message alone says which
        return [], [key for key in held if repr(key) in error.message]
    return [], []


def _fault(value: Any, schema: Json, deadline: Deadline, *, tool: str, server: str) -> str | None:
    """Return what is wrong with *value* within the time that there is."""
    if _light(value, schema):
        return fault_in(value, schema)
    import subprocess

    try:
        told = json.dumps({"path": sys.path, "value": value, "schema": schema}).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        return "the value is not JSON, or is nested too deeply"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD], input=told, capture_output=True,
            env={"PATH": os.defpath}, timeout=min(_PATIENCE, deadline.remaining()), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        why = "takes too long to check"
    except OSError as error:
        why = f"cannot be checked: no process can be started for it ({(error.strerror or 'refused').lower()})"
    else:
        if done.returncode == 0:
            fault: str | None = json.loads(done.stdout)
            return fault
        why = f"cannot be checked: {_end_of(done.returncode, done.stderr)}"
    raise RemoteProtocolError(
        f"tool {tool!r}: its schema {why}",
        hint="call it without validate=True, and check what matters yourself",
        server=server,
    )


def _end_of(status: int, said: bytes) -> str:
    """Return how the process that checks has ended; of an exception only its name, since its text may quote values."""
    if status < 0:
        memory = ", perhaps for want of memory" if -status == signal.SIGKILL else ""
        return f"the process that does it was ended by signal {-status}{memory}"
    name = re.match(rb"[\w.]+", said.strip().rpartition(b"\n")[2])
    return f"the process that does it ended with {name[0].decode('ascii', 'replace') if name else f'status {status}'}"


def _light(value: Any, schema: Json) -> bool:
    """Tell whether the effort of a check follows from the sizes of both, references followed, and is small."""
    rules, values, waiting = 0, 0, [schema]
    while waiting:
        node: Any = waiting.pop()
        rules += 1
        if rules > _MOST_RULES:
            return False
        if isinstance(node, dict):
            named = {name for name in _UNBOUNDED & node.keys() if not isinstance(node[name], dict)}
            if _NESTING & node.keys() or named - ({"$schema"} if node is schema else set()):
                return False
            if isinstance(node.get("$ref"), str):
                target = _pointed(schema, node["$ref"])
                if target is None:
                    return False
                waiting.append(target)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    waiting = [value]
    while waiting:
        node = waiting.pop()
        values += 1
        if values * rules > _MOST_CHECKS:
            return False
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return True


def _pointed(schema: Json, reference: str) -> Json | None:
    """Return what a plain ``#/$defs/name`` refers to."""
    start, *names = reference.split("/")
    node: Any = schema if start == "#" and names and not {*"~%"} & {*reference} else None
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def check_output(value: Any, schema: Json, deadline: Deadline, *, tool: str, server: str) -> None:
    """
    Check structured content against the tool's ``outputSchema``.

    Raises:
        RemoteProtocolError: It does not fit; the message names the place and the rule, not the value. Or the schema
            takes too long to check, or cannot be.
    """
    if (fault := _fault(value, schema, deadline, tool=tool, server=server)) is not None:
        raise RemoteProtocolError(f"tool {tool!r}: structured content: {fault}", server=server)


def check_arguments(value: Any, schema: Json, deadline: Deadline, *, tool: str, server: str) -> None:
    """
    Check arguments against the tool's ``inputSchema`` before anything is sent.

    Raises:
        UsageError: They do not fit; the message names the field.
        RemoteProtocolError: The schema takes too long to check, or cannot be.
    """
    if (fault := _fault(value, schema, deadline, tool=tool, server=server)) is not None:
        raise UsageError(
            f"tool {tool!r}: arguments: {fault}", hint=f"run: mcpvault tools {server} {tool}", server=server
        )
