"""``mcpvault stdio``: an entry of the vault as a stdio server, for any MCP client."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app
from mcpvault.errors import ConfigurationError, NotApprovedError, UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.entries import Concrete

EXAMPLE = """
Example, in the configuration of Claude Desktop, Cursor, Zed or any other client:

\b
  {"mcpServers": {"linear": {"command": "mcpvault", "args": ["stdio", "linear"]}}}
"""
_LONGEST = 64 * 1024 * 1024  # bytes of one line


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.timeout_option
@app.json_option
def command(server: str, timeout: float | None, as_json: bool) -> None:
    """
    Be the server NAME on stdin and stdout: requests go to its URL, with the vault's credential, and answers come back.

    Works with clients and servers of either era. What was asked before stdin ended is still answered. A missing grant
    is an error that names the command to run; no browser is ever opened. An entry with a command becomes that
    command, with its secrets in its environment.
    """
    vault = app.open_vault()
    entry = vault.resolve(server)
    if entry.kind == "stdio":
        _become(vault, entry)
    from mcpvault.interop.carrying import bridge_to

    seconds = timeout if timeout is not None else float(entry.timeout.total)
    with bridge_to(vault, entry, timeout=seconds, write=_write) as bridge:
        signal.signal(signal.SIGTERM, _leave)
        while line := sys.stdin.buffer.readline(_LONGEST + 1):
            if len(line) > _LONGEST:
                raise UsageError(f"stdin: a line is longer than {_LONGEST} bytes")
            bridge.take(line)
        bridge.finish()


def _write(message: bytes) -> None:
    sys.stdout.buffer.write(message + b"\n")
    sys.stdout.buffer.flush()


def _leave(*_: object) -> None:
    raise click.exceptions.Exit(0)


def _become(vault: Vault, entry: Concrete) -> None:
    from mcpvault.transports.environment import child_environment

    if not entry.approved:
        raise NotApprovedError(
            f"{entry.name}: its command was imported and has not been approved",
            hint=f"run: mcpvault approve {entry.name}",
            server=entry.name,
        )
    problem = ""
    try:
        if entry.cwd:
            os.chdir(entry.cwd)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        words = [entry.command, *entry.args]
        os.execvpe(entry.command, words, child_environment(vault.env, entry.env))  # noqa: S606  no shell
    except OSError as error:
        problem = (error.strerror or "cannot be run").lower()
    raise ConfigurationError(f"servers.{entry.name}.command: {entry.command}: {problem}", server=entry.name)
