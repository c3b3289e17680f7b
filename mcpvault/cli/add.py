"""``mcpvault add``: a server and its credential, in one change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, oauth_options, output, secret_input
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.secret import Secret

EXAMPLE = """
Example:

\b
  mcpvault add github https://api.githubcopilot.com/mcp/ --bearer-prompt
  mcpvault add github https://api.githubcopilot.com/mcp/ --bearer-env GITHUB_TOKEN
  mcpvault add linear https://mcp.linear.app/mcp --oauth
  mcpvault add linear --preset linear
  mcpvault add --preset list
  op read op://ops/api/key | mcpvault add api https://api.example.com/mcp --header-stdin X-API-Key
  mcpvault add files --env-stdin DB_PASSWORD -- npx -y some-server --root /srv
  mcpvault add billing https://b.example.com/mcp --client-credentials --client-id robot \\
    --issuer https://login.example.com --client-secret-stdin < secret.txt

Options that end in -env or -from store a reference, ${env:NAME}; the others seal the value.
"""


DASHES = "mcpvault.dashes"
_JSON = "mcpvault.json"


class TakesCommand(click.Command):
    """A verb that remembers whether its words had the ``--`` before COMMAND: ``api.example.com/mcp`` is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for ``--`` before click drops it."""
        ctx.meta[DASHES] = "--" in args
        ctx.meta[_JSON] = "--json" in args
        return super().parse_args(ctx, args)


_STATIC = ("bearer_env", "bearer_stdin", "bearer_prompt", "basic")
_CREDENTIALS = (*_STATIC, *oauth_options.KINDS)
_READERS = ("bearer_stdin", "header_stdin", "env_stdin", "basic", "client_secret_stdin")


def _list_presets(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Print the table and end, where ``list`` is asked for: no NAME is needed then."""
    if value != "list" or ctx.resilient_parsing:
        return value
    from mcpvault.cli.presets import PRESETS

    rows = [(name, *preset) for name, preset in PRESETS.items()]
    facts = [{"name": name, **preset._asdict()} for name, preset in PRESETS.items()]
    output.table(rows, headings=("preset", "url", "auth", "note"), as_json=ctx.meta[_JSON], json=facts)
    raise click.exceptions.Exit(0)


@click.command(cls=TakesCommand, epilog=EXAMPLE)
@click.argument("name", metavar="NAME", required=False)
@click.argument("target", nargs=-1, metavar="URL | -- COMMAND ARG…")
@click.option(
    "--preset",
    metavar="SERVER",
    is_eager=True,
    callback=_list_presets,
    help="A well-known server, instead of URL; or: list.",
)
@click.option("--bearer-env", metavar="VAR", help="The token is in this variable, wherever a script runs.")
@click.option("--bearer-stdin", is_flag=True, help="Read the token from stdin and seal it.")
@click.option("--bearer-prompt", is_flag=True, help="Ask for the token and seal it.")
@click.option("--basic", metavar="USER", help="HTTP Basic; the password is read from stdin, or asked for.")
@oauth_options.oauth_options
@click.option("--header", "headers", multiple=True, metavar="K=V", help="A header that is no secret.")
@click.option("--header-stdin", metavar="K", help="Read this header's value from stdin and seal it.")
@click.option("--header-env", multiple=True, metavar="K=VAR", help="This header's value is in a variable.")
@click.option("--env", "variables", multiple=True, metavar="K=V", help="A variable for COMMAND that is no secret.")
@click.option("--env-stdin", metavar="K", help="Read this variable's value from stdin and seal it.")
@click.option("--env-from", multiple=True, metavar="K=VAR", help="Pass a variable on to COMMAND.")
@click.option("--cwd", metavar="PATH", help="The folder COMMAND starts in.")
@click.option("--note", metavar="TEXT", help="Free text.")
@click.option("--owner", metavar="TEXT", help="Who answers for it.")
@click.option("--allow-http", is_flag=True, help="Plain http although it is not loopback.")
@app.dry_run_option
@app.json_option
def command(
    name: str | None, target: tuple[str, ...], preset: str | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Add the server NAME: the URL of its MCP endpoint, or the command that starts it."""
    if name is None:
        if preset is None:
            raise UsageError("expected a NAME", hint="mcpvault add NAME URL, or a well-known one: --preset list")
        name = preset
    if preset is not None or not target:
        target, options = _well_known(name, target, preset, options)
    entry, wanted = made(name, target, options, dashes=click.get_current_context().meta[DASHES])
    vault = app.open_vault()
    put(vault, name, entry, wanted, dry_run=dry_run)
    if entry.get("url", "").lower().startswith("http:") and not entry.get("allow_http"):
        _warn_of_http(entry["url"])
    secret_input.warn_of_arguments(name, entry.get("args", ()))
    auth = entry.get("auth", {})
    if "${cmd:" in str(auth.get("assertion")) and not vault.document.header.allow_commands:
        output.warn("this vault runs no commands: set allow_commands = true below [vault], then: mcpvault sign")
    login = f"mcpvault login {name}" if auth.get("kind") == "oauth" else None
    facts = {"server": name, "sealed": [*wanted], "dry_run": dry_run, "login_command": login}
    sealed = f" ({', '.join(wanted)} sealed)" if wanted else ""
    output.say(f"{'would add' if dry_run else 'added'} {name}{sealed}", as_json=as_json, json=facts)
    if login and not (as_json or dry_run):
        output.note(f"log in once: {login}")


def _well_known(
    name: str, target: tuple[str, ...], preset: str | None, options: dict[str, Any]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return URL and options for a server of the table."""
    from mcpvault.cli.presets import PRESETS
    from mcpvault.suggestion import did_you_mean

    if preset is None:
        hint = (
            f"mcpvault add {name} --preset {name}"
            if name in PRESETS
            else "a well-known one: mcpvault add --preset list"
        )
        raise UsageError("expected a URL, or -- and a command", hint=hint)
    if target:
        raise UsageError(f"unexpected {target[0]!r}: --preset has a URL")
    if preset not in PRESETS:
        raise UsageError(
            f"--preset: there is none for {preset!r}",
            hint=did_you_mean(preset, PRESETS) or "mcpvault add --preset list",
        )
    known = PRESETS[preset]
    if any(options[each] for each in _CREDENTIALS):
        return (known.url,), options
    if known.auth != "oauth":
        raise UsageError(f"--preset {preset}: no client can register itself there", hint=known.note)
    return (known.url,), {**options, "oauth": True}


def _warn_of_http(url: str) -> None:
    from urllib.parse import urlsplit

    from mcpvault.http.policy import is_loopback

    if not is_loopback(urlsplit(url).hostname or ""):
        output.warn(f"{url} is plain http: nothing is sent there unless the entry says allow_http = true")


def put(
    vault: Vault, name: str, entry: dict[str, Any], wanted: dict[str, Callable[[], Secret]], *, dry_run: bool
) -> None:
    """
    Add the entry and seal what *wanted* reads.

    A first pass writes nothing and seals a stand-in: it refuses what cannot be before anybody is asked,
    and no lock is held while somebody types.
    """
    from mcpvault.secret import Secret

    with vault.change(dry_run=True) as trial:
        trial.add_server(name, entry)
        for field in wanted:
            trial.set_secret(name, field, Secret("stand-in"))
    secrets = {field: read() for field, read in wanted.items()}
    if dry_run:
        return
    with vault.change() as change:
        change.add_server(name, entry)
        for field, secret in secrets.items():
            change.set_secret(name, field, secret)


def made(
    name: str, target: tuple[str, ...], options: Mapping[str, Any], *, dashes: bool
) -> tuple[dict[str, Any], dict[str, Callable[[], Secret]]]:
    """
    Return the entry's table, and how each of its secrets is read.

    Args:
        name: The entry, for hints.
        target: A URL, or the words of a command.
        options: The verb's.
        dashes: Whether ``--`` stood before the command.

    Raises:
        UsageError: The options do not go together.
    """
    from mcpvault.credentials import check_header
    from vault_schema import is_sensitive_name

    http = "://" in target[0]
    if http and len(target) > 1:
        raise UsageError(f"unexpected {target[1]!r} after the URL", hint="a server that is a command is given after --")
    if not http and not dashes:
        raise UsageError(
            f"{target[0]!r} is no URL", hint=f"write https://{target[0]}, or -- before the command that starts it"
        )
    entry: dict[str, Any] = {"url": target[0]} if http else {"command": target[0]}
    if not http and len(target) > 1:
        entry["args"] = list(target[1:])
    wanted: dict[str, Callable[[], Secret]] = {}
    wrong = ("variables", "env_stdin", "env_from", "cwd") if http else (
        *_STATIC, "headers", "header_stdin", "header_env", "allow_http", *oauth_options.NAMES
    )  # fmt: skip
    for option in wrong:
        if options[option] not in (None, False, ()):
            kind = "a command" if http else "a URL"
            raise UsageError(f"{oauth_options.flag(option).replace('variables', 'env')}: goes with {kind} only")
    for option in ("bearer_env", "basic", "header_stdin", "env_stdin"):
        if options[option] == "":
            raise UsageError(f"{oauth_options.flag(option)}: is empty")
    kinds = [option for option in _CREDENTIALS if options[option]]
    if len(kinds) > 1:
        raise UsageError(f"{oauth_options.flag(kinds[0])} and {oauth_options.flag(kinds[1])} exclude each other")
    granted = oauth_options.auth_of(options)
    table, plain, stdin, named = (
        ("headers", "headers", "header_stdin", "header_env") if http else ("env", "variables", "env_stdin", "env_from")
    )
    if options[stdin] and any(options[option] for option in _READERS if option != stdin):
        field = f"{table}.{options[stdin]}"
        raise UsageError(
            "stdin can be read for one secret only",
            hint=f"leave {oauth_options.flag(stdin)} out, then: mcpvault set {name} {quote(field)} --stdin",
        )
    held: dict[str, str] = {}
    for key, value in map(_pair, options[plain]):
        if is_sensitive_name(key) and "${" not in value:
            flag = "header" if http else "env"
            raise UsageError(
                f"--{flag} {key}=…: looks like a secret, and words of a command are seen by others",
                hint=f"give it on stdin: mcpvault add {name} … --{flag}-stdin {key}",
            )
        if http and "${" not in value:
            check_header(key, value)
        held[key] = value
    held |= {key: oauth_options.reference(variable) for key, variable in map(_pair, options[named])}
    if held:
        entry[table] = held
    if options["bearer_env"]:
        entry["auth"] = {"kind": "bearer", "token": oauth_options.reference(options["bearer_env"])}
    elif options["bearer_stdin"] or options["bearer_prompt"]:
        read = secret_input.from_prompt if options["bearer_prompt"] else secret_input.from_stdin
        entry["auth"] = {"kind": "bearer"}
        wanted["auth.token"] = lambda: secret_input.for_field("auth.token", read("Token"))
    elif options["basic"]:
        entry["auth"] = {"kind": "basic", "username": options["basic"]}
        wanted["auth.password"] = lambda: secret_input.for_field("auth.password", secret_input.from_stdin("Password"))
    elif granted is not None:
        entry["auth"], sealed = granted
        wanted |= sealed
    if options[stdin]:
        field = f"{table}.{options[stdin]}"
        wanted[field] = lambda: secret_input.for_field(field, secret_input.from_stdin(options[stdin]))
    for field in ("cwd", "note", "owner", "allow_http"):
        if options[field]:
            entry[field] = options[field]
    return entry, wanted


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError("expected NAME=VALUE", hint="such as X-API-Version=2026-01-01")
    return key, value
