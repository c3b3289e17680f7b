"""
One server table of a foreign file becomes an entry: what all clients have in common.

Decides which value goes into which field, what is sealed, and what is told to the person. Leaves
the shape of whole files, and what each client calls things, to ``sources``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mcpvault.credentials import FORBIDDEN_HEADERS
from mcpvault.interop import addresses, extras, literals, oauth, transport_words
from mcpvault.interop.dialects import Dialect, translate, variable
from mcpvault.interop.entry import Draft, ImportedEntry, Needless, Skipped, Unfit
from mcpvault.interop.source import Written
from mcpvault.secret import Secret
from vault_schema import is_sensitive_name, spec_for
from vault_schema.values import Fault, secret_text

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_TOKENS = ("authToken", "auth_token")
_SET_BY_US = frozenset({"accept", "content-type", "user-agent"})


def our_name(theirs: str, taken: Iterable[str]) -> str:
    """Return an entry name made of a client's: letters, digits, ``_`` and ``-``, unlike all in *taken*."""
    stem = _NAME.sub("-", theirs).strip("-_")[:60] or "server"
    used = {name.lower() for name in taken}
    name, number = stem, 1
    while name.lower() in used:
        number += 1
        name = f"{stem}-{number}"
    return name


def imported(
    place: tuple[str, ...], table: Any, *, name: str, kind: str, dialect: Dialect, ignored: frozenset[str]
) -> ImportedEntry | Skipped:
    """
    Return the entry that *table* becomes.

    Args:
        place: Where it stands in the source.
        table: The server's table, its texts ``Written``.
        name: Our name for it.
        kind: The client's, ``claude-code``: unknown keys are kept below ``x-<kind>``.
        dialect: How it writes references.
        ignored: Keys that are no configuration and vanish without a word.
    """
    if not isinstance(table, dict):
        return Skipped(place=place, why="expected a table")
    draft = Draft(name=name, place=place, dialect=dialect)
    if name != place[-1]:
        draft.todo.append(f"name: {place[-1]!r} is called {name!r} here")
    keys = {key: value for key, value in table.items() if key not in ignored and value is not None}
    unfit = None
    try:
        if _text(keys, "command") is not None:
            _stdio(draft, keys)
        elif "url" in keys or "serverUrl" in keys:
            _http(draft, keys, kind)
        else:
            raise Unfit("names neither a command nor a url")
        transport_words.take(draft, kind, keys)
        if (seconds := keys.pop("timeout_total", None)) is not None:
            draft.put("timeout", {"total": seconds})
        extras.keep(draft, kind, keys)
        extras.keep_inputs(draft, kind)
    except Unfit as error:
        unfit = Skipped(place=place, why=str(error), needless=isinstance(error, Needless))
    return unfit or draft.finished()


def _text(keys: Mapping[str, Any], key: str) -> Written | None:
    """Return the text at *key*; an empty one is none."""
    value = keys.get(key)
    if value is not None and not isinstance(value, Written):
        raise Unfit(f"{key}: expected text")
    return value if value is not None and value.reveal() else None


def _texts(keys: Mapping[str, Any], key: str) -> dict[str, Written]:
    table = keys.get(key, {})
    if not isinstance(table, dict):
        raise Unfit(f"{key}: expected a table")
    found = {name: Written(_scalar(value)) if _is_scalar(value) else value for name, value in table.items()}
    for name, value in found.items():
        if not isinstance(value, Written):
            raise Unfit(f"{key}.{name}: expected text")
    return found


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _scalar(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# stdio


def _stdio(draft: Draft, keys: dict[str, Any]) -> None:
    command = keys.pop("command").reveal()
    if command.rpartition("/")[2] == "mcpvault" and _asks(keys.get("args")):
        raise Needless("asks a vault already, by mcpvault stdio")
    if "${" in command:
        raise Unfit("command: holds a reference; write the program's name or path and add it by hand")
    if literals.is_token(command):
        raise Unfit("command: holds what looks like a secret; give it to the program by env")
    draft.put("command", command)
    arguments = keys.pop("args", [])
    if not isinstance(arguments, list) or not all(isinstance(each, Written) or _is_scalar(each) for each in arguments):
        raise Unfit("args: expected a list of texts")
    texts = [each if isinstance(each, Written) else Written(_scalar(each)) for each in arguments]
    for name, value in _texts(keys, "env").items():
        _field(draft, "env", name, value)
    keys.pop("env", None)
    args = [_argument(draft, index, each, texts) for index, each in enumerate(texts)]
    if args:
        draft.put("args", args)
    if (cwd := _text(keys, "cwd")) is not None:
        found = draft.translated("cwd", cwd.reveal())
        if literals.is_token(found.literal):
            raise Unfit("cwd: holds what looks like a secret")
        draft.put("cwd", found.text)
    keys.pop("cwd", None)
    draft.put("approved", False)


def _asks(arguments: Any) -> bool:
    words = arguments if isinstance(arguments, list) else []
    return [each.reveal() for each in words[:1] if isinstance(each, Written)] == ["stdio"]


def _argument(draft: Draft, index: int, written: Written, all_of_them: list[Written]) -> str:
    """Return an argument without the secret in it; the secret is sealed for the child's environment."""
    flag = all_of_them[index - 1].reveal() if index else ""
    before = flag if flag.startswith("-") and "=" not in flag else None
    path = f"args[{index}]"
    found = draft.translated(path, written.reveal())
    named = literals.secret_argument(before, found.literal)
    if named is None:
        if found.references and any(is_sensitive_name(each) for each in (before or "", *found.references)):
            draft.todo.append(
                f"{path}: every user of the host can read what {', '.join(found.references)} holds, if it is a secret: "
                f"remove the argument if the program reads a variable, and put the reference there (env.NAME)"
            )
        return found.text
    called, head = named
    head = head if written.reveal().startswith(head) else ""
    name = variable(called, "SECRET")
    while f"env.{name}" in dict(draft.secrets) or name in draft.tree.get("env", {}):
        name += "_"
    if found.references:
        draft.kept_back = True
        draft.losses.append(f"{path}: held a secret beside a reference, which was left out")
    else:
        draft.seal(f"env.{name}", Secret(written.reveal().removeprefix(head)))
    draft.references.append(name)
    draft.todo.append(
        f"{path}: held a secret, and arguments are seen by every user of the host: it is sealed as env.{name}; "
        f"remove the argument if the program reads {name}, else set {name} where mcpvault runs"
    )
    return f"{head}${{env:{name}}}"


# http


def _http(draft: Draft, keys: dict[str, Any], kind: str) -> None:
    address = _text(keys, "url") or _text(keys, "serverUrl")
    if address is None:
        raise Unfit("url: is empty")
    for key in ("url", "serverUrl"):
        keys.pop(key, None)
    login = addresses.place(draft, address)
    if login is not None:
        _basic(draft, *login)
    _token(draft, keys)
    seen: set[str] = set()
    for name, value in _texts(keys, "headers").items():
        if name.lower() in FORBIDDEN_HEADERS | _SET_BY_US or name.lower() in seen:
            draft.losses.append(f"headers.{name}: is set by mcpvault itself, or twice")
            draft.kept_back |= literals.is_secret(name, value.reveal())
            continue
        seen.add(name.lower())
        if name.lower() == "authorization":
            _authorization(draft, name, value)
        else:
            _field(draft, "headers", name, value)
    keys.pop("headers", None)
    oauth.take(draft, kind, keys)


def _token(draft: Draft, keys: dict[str, Any]) -> None:
    tokens = [token for key in _TOKENS if (token := _text(keys, key)) is not None]
    for key in _TOKENS:
        keys.pop(key, None)
    if len(tokens) == 2 and tokens[0].reveal() != tokens[1].reveal():
        raise Unfit("authToken and auth_token differ; keep one of them")
    if isinstance(keys.get("auth"), Written):
        auth = keys.pop("auth")
        if auth.reveal() == "oauth":
            draft.put("auth.kind", "oauth")
        elif auth.reveal():
            tokens.append(auth)
    if tokens:
        _bearer(draft, Written(re.sub(r"(?i)\Abearer\s+", "", tokens[0].reveal())))


def _authorization(draft: Draft, name: str, value: Written) -> None:
    if "auth" in draft.tree:
        draft.losses.append(f"headers.{name}: the entry has a token besides, which is used")
        draft.kept_back |= not any(secret.reveal() in value.reveal() for _, secret in draft.secrets)
        return None
    scheme, _, rest = value.reveal().strip().partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return _bearer(draft, Written(rest.strip()))
    if scheme.lower() == "basic" and (login := _decoded(Written(rest.strip()))) is not None:
        return _basic(draft, *login)
    draft.put("auth.kind", "header")
    draft.put("auth.name", name)
    _secret(draft, "auth.value", value)
    return None


def _bearer(draft: Draft, token: Written) -> None:
    draft.put("auth.kind", "bearer")
    _secret(draft, "auth.token", token)


def _basic(draft: Draft, username: Written, password: Written) -> None:
    draft.put("auth.kind", "basic")
    draft.put("auth.username", draft.translated("auth.username", username.reveal()).text)
    _secret(draft, "auth.password", password)


def _decoded(text: Written) -> tuple[Written, Written] | None:
    try:
        name, colon, word = base64.b64decode(text.reveal(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (Written(name), Written(word)) if colon and name and word else None


# Fields that may be secret


def _field(draft: Draft, table: str, name: str, value: Written) -> None:
    """Put a header or a variable into its table: sealed if it is a secret, as text or reference if not."""
    path = f"{table}.{name}"
    if not value.reveal():
        draft.losses.append(f"{path}: was empty")
        return
    plain = draft.dialect if not is_sensitive_name(name) else None
    if plain is None or literals.shows_secret(value.reveal()):
        _secret(draft, path, value)
    else:
        draft.put(path, draft.translated(path, value.reveal()).text)


def _secret(draft: Draft, path: str, value: Written) -> None:
    """Put a secret at *path*: a reference as it is, a literal to be sealed, a mixture only if little is literal."""
    found = translate(value.reveal(), draft.dialect, secret=True)
    if not found.references:
        draft.seal(path, Secret(value.reveal()))
        if found.todo:  # nothing of it is quoted: in a password it may be no reference at all
            draft.todo.append(f"{path}: what looks like a reference in it is not taken over: it is sealed as it stands")
        return
    spec = spec_for(path)
    fits = True
    try:
        if spec is not None:
            secret_text(found.text, spec)
    except Fault:
        fits = False
    if fits:
        draft.note(path, found)
        draft.put(path, found.text)
        return
    name = variable(path, "SECRET")
    draft.kept_back = True
    draft.references.append(name)
    draft.losses.append(f"{path}: held a secret beside a reference, which was left out")
    draft.todo.append(f"{path}: set {name}, or store the whole value: mcpvault set {draft.name} {path} --stdin")
    draft.put(path, f"${{env:{name}}}")
