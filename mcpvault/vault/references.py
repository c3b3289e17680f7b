"""
``${…}`` references: one grammar, strict, resolved on a copy and never written back.

Decides what a reference may be and where it is looked up. Leaves to ``connect`` which
surroundings are given, to the schema in which fields references may stand, and to ``commands`` how one is run.

Spec: SPEC §13.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mcpvault.errors import (
    ConfigurationError,
    DeadlineExceededError,
    LiteralSecretError,
    McpVaultError,
    UnresolvedReferenceError,
)
from mcpvault.secret import Secret
from mcpvault.vault.permissions import read_secret_file
from vault_schema import is_token_for_name
from vault_schema.record import Record

SCHEMES = ("env", "file", "cred", "keyring", "vault", "cmd")
_START = re.compile(r"\$(\$?)\{")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*\Z"
_CREDENTIAL = r"[A-Za-z0-9_.-]+\Z"
_VAULT = r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})\.(\S+)\Z"


class Reference(Record):
    """
    One reference: ``${scheme:body}``.

    ``default`` stands for what follows ``:-``, ``optional`` for a closing ``?``; ``text`` is as written.
    """

    scheme: str
    body: str
    default: str | None
    optional: bool
    text: str

    @property
    def shown(self) -> str:
        """The reference as messages show it: what a command says may be private."""
        return self.text if self.scheme != "cmd" else "${cmd:…}"


def split(text: str, *, where: str) -> list[str | Reference]:
    """
    Return the literal pieces and references of *text*, in order; ``$${`` is a literal ``${``.

    Raises:
        ConfigurationError: A reference is malformed; the message names *where* and quotes only its start.
    """
    pieces: list[str | Reference] = []
    position = 0
    while start := _START.search(text, position):
        if start[1]:
            pieces.append(text[position : start.start()] + "${")
            position = start.end()
            continue
        pieces.append(text[position : start.start()])
        end = _end(text, start.end())
        if end < 0:
            raise ConfigurationError(
                f"{where}: a reference is not closed: expected '}}'", hint="write $${ for a literal ${"
            )
        pieces.append(_parse(text[start.end() : end], where))
        position = end + 1
    pieces.append(text[position:])
    return [piece for piece in pieces if piece != ""]


def _end(text: str, start: int) -> int:
    """Return where the reference that begins at *start* ends; a command's brackets and strings may hold braces."""
    if not text.startswith("cmd:", start):
        return text.find("}", start)
    try:
        _, after = json.JSONDecoder().raw_decode(text, start + 4)
    except (ValueError, RecursionError):
        return -1
    return after if text[after : after + 1] == "}" else -1


def _parse(inner: str, where: str) -> Reference:
    scheme, colon, body = inner.partition(":")
    if not colon or scheme not in SCHEMES:
        scheme, body = "env", inner
    default, optional = None, False
    if scheme == "env":
        body, dash, rest = body.partition(":-")
        default = rest if dash else None
    if scheme != "cmd" and body.endswith("?"):
        body, optional = body[:-1], True
    good = _fits(scheme, body) and "${" not in (default or "")
    if scheme == "env" and is_token_for_name(body):
        raise LiteralSecretError(
            f"{where}: a reference has what looks like a secret for a name", hint="name the variable that holds it"
        )
    if not good or (optional and default is not None):
        raise ConfigurationError(
            f"{where}: malformed reference ${{{scheme}:…}}",
            hint="one of ${env:NAME}, ${file:/abs/path}, ${cred:name}, ${keyring:service/user}, "
            '${vault:server.field}, ${cmd:["program", "argument"]}',
        )
    return Reference(scheme=scheme, body=body, default=default, optional=optional, text=f"${{{inner}}}")


def _fits(scheme: str, body: str) -> bool:
    if scheme == "env":
        return re.match(_NAME, body) is not None
    if scheme == "file":
        return body.startswith("/")
    if scheme == "cred":
        return re.match(_CREDENTIAL, body) is not None and body not in (".", "..")
    if scheme == "keyring":
        return 0 < body.find("/") < len(body) - 1
    if scheme == "vault":
        return re.match(_VAULT, body) is not None
    return _command(body) is not None


def _command(body: str) -> list[str] | None:
    try:
        words = json.loads(body)
    except ValueError:
        return None
    fits = isinstance(words, list) and words and all(isinstance(word, str) and "\0" not in word for word in words)
    return words if fits else None


class Surroundings(Record):
    """
    What references are looked up in.

    Args:
        env: The environment.
        credentials_dir: systemd's folder, or None.
        allow_commands: Whether the vault lets ``${cmd:}`` run.
        run: Runs a command and returns its output, or raises ``ConfigurationError``.
        sealed: Opens another entry's sealed field, or raises; it also checks what that one is bound to.
        schemes: The schemes that are allowed at all.
    """

    env: Mapping[str, str]
    credentials_dir: Path | None = None
    allow_commands: bool = False
    run: Callable[[list[str]], Secret] | None = None
    sealed: Callable[[str, str], Secret] | None = None
    schemes: Iterable[str] = SCHEMES


class Resolver:
    """Resolves the texts of one entry and collects all that is missing; ``finish`` raises once for everything."""

    def __init__(self, *, server: str, surroundings: Surroundings, where: str = "") -> None:
        self.server = server
        self.surroundings = surroundings
        self.where = where or f"servers.{server}"
        self.missing: list[str] = []
        self.reasons: list[str] = []
        self._storable: list[str] = []  # fields that lack a value and could hold a sealed one

    def resolve(self, path: str, text: str, *, secret: bool) -> Secret | None:
        """
        Return *text* with its references replaced, or None if the field vanishes or something is missing.

        Args:
            path: The field, for messages.
            text: As written in the vault.
            secret: Whether the field holds a secret: then a default is refused.
        """
        where = f"{self.where}.{path}"
        parts: list[Secret] = []
        found: list[Secret] = []
        lacking = len(self.missing)
        vanishes = False
        for piece in split(text, where=where):
            if isinstance(piece, str):
                parts.append(Secret(piece))
                continue
            if secret and piece.default is not None:
                raise ConfigurationError(
                    f"{where}: a secret cannot have a default", hint="remove it; an unset reference is an error"
                )
            value = self._look_up(piece, where)
            if value is None:
                vanishes = True
            else:
                parts.append(value)
                found.append(value)
        if secret and len(self.missing) > lacking:
            self._storable.append(path)
        return None if vanishes else Secret("".join(part.reveal() for part in parts), of=found)

    def _look_up(self, reference: Reference, where: str) -> Secret | None:
        problem: McpVaultError | None = None
        try:
            value = self._value(reference, where)
        except DeadlineExceededError:
            raise
        except McpVaultError as error:
            value, problem = None, error
        if value is not None and value:
            return value
        if reference.default is not None:
            return Secret(reference.default)
        # "?" is for what is not there; what is refused or broken is told all the same.
        if problem is not None or not reference.optional:
            self.missing.append(f"{where}: {reference.shown}")
            reason = problem.message if problem else "is not set" if value is None else "is empty"
            self.reasons.append(f"{where}: {reference.shown}: {reason}")
        return None

    def _value(self, reference: Reference, where: str) -> Secret | None:
        around, body = self.surroundings, reference.body
        if reference.scheme not in around.schemes:
            raise ConfigurationError(f"${{{reference.scheme}:…}} is resolved in a vault only")
        if reference.scheme == "env":
            return Secret(around.env[body]) if body in around.env else None
        if reference.scheme == "file":
            return _from_file(Path(body), reference, around)
        if reference.scheme == "cred":
            if around.credentials_dir is not None:
                return _from_file(around.credentials_dir / body, reference, around)
            if reference.optional:
                return None
            raise ConfigurationError("CREDENTIALS_DIRECTORY is not set")
        if reference.scheme == "keyring":
            return _keyring(body)
        if reference.scheme == "vault" and around.sealed is not None:
            server, _, path = body.partition(".")
            return around.sealed(server, path)
        if reference.scheme == "cmd" and around.run is not None:
            if not around.allow_commands:
                raise ConfigurationError("commands are not allowed in this vault")
            return around.run(_command(body) or [])
        raise ConfigurationError(f"${{{reference.scheme}:…}} cannot be resolved here")

    def finish(self) -> None:
        """
        Raise for everything that was missing.

        Raises:
            UnresolvedReferenceError: At least one reference had no value; ``missing`` lists all of them.
        """
        if self.missing:
            commands = ", ".join(f"mcpvault set {self.server} {path} --stdin" for path in self._storable)
            raise UnresolvedReferenceError(
                "; ".join(self.reasons),
                missing=self.missing,
                hint="set it where this runs" + (f", or store the value: {commands}" if commands else ""),
                server=self.server,
            )


def references_in(text: str, *, where: str = "text") -> Iterator[Reference]:
    """Yield the references in *text*."""
    return (piece for piece in split(text, where=where) if isinstance(piece, Reference))


def _from_file(path: Path, reference: Reference, around: Surroundings) -> Secret | None:
    if reference.optional and not os.path.lexists(path):
        return None
    return read_secret_file(path, credentials_dir=around.credentials_dir)


def _keyring(body: str) -> Secret | None:
    service, _, user = body.partition("/")
    problem: str | None = None
    try:
        import keyring

        value = keyring.get_password(service, user)
        return Secret(value) if value else None
    except ImportError:
        problem = "the keyring package is not installed: mcpvault-sdk[keyring]"
    except Exception as error:  # any backend may fail in any way
        problem = f"the OS keyring failed: {type(error).__name__}"
    raise ConfigurationError(problem)
