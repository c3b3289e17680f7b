"""
The format of a vault file: what it may say, and how it is read, ordered and edited.

No cryptography, no files, nothing of mcpvault. ``SPEC.md`` is the law, this is its reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vault_schema.canonical import canonical, pae
from vault_schema.document import (
    Auth,
    Document,
    Header,
    Policy,
    Retired,
    Rotation,
    ServerEntry,
    Slot,
    Timeout,
    Tls,
    Version,
)
from vault_schema.errors import SchemaError
from vault_schema.fields import FIELDS, is_secret, is_sensitive_name, is_token_for_name, looks_secret, spec_for
from vault_schema.forms import FieldSpec
from vault_schema.origin import binding_for, origin_of
from vault_schema.parse import judge, parse
from vault_schema.record import Record

if TYPE_CHECKING:
    from vault_schema.edit import dump_plain, new_text, rewrite
    from vault_schema.lines import line_of
    from vault_schema.schema_json import json_schema

__all__ = [
    "FIELDS",
    "Auth",
    "Document",
    "FieldSpec",
    "Header",
    "Policy",
    "Record",
    "Retired",
    "Rotation",
    "SchemaError",
    "ServerEntry",
    "Slot",
    "Timeout",
    "Tls",
    "Version",
    "binding_for",
    "canonical",
    "dump_plain",
    "is_secret",
    "is_sensitive_name",
    "is_token_for_name",
    "json_schema",
    "judge",
    "line_of",
    "looks_secret",
    "new_text",
    "origin_of",
    "pae",
    "parse",
    "rewrite",
    "spec_for",
]

# Reading a vault needs none of these (PEP 562).
_LATER = {"dump_plain": "edit", "json_schema": "schema_json", "line_of": "lines", "new_text": "edit", "rewrite": "edit"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'vault_schema' has no attribute {name!r}")
    import importlib

    globals()[name] = value = getattr(importlib.import_module(f"vault_schema.{_LATER[name]}"), name)
    return value
