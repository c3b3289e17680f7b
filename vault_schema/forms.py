"""
What one field may hold: the columns of the table in ``fields``, and the forms that a text may be confined to.

Spec: SPEC §1.2 (base64url), §1.3 (times), §10, §11.
"""

# ruff: noqa: S105, S107 -- "secret" is a column of the table; its entries are words, not passwords

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

Secrecy = Literal["never", "always", "by-name"]
FieldType = Literal["text", "integer", "boolean", "texts", "versions", "tables"]


class FieldSpec:
    """
    What one field may hold.

    ``path`` is dotted and below its table; a last part ``*`` stands for any name. ``form``
    names an entry of ``FORMS``. ``entry`` and ``kinds`` say where the field has a
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


class Form:
    """
    A regular expression over the whole text, and what a message says was expected.

    The patterns stand in the JSON Schema too, so they keep to what ECMA-262 shares with Python.
    Where what does not fit would show a secret to others, ``instead`` says what to do with it.
    """

    __slots__ = ("expects", "instead", "pattern")

    def __init__(self, pattern: str, expects: str, instead: str | None = None) -> None:
        self.pattern = pattern
        self.expects = expects
        self.instead = instead


# The last character of unpadded base64url has spare bits; they are zero, so that bytes have one spelling.
_B = "[A-Za-z0-9_-]"
# Days that the calendar has, so that no program stumbles over a 31 February.
_DAY = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
FORMS: Final = {
    "absolute path": Form(r"/[^\x00-\x1f\x7f]*", "an absolute path"),
    "argument": Form(
        r"(?!.*(?<!\$)\$\{(?:cmd|cred|file|keyring|vault):)[^\x00]*",
        "no reference but ${env:NAME}: every user of the host can read a program's arguments",
        "give it to the program by its environment: mcpvault set NAME env.VARIABLE '${…}'",
    ),
    "16 bytes": Form(rf"{_B}{{21}}[AQgw]", "16 bytes in base64url without padding"),
    "32 bytes": Form(rf"{_B}{{42}}[AEIMQUYcgkosw048]", "32 bytes in base64url without padding"),
    "64 bytes": Form(rf"{_B}{{85}}[AQgw]", "64 bytes in base64url without padding"),
    "80 bytes": Form(rf"{_B}{{106}}[AEIMQUYcgkosw048]", "80 bytes in base64url without padding"),
    "client id": Form(r"[\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?", "a client_id in visible ASCII (RFC 6749 A.1)"),
    "command": Form(r"(?!.*\$\{)[^\x00-\x1f\x7f]+", "a program's name or path, without references"),
    "duration": Form(r"[1-9][0-9]{0,4}[smhdw]", "a duration such as 90d"),
    "environment": Form(r"[^\x00]*", "text without NUL"),
    "field": Form(r"[a-z_]+(?:\.[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})?", "a field such as auth.token"),
    "header": Form(r"[^\x00-\x08\x0a-\x1f\x7f]*", "a header value on one line"),
    "header name": Form(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", "a header name (RFC 9110 §5.1)"),
    "host": Form(r"[A-Za-z0-9_.:-]{1,253}", "a host name or address, without scheme and port"),
    "https": Form(
        r"[Hh][Tt][Tt][Pp][Ss]://[^\s/?#@]+(?![^?]*/\.\.?(?:[/?]|$))/[\x21-\x22\x24-\x3e\x40-\x7e][\x21-\x22\x24-\x7e]*",
        "an https URL with a path, and without dot segments in it",
    ),
    "issuer": Form(
        r"[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@$]+(?:[/?](?!.*\$\{)[\x21-\x22\x24-\x7e]*)?",
        "an absolute http or https URL without fragment or references",
    ),
    "name": Form(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "a name of letters, digits, '_' and '-', at most 64"),
    "proxy": Form(
        r"(?:(?:[Hh][Tt][Tt][Pp][Ss]?|[Ss][Oo][Cc][Kk][Ss]5[Hh]?)://[\x21-\x7e]+|\$\{[^\n]+|)",
        "a proxy URL, or empty for none",
    ),
    "rate": Form(r"[1-9][0-9]{0,3}/[smhd]", "requests per second, minute, hour or day, such as 10/s"),
    "redirect": Form(
        r"(?:[Hh][Tt][Tt][Pp][Ss]://[^\s/?#@$]+|[Hh][Tt][Tt][Pp]://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?)"
        r"(?:[/?](?!.*\$\{)[\x21-\x22\x24-\x7e]*)?",
        "an https URL, or http on localhost, 127.0.0.1 or [::1]",
    ),
    "scheme": Form(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}", "an authentication scheme, or empty"),
    "scope": Form(
        r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*", "scopes separated by one space (RFC 6749 A.4)"
    ),
    "sealed": Form(
        rf"mv1\.[1-9][0-9]{{0,9}}\.{_B}{{32}}\.(?:{_B}{{4}}){{16,}}(?:{_B}[AQgw]|{_B}{{2}}[AEIMQUYcgkosw048])?",
        "a sealed value, mv1.…",
    ),
    "secret field": Form(r"(?:auth|headers|env)\.[!-~]{1,128}", "a secret's field, such as auth.token"),
    "slot id": Form(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", "a slot name of letters, digits and '_.@-', at most 64"),
    "time": Form(
        rf"(?!0000)(?:[0-9]{{4}}-(?:{_DAY})|{_LEAP}-02-29)T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
        "a time such as 2026-07-28T09:30:00Z",
    ),
    "url": Form(r"[Hh][Tt][Tt][Pp][Ss]?://[\x21-\x7e]+", "an absolute http or https URL"),
}
_VARIABLE: Final = Form(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable name of letters, digits and '_'")
KEY_FORMS: Final = {"env": _VARIABLE, "headers": FORMS["header name"], "run_env": _VARIABLE}


_BASE64URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _bytes(length: int, last: str) -> Callable[[str], str | None]:
    def match(text: str) -> str | None:
        fits = len(text) == length and text[-1] in last and _BASE64URL.issuperset(text)
        return text if fits else None

    return match


def _time(text: str) -> str | None:
    if (
        len(text) != 20
        or not text.isascii()
        or (text[4], text[7], text[10], text[13], text[16], text[19]) != tuple("--T::Z")
    ):
        return None
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    if not "".join(parts).isdigit():
        return None
    year, month, day, hour, minute, second = map(int, parts)
    if not (year and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return None
    leap = month == 2 and ((year % 4 == 0 and year % 100 != 0) or year % 400 == 0)
    return text if 1 <= day <= _DAYS[month - 1] + leap else None


def _sealed(text: str) -> str | None:
    mark, *parts = text.split(".")
    if mark != "mv1" or len(parts) != 3 or len(parts[1]) != 32 or not _BASE64URL.issuperset(parts[1] + parts[2]):
        return None
    number, _, sealed = parts
    if not (0 < len(number) < 11 and number.isascii() and number.isdigit() and number[0] != "0" and len(sealed) >= 64):
        return None
    spare = ("", None, "AQgw", "AEIMQUYcgkosw048")[len(sealed) % 4]
    return text if spare == "" or (spare is not None and sealed[-1] in spare) else None


def _name(more: str, longest: int) -> Callable[[str], str | None]:
    characters = _BASE64URL.union(more)

    def match(text: str) -> str | None:
        fits = 0 < len(text) <= longest and text[0].isalnum() and characters.issuperset(text)
        return text if fits else None

    return match


# What every vault holds is matched by hand: compiling these patterns takes longer than reading a vault.
BY_HAND: Final[Mapping[str, Callable[[str], object]]] = {
    "16 bytes": _bytes(22, "AQgw"),
    "32 bytes": _bytes(43, "AEIMQUYcgkosw048"),
    "64 bytes": _bytes(86, "AQgw"),
    "80 bytes": _bytes(107, "AEIMQUYcgkosw048"),
    "name": _name("", 64),
    "sealed": _sealed,
    "slot id": _name(".@", 64),
    "time": _time,
}


class _Matchers(dict[str, Callable[[str], object]]):
    """The forms' matchers, each compiled when it is first asked for: most runs need a few of them."""

    def __init__(self, forms: Mapping[str, Form]) -> None:
        super().__init__()
        self._forms = forms

    def __missing__(self, name: str) -> Callable[[str], object]:
        match: Callable[[str], object] | None = BY_HAND.get(name)
        self[name] = match = match or re.compile(self._forms[name].pattern, re.DOTALL).fullmatch
        return match


MATCH: Final = _Matchers(FORMS)
MATCH_KEY: Final = _Matchers(KEY_FORMS)
# What no text may hold, a form or none: control characters other than tab and line breaks.
_CONTROL: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"

_ESCAPED: Final = "$${"  # a literal `${`; anything else that begins with `${` is a reference
_COMMAND: Final = r"\$\{cmd:\[(?:[^\]\"]++|\"(?:[^\"\\]++|\\.)*+\")*+\]\}"
_REFERENCE: Final = _COMMAND + r"|\$\{([^}]*)\}?"


def has_control(text: str) -> bool:
    """Return whether *text* holds a control character that no text may hold."""
    return not text.isprintable() and re.search(_CONTROL, text) is not None


def has_reference(text: str) -> bool:
    """Return whether *text* holds a reference (SPEC §13)."""
    return "${" in text and "${" in text.replace(_ESCAPED, "")


def without_references(text: str) -> str:
    """Return what *text* says in clear: itself with every reference cut out, but for its default."""
    if "${" not in text:
        return text
    return re.sub(_REFERENCE, lambda found: (found[1] or "").partition(":-")[2], text.replace(_ESCAPED, ""))


def variables_in(text: str) -> list[str]:
    """Return what stands for a variable's name in each ``${env:NAME}`` and ``${NAME}`` of *text*, name or not."""
    if "${" not in text:
        return []
    found = re.findall(_REFERENCE, text.replace(_ESCAPED, ""))
    bodies = [inner.partition(":-")[0].removesuffix("?") for inner in found]
    return [body.removeprefix("env:") for body in bodies if re.match(r"(?:file|cred|keyring|vault|cmd):", body) is None]


def has_default(text: str) -> bool:
    """Return whether a reference of *text* brings a default, which would be a literal."""
    return "${" in text and any(
        ":-" in (found[1] or "") for found in re.finditer(_REFERENCE, text.replace(_ESCAPED, ""))
    )
