"""``mcpvault set``: one field of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, get, output, secret_input
from mcpvault.errors import BindingMismatchError, McpVaultError, UnknownFieldError, UsageError
from mcpvault.suggestion import did_you_mean

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.secret import Secret
    from mcpvault.vault.change import Change

EXAMPLE = """
Example:

\b
  mcpvault set github auth.token --stdin < new-token.txt
  mcpvault set github auth.token '${env:GITHUB_TOKEN}'
  mcpvault set github headers.X-API-Version 2026-01-01
  mcpvault set github url https://new.example.com/mcp
  mcpvault set github note --unset
  mcpvault set '*' policy.max_age 90d        # for every entry that does not say it
"""
EVERY = "*"
_WHOSE_GRANT = ("auth.kind", "credential")
_OF_A_GRANT = ("url", *(f"auth.{name}" for name in ("issuer", "resource", "client_id", "dpop", "persist")))
_COMMON = {**{f"policy.{name}": name for name in ("max_age", "warn", "grace")}, "owner": "owner", "runbook": "runbook"}


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("field", metavar="FIELD")
@click.argument("value", required=False, metavar="[VALUE]")
@click.option("--stdin", is_flag=True, help="Read the secret from stdin.")
@click.option("--prompt", is_flag=True, help="Ask for the secret.")
@click.option("--file", "path", metavar="PATH", help="Read the secret from a private file.")
@click.option("--env", "variable", metavar="VAR", help="Take the secret out of this variable now, and seal it.")
@click.option("--fd", "descriptor", type=click.IntRange(min=0), metavar="N", help="Read the secret from a descriptor.")
@click.option("--unset", is_flag=True, help="Remove the field.")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(
    server: str,
    field: str,
    value: str | None,
    stdin: bool,
    prompt: bool,
    path: str | None,
    variable: str | None,
    descriptor: int | None,
    unset: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Set FIELD of NAME: auth.token, headers.X-API-Key, env.DB_PASSWORD, url, note, timeout.total, …

    A secret comes by --stdin, --prompt, --file, --env or --fd and is sealed; the old value stays as 'previous'.
    VALUE is for what is no secret, and for references: one in place of sealed values asks, for they are lost. A
    changed url, command or args asks whether sealed values may go there. With '*' for NAME it is the policy of
    entries that do not say it themselves: policy.max_age, policy.warn, policy.grace, owner, runbook.
    """
    ways = (value is not None, stdin, prompt, path is not None, variable is not None, descriptor is not None, unset)
    if sum(ways) != 1:
        raise UsageError("expected one of VALUE, --stdin, --prompt, --file, --env, --fd, --unset")
    if server == EVERY:
        _set_common(field, value, unset=unset, dry_run=dry_run, as_json=as_json)
        return
    from mcpvault.secret import Secret

    vault = app.open_for_change()
    held = get.flat(vault.file.table(server))
    leaves = field in _WHOSE_GRANT and not dry_run and _keeps_own_grant(vault, server)
    act: Callable[[Change], None]
    if unset:
        done, act = "removed", partial(_unset, server=server, field=field, held=held)
    elif value is not None:
        sealed = field in vault.file.sealed_fields(server)
        plain = _plain(server, field, value, sealed=sealed)
        done, act = "set", partial(_set_plain, server=server, field=field, value=plain)
        _check_scheme(field, Secret(value), held)
        _confirm_rebinding(vault, field, act, yes=yes, dry_run=dry_run)
        if sealed:
            with vault.change(dry_run=True) as trial:  # what cannot be is refused before anybody is asked
                act(trial)
            _confirm_loss(server, field, held[field], yes=yes, dry_run=dry_run)
    else:
        _check_sealable(server, field)
        # Read before anything is locked: somebody may be typing it.
        secret = secret_input.for_field(field, _secret(field, stdin, prompt, path, variable, descriptor))
        _check_scheme(field, secret, held)
        done, act = "sealed", partial(_seal, server=server, field=field, secret=secret)
    with vault.change(dry_run=dry_run) as change:
        act(change)
    if field == "args" and value is not None:
        secret_input.warn_of_arguments(server, change.tree["servers"][server]["args"])
    facts = {"server": server, "field": field, "done": done, "dry_run": dry_run}
    output.say(f"{'would be ' if dry_run else ''}{done} {server}.{field}", as_json=as_json, json=facts)
    if field in _OF_A_GRANT and not dry_run:
        _tell_unused(vault, server)
    if leaves and held.get(field) != get.flat(vault.file.table(server)).get(field):
        output.note(
            f"{server}: the grant that it had is not used any more, and lives on at its issuer; to give it back, set "
            f"{field} to {held.get(field, server)!r} again, and run: mcpvault logout {server}"
        )


def _keeps_own_grant(vault: Vault, server: str) -> bool:
    """Tell whether there is a grant that no other entry uses."""
    from mcpvault.entries import PRESENTED
    from vault_schema.fields import OAUTH_KINDS

    entry = vault.entry(server)
    others = {vault.entry(name).credential or name for name in vault.names() if name != server}
    if entry.auth.kind not in OAUTH_KINDS or (entry.credential or server) in others:
        return False
    with suppress(McpVaultError):  # it is not what was asked for
        return vault.authorization(server, without=PRESENTED).keeps_grant()
    return False


def _tell_unused(vault: Vault, server: str) -> None:
    """Say where the change has left a grant that the entry cannot use any more, and that lives on."""
    from mcpvault.entries import PRESENTED
    from vault_schema.fields import OAUTH_KINDS

    with suppress(McpVaultError):  # it is not what was asked for
        vault.file.reread()
        if vault.entry(server).auth.kind not in OAUTH_KINDS:
            return
        unused = vault.authorization(server, without=PRESENTED).unused()
        if unused is not None:
            output.note(
                f"{server}: its grant is for {unused}, and is not used any more; to give it back, run: "
                f"mcpvault logout {server}"
            )


def _set_common(field: str, value: str | None, *, unset: bool, dry_run: bool, as_json: bool) -> None:
    """Set what holds for every entry that does not say it itself."""
    from mcpvault.vault.stages import set_common_policy

    if field not in _COMMON or (value is None and not unset):
        raise UsageError(
            f"{field}: is nothing that holds for every entry", hint=did_you_mean(field, _COMMON) or ", ".join(_COMMON)
        )
    with app.open_for_change().change(dry_run=dry_run) as change:
        set_common_policy(change, _COMMON[field], value)
    done = "removed" if unset else "set"
    facts = {"server": EVERY, "field": field, "done": done, "dry_run": dry_run}
    output.say(f"{'would be ' if dry_run else ''}{done} {field} of every entry", as_json=as_json, json=facts)


def _check_sealable(server: str, field: str) -> None:
    from vault_schema import FIELDS, spec_for

    spec = spec_for(field)
    if spec is None or spec.bound_to is None:
        near = did_you_mean(field, [each.path for each in FIELDS if each.bound_to])
        raise UnknownFieldError(
            f"servers.{server}.{field}: is no field that can hold a sealed value",
            hint=near or f"run: mcpvault show {server}",
            server=server,
        )


def _secret(
    field: str, stdin: bool, prompt: bool, path: str | None, variable: str | None, descriptor: int | None
) -> Secret:
    if stdin:
        return secret_input.from_stdin(field)
    if prompt:
        return secret_input.from_prompt(field)
    if path is not None:
        return secret_input.from_file(path)
    if variable is not None:
        return secret_input.from_variable(variable)
    return secret_input.from_descriptor(descriptor or 0)


def _unset(change: Change, *, server: str, field: str, held: Mapping[str, object]) -> None:
    problem: UnknownFieldError | None = None
    try:
        change.unset(server, field)
    except UnknownFieldError as error:
        problem = error
    if problem is not None:
        raise UnknownFieldError(problem.message, hint=did_you_mean(field, held) or problem.hint, server=server)


def _set_plain(change: Change, *, server: str, field: str, value: object, rebind: bool = True) -> None:
    _give_kind(change, server, field)
    change.set_plain(server, field, value, rebind=rebind)


def _seal(change: Change, *, server: str, field: str, secret: Secret) -> None:
    _give_kind(change, server, field)
    change.set_secret(server, field, secret)


def _give_kind(change: Change, server: str, field: str) -> None:
    """Say what an entry without ``auth`` gets by *field*: ``auth.token`` makes it a bearer entry."""
    from vault_schema import spec_for

    spec = spec_for(field)
    if "auth" not in change.tree["servers"][server] and spec is not None and len(spec.kinds) == 1:
        change.set_plain(server, "auth.kind", spec.kinds[0])


def _confirm_rebinding(vault: Vault, field: str, act: Callable[..., None], *, yes: bool, dry_run: bool) -> None:
    """Ask whether sealed values may follow a changed url, command or args, if it comes to that."""
    from mcpvault.vault.change import BINDING_FIELDS

    if field not in BINDING_FIELDS:
        return
    problem: BindingMismatchError | None = None
    try:
        with vault.change(dry_run=True) as trial:
            act(trial, rebind=yes)
    except BindingMismatchError as error:
        problem = error
    if problem is None:
        return
    if dry_run:
        output.warn(problem.message)
    elif not app.on_terminal():
        raise problem
    else:
        app.confirm(f"{problem.message}. Let it go there", yes=yes)


def _confirm_loss(server: str, field: str, versions: Sequence[Mapping[str, str]], *, yes: bool, dry_run: bool) -> None:
    """Ask whether the sealed versions may go that a reference takes the place of."""
    lost = f"servers.{server}.{field}: what is sealed there ({', '.join(each['stage'] for each in versions)}) is lost"
    if dry_run:
        output.warn(lost)
    else:
        app.confirm(f"{lost}. Let the reference take its place", yes=yes)


def _check_scheme(field: str, token: Secret, held: Mapping[str, Any]) -> None:
    """Refuse a token that brings its scheme, here where it is typed and not when it is sent."""
    from mcpvault.credentials import check_scheme

    if field == "auth.token":
        check_scheme(token, held.get("auth.scheme", "Bearer"))


def _plain(server: str, field: str, text: str, *, sealed: bool) -> object:
    from mcpvault.credentials import check_header
    from mcpvault.vault.references import split
    from vault_schema import is_secret

    if "${" in text:
        split(text, where=f"servers.{server}.{field}")
    elif sealed or is_secret(field):
        raise UsageError(
            f"servers.{server}.{field}: is a secret, and words of a command are seen by others",
            hint=f"run: mcpvault set {server} {field} --stdin",
        )
    elif field.startswith("headers."):
        check_header(field.partition(".")[2], text)
    return typed(field, text)


def typed(field: str, text: str) -> object:
    """
    Return *text* as the type that the schema wants for *field*.

    Raises:
        UsageError: It is not of that type.
    """
    import json

    from vault_schema import spec_for

    spec = spec_for(field)
    if spec is None or spec.type == "text":
        return text
    if spec.type == "integer" and text.lstrip("-").isdigit():
        return int(text)
    if spec.type == "boolean" and text in ("true", "false"):
        return text == "true"
    if spec.type == "texts":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise UsageError(f"{field}: expected a JSON list of texts", hint="""such as '["--root", "/srv"]'""")
    raise UsageError(f"{field}: expected {'true or false' if spec.type == 'boolean' else 'a number'}, got {text!r}")
