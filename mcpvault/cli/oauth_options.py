"""
What ``add`` can say about OAuth: whose grant it is, and what is known of the client beforehand.

Decides which options go together. The table of fields (``vault_schema.fields``) says which kind of grant has what.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcpvault.cli import secret_input
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.secret import Secret

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
KINDS = ("oauth", "client_credentials", "jwt_bearer")
_PLAIN = ("scope", "client_id", "issuer", "resource", "dpop", "redirect_uri", "client_metadata_url", "method")
_SECRET = {
    "client_secret_stdin": "client_secret",
    "client_secret_env": "client_secret",
    "private_key_file": "private_key",
    "assertion_env": "assertion",
    "assertion_file": "assertion",
    "assertion_command": "assertion",
}
NAMES = (*KINDS, *_PLAIN, *_SECRET)
_OPTIONS = (
    click.option("--oauth", is_flag=True, help="A person logs in once: mcpvault login NAME."),
    click.option("--client-credentials", is_flag=True, help="A machine's own grant; needs a client and its issuer."),
    click.option(
        "--jwt-bearer", is_flag=True, help="A workload's JWT is exchanged; needs an issuer and an --assertion-…."
    ),
    click.option("--scope", metavar="SCOPES", help="Ask for these, separated by spaces."),
    click.option("--client-id", metavar="ID", help="A client that is registered already."),
    click.option("--issuer", metavar="URL", help="The authorization server, exactly as it calls itself."),
    click.option("--client-secret-stdin", is_flag=True, help="Read the client's secret from stdin and seal it."),
    click.option("--client-secret-env", metavar="VAR", help="The client's secret is in this variable."),
    click.option("--private-key-file", metavar="PATH", help="Seal this private key (PEM) of the client."),
    click.option("--assertion-env", metavar="VAR", help="The workload's JWT is in this variable."),
    click.option("--assertion-file", metavar="PATH", help="The workload's JWT is in this file whenever it is needed."),
    click.option("--assertion-command", metavar="COMMAND", help="This command prints the workload's JWT."),
    click.option("--resource", metavar="URL", help="The resource indicator, instead of what the server says."),
    click.option("--dpop", is_flag=True, help="Bind tokens to a key of this client (RFC 9449)."),
    click.option("--redirect-uri", metavar="URL", help="The redirect URI that the client is registered with."),
    click.option("--client-metadata-url", metavar="URL", help="A client ID metadata document of yours."),
    click.option("--method", type=click.Choice(["loopback", "paste", "device"]), help="How a person logs in."),
)


def oauth_options(function: Decorated) -> Decorated:
    """Add the options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def auth_of(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Secret]]] | None:
    """
    Return the ``auth`` table that the options make, and how each sealed value of it is read; None if they make none.

    Raises:
        UsageError: They do not go together.
    """
    kind = next((name for name in KINDS if options[name]), None)
    given = [name for name in NAMES if name not in KINDS and options[name]]
    for name in NAMES:
        if options[name] == "":
            raise UsageError(f"{flag(name)}: is empty")
    _check(kind, given)
    if kind is None:
        return None
    table: dict[str, Any] = {"kind": kind}
    wanted: dict[str, Callable[[], Secret]] = {}
    for name in given:
        if name == "client_secret_stdin":
            wanted["auth.client_secret"] = partial(secret_input.from_stdin, "Client secret")
        elif name == "private_key_file":
            wanted["auth.private_key"] = partial(_private_key, options[name])
        elif name in _SECRET:
            table[_SECRET[name]] = _reference(name, options[name])
        else:
            table[_field(name)] = options[name]
    return table, wanted


def flag(name: str) -> str:
    """Return the option as it is typed."""
    return f"--{name.replace('_', '-')}"


def reference(variable: str) -> str:
    """
    Return ``${env:NAME}``.

    Raises:
        UsageError: It is no name of a variable, but its value perhaps.
    """
    secret_input.check_name(variable)
    return f"${{env:{variable}}}"


def _check(kind: str | None, given: list[str]) -> None:
    from vault_schema import spec_for

    for name in given:
        spec = spec_for(f"auth.{_field(name)}")
        kinds = [each for each in KINDS if spec is not None and each in spec.kinds]
        if kind not in kinds:
            raise UsageError(f"{flag(name)}: goes with {' or '.join(map(flag, kinds))} only")
    for group in (("client_secret_stdin", "client_secret_env", "private_key_file"), _ASSERTIONS):
        chosen = [name for name in group if name in given]
        if len(chosen) > 1:
            raise UsageError(f"{flag(chosen[0])} and {flag(chosen[1])} exclude each other")
    proof = any(_SECRET.get(name) in ("client_secret", "private_key") for name in given)
    if kind == "client_credentials" and not proof:
        raise UsageError(
            "--client-credentials: needs a secret of the client",
            hint="one of --client-secret-stdin, --client-secret-env VAR, --private-key-file PATH",
        )
    for needed in ("client_id", "issuer") if proof else ("issuer",) if kind == "jwt_bearer" else ():
        if needed not in given:
            hint = "the server names it: mcpvault probe URL" if needed == "issuer" else "its operator has given you one"
            raise UsageError(f"what proves who we are goes to one issuer only: {flag(needed)} is missing", hint=hint)
    if kind == "jwt_bearer" and not {*given} & {*_ASSERTIONS}:
        raise UsageError("--jwt-bearer: needs the workload's JWT", hint=f"one of {', '.join(map(flag, _ASSERTIONS))}")


_ASSERTIONS = tuple(name for name, field in _SECRET.items() if field == "assertion")


def _field(name: str) -> str:
    return "login_method" if name == "method" else _SECRET.get(name, name)


def _reference(name: str, value: str) -> str:
    if name.endswith("_env"):
        return reference(value)
    if name.endswith("_file"):
        return f"${{file:{Path(value).absolute()}}}"
    words: list[str] = []
    problem = "is empty"
    try:
        words = shlex.split(value)
    except ValueError as error:
        problem = str(error).lower()
    if not words:
        raise UsageError(f"{flag(name)}: {problem}")
    return f"${{cmd:{json.dumps(words)}}}"


def _private_key(path: str) -> Secret:
    from mcpvault.oauth.jwt import ClientKey

    key = secret_input.from_file(path)
    ClientKey(key)
    return key
