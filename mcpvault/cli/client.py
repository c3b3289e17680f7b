"""
``mcpvault client``: the seed's verbs, on an active server that is remembered.

Decides which server is meant. ``connect`` and ``disconnect`` are ``add`` and ``remove``, and
need an admin; everything else does what the verb of that name does. Scripts are better off
naming their server: the active one is whatever somebody chose last.
"""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, offers, output, secret_input
from mcpvault.cli.add import DASHES, TakesCommand, made, put
from mcpvault.cli.meanwhile import Meanwhile, quiet_options
from mcpvault.cli.saving import save_option
from mcpvault.errors import ConfigurationError, UsageError
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.mcp.callbacks import Callbacks
    from mcpvault.mcp.session import Session

EXAMPLE = """
Example:

\b
  mcpvault client connect https://mcp.linear.app/mcp --name linear --auth -
  mcpvault client tools list
  mcpvault client tools call create_issue '{"title": "Rotate the keys"}'
  mcpvault client disconnect linear
"""

session_option = click.option("--session", "named", metavar="NAME", help="Ask this server instead of the active one.")


@contextmanager
def active_session(named: str | None, timeout: float | None, callbacks: Callbacks | None = None) -> Iterator[Session]:
    """Open a session with the server *named*, or with the active one."""
    vault = app.open_vault()
    with vault.session(named or _active(vault), timeout=timeout, callbacks=callbacks) as session:
        yield session


def _active(vault: Vault) -> str:
    from mcpvault.state.active import active_server

    name = active_server(vault.state)
    if name is None or name not in vault.names():
        raise ConfigurationError(
            "there is no active server", hint="run: mcpvault client sessions switch NAME, or give --session NAME"
        )
    return name


@click.group(epilog=EXAMPLE)
def command() -> None:
    """Connect, list and call on an active server that is remembered."""


@command.command(cls=TakesCommand)
@click.argument("target", nargs=-1, metavar="URL | -- COMMAND ARG…")
@click.option("--name", required=True, metavar="NAME", help="The entry's name in the vault.")
@click.option("--auth", metavar="TOKEN", help="A bearer token; - reads it from stdin, where nobody else can see it.")
@click.option("--header", "headers", multiple=True, metavar="K=V", help="A header that is no secret. May be repeated.")
@click.option("--stdio", metavar="COMMAND", help="A command to start, as one text.")
@app.dry_run_option
@app.json_option
def connect(
    target: tuple[str, ...],
    name: str,
    auth: str | None,
    headers: tuple[str, ...],
    stdio: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a server to the vault and make it the active one."""
    from mcpvault.state.active import activate

    if bool(target) is (stdio is not None):
        raise UsageError("expected one of: a URL, --stdio COMMAND, or -- COMMAND ARG…")
    words = target or _words(stdio or "")
    dashes = stdio is not None or bool(click.get_current_context().meta[DASHES])
    entry, wanted = made(name, words, defaultdict(tuple, headers=headers), dashes=dashes)
    if auth is not None:
        if "url" not in entry:
            raise UsageError(
                "--auth is for a URL", hint=f"a command gets a secret by: mcpvault set {name} env.VARIABLE --stdin"
            )
        entry["auth"] = {"kind": "bearer"}
        wanted["auth.token"] = partial(_token, auth)
    vault = app.open_vault()
    put(vault, name, entry, wanted, dry_run=dry_run)
    secret_input.warn_of_arguments(name, entry.get("args", ()))
    if not dry_run:
        activate(vault.state, name)
    output.say(
        f"would add {name!r}" if dry_run else f"added {name!r}, the active server from now on",
        as_json=as_json,
        json={"name": name, "active": not dry_run, "dry_run": dry_run},
    )


def _words(text: str) -> tuple[str, ...]:
    problem = "empty"
    try:
        if words := shlex.split(text):
            return tuple(words)
    except ValueError as error:
        problem = str(error).lower()
    raise UsageError(f"--stdio: {problem}")


def _token(auth: str) -> Secret:
    if auth == "-":
        return secret_input.for_field("auth.token", secret_input.from_stdin("token"))
    if not auth:
        raise UsageError("--auth: is empty", hint="give the token on stdin: --auth -")
    output.warn(
        "a token on the command line is visible in the process list and stays in the shell's history;"
        " use --auth - and replace this token"
    )
    return secret_input.for_field("auth.token", Secret(auth))


@command.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Remove every server of the vault.")
@app.yes_option
@app.dry_run_option
@app.json_option
def disconnect(name: str | None, everything: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove a server, or --all of them, from the vault with all secrets, and log out of it."""
    from mcpvault.cli.remove import take_out, told
    from mcpvault.state.active import activate, active_server

    if bool(name) is everything:
        raise UsageError("expected NAME or --all")
    vault = app.open_for_change()
    names = list(vault.names()) if everything else [str(name)]
    if everything and not dry_run:
        app.confirm(f"remove all {len(names)} servers and their secrets", yes=yes)
    tokens = take_out(vault, names, dry_run=dry_run)
    if not dry_run and active_server(vault.state) in names:
        activate(vault.state, None)
    done = "would remove" if dry_run else "removed"
    output.say(
        "\n".join([*(f"{done} {each!r}" for each in names), *told(tokens)]),
        as_json=as_json,
        json={"removed": names, "dry_run": dry_run, "tokens": tokens},
    )


@command.group()
def tools() -> None:
    """List, describe and call the active server's tools."""


@tools.command("list")
@session_option
@app.timeout_option
@app.json_option
def list_tools(named: str | None, timeout: float | None, as_json: bool) -> None:
    """List the tools."""
    with active_session(named, timeout) as session:
        offers.show_tools(session, None, as_json=as_json)


@tools.command("describe")
@click.argument("tool")
@session_option
@app.timeout_option
@app.json_option
def describe_tool(tool: str, named: str | None, timeout: float | None, as_json: bool) -> None:
    """Describe one tool and its arguments."""
    with active_session(named, timeout) as session:
        offers.show_tools(session, tool, as_json=as_json)


@tools.command("call")
@click.argument("tool")
@click.argument("arguments", required=False, metavar="[JSON|@FILE|-]")
@offers.pairs_option
@save_option
@quiet_options
@session_option
@app.timeout_option
@app.json_option
def call_tool(
    tool: str,
    arguments: str | None,
    pairs: tuple[str, ...],
    folder: str | None,
    quiet: bool,
    log_level: str | None,
    named: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Call a tool."""
    with Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile:
        opening = active_session(named, timeout, meanwhile.callbacks())
        offers.call_tool(opening, meanwhile, tool, arguments, pairs, folder=folder, as_json=as_json)


@command.group()
def resources() -> None:
    """List and read the active server's resources."""


@resources.command("list")
@session_option
@app.timeout_option
@app.json_option
def list_resources(named: str | None, timeout: float | None, as_json: bool) -> None:
    """List the resources and templates."""
    with active_session(named, timeout) as session:
        offers.show_resources(session, None, as_json=as_json)


@resources.command("read")
@click.argument("uri")
@session_option
@app.timeout_option
@app.json_option
def read_resource(uri: str, named: str | None, timeout: float | None, as_json: bool) -> None:
    """Write the contents of one resource to stdout."""
    with active_session(named, timeout) as session:
        offers.show_resources(session, uri, as_json=as_json)


@command.group()
def prompts() -> None:
    """List and fill the active server's prompts."""


@prompts.command("list")
@session_option
@app.timeout_option
@app.json_option
def list_prompts(named: str | None, timeout: float | None, as_json: bool) -> None:
    """List the prompts."""
    with active_session(named, timeout) as session:
        offers.show_prompts(session, None, None, (), as_json=as_json)


@prompts.command("get")
@click.argument("prompt")
@click.argument("arguments", required=False, metavar="[JSON|@FILE|-]")
@offers.pairs_option
@session_option
@app.timeout_option
@app.json_option
def get_prompt(
    prompt: str,
    arguments: str | None,
    pairs: tuple[str, ...],
    named: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Print a prompt filled with its arguments."""
    with active_session(named, timeout) as session:
        offers.show_prompts(session, prompt, arguments, pairs, as_json=as_json)


@command.group()
def sessions() -> None:
    """Show and choose the active server."""


@sessions.command("list")
@app.json_option
def list_sessions(as_json: bool) -> None:
    """List the vault's servers; an asterisk marks the active one. Unlocks nothing."""
    from mcpvault.host_state import state_of
    from mcpvault.places import locate
    from mcpvault.state.active import active_server

    document = app.peek()
    active = active_server(state_of(locate(os.environ, app.vault_path()), document))
    rows = [
        {"name": name, "active": name == active, "address": entry.url or shlex.join([entry.command or "", *entry.args])}
        for name in document.server_names
        for entry in [document.server(name)]
    ]
    shown = [(f"{'*' if row['active'] else ' '} {row['name']}", str(row["address"])) for row in rows]
    output.table(shown, headings=("  server", "address"), as_json=as_json, json=rows)


@sessions.command("switch")
@click.argument("name", metavar="NAME", shell_complete=app.complete_server)
@app.dry_run_option
@app.json_option
def switch_session(name: str, dry_run: bool, as_json: bool) -> None:
    """Make NAME the active server."""
    from mcpvault.state.active import activate

    vault = app.open_vault()
    vault.entry(name)
    if not dry_run:
        activate(vault.state, name)
    done = f"{name!r} {'would be' if dry_run else 'is'} the active server"
    output.say(done, as_json=as_json, json={"name": name, "active": not dry_run, "dry_run": dry_run})
