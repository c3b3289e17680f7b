"""One row of the tables in ``fields``: what a field may hold, and what follows from that."""

# ruff: noqa: S105 -- "secret" is a column of the table; its entries are words, not passwords

from __future__ import annotations

from typing import Any, Literal

from vault_schema.record import Record

Secrecy = Literal["never", "always", "by-name"]
FieldType = Literal["text", "integer", "boolean", "texts", "versions", "tables"]


class FieldSpec(Record):
    """
    What one field may hold.

    ``path`` is dotted and below its table; a last part ``*`` stands for any name. ``form``
    names an entry of ``forms.FORMS``. ``entry`` and ``kinds`` say where the field has a
    meaning: in which kind of entry, with which ``kind`` of ``auth`` or slot (empty: all).
    """

    path: str
    type: FieldType
    help: str
    secret: Secrecy = "never"
    bound_to: Literal["url.origin", "command", "auth.issuer", "auth.idp_issuer"] | None = None
    references: bool = False
    form: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    required: bool = False
    entry: Literal["http", "stdio"] | None = None
    kinds: tuple[str, ...] = ()

    @property
    def may_be_secret(self) -> bool:
        """Whether a secret can stand here, always or for some names."""
        return self.secret != "never"

    @property
    def always_secret(self) -> bool:
        """Whether nothing but a secret can stand here."""
        return self.secret == "always"


def field(path: str, type_: FieldType, help_: str, **rest: Any) -> FieldSpec:
    """Return a row of a table."""
    return FieldSpec(path=path, type=type_, help=help_, **rest)
