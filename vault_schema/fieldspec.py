"""One row of the tables in ``fields``: what a field may hold, and what follows from that."""

# ruff: noqa: S105, S107 -- "secret" is a column of the table; its entries are words, not passwords

from __future__ import annotations

from typing import Literal

Secrecy = Literal["never", "always", "by-name"]
FieldType = Literal["text", "integer", "boolean", "texts", "versions", "tables"]


class FieldSpec:
    """
    What one field may hold.

    ``path`` is dotted and below its table; a last part ``*`` stands for any name. ``form``
    names an entry of ``forms.FORMS``. ``entry`` and ``kinds`` say where the field has a
    meaning: in which kind of entry, with which ``kind`` of ``auth`` or slot (empty: all).

    No ``Record``: a hundred rows are made at every start, and slots are made in a quarter of the time.
    """

    __slots__ = (
        *("path", "type", "help", "secret", "bound_to", "references", "form"),
        *("choices", "minimum", "maximum", "required", "entry", "kinds"),
    )

    def __init__(
        self,
        path: str,
        type: FieldType,  # noqa: A002  the table's word
        help: str,  # noqa: A002
        *,
        secret: Secrecy = "never",
        bound_to: Literal["url.origin", "command", "auth.issuer", "auth.idp_issuer"] | None = None,
        references: bool = False,
        form: str | None = None,
        choices: tuple[str, ...] = (),
        minimum: int | None = None,
        maximum: int | None = None,
        required: bool = False,
        entry: Literal["http", "stdio"] | None = None,
        kinds: tuple[str, ...] = (),
    ) -> None:
        self.path, self.type, self.help = path, type, help
        self.secret, self.bound_to, self.references = secret, bound_to, references
        self.form, self.choices, self.minimum, self.maximum = form, choices, minimum, maximum
        self.required, self.entry, self.kinds = required, entry, kinds

    @property
    def may_be_secret(self) -> bool:
        """Whether a secret can stand here, always or for some names."""
        return self.secret != "never"

    @property
    def always_secret(self) -> bool:
        """Whether nothing but a secret can stand here."""
        return self.secret == "always"
