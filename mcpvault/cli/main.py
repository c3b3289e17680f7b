"""
The command ``mcpvault``: a lazy group over a static table.

``--help`` reads the table and imports no verb; a test compares the table with the modules.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import click

from mcpvault._version import VERSION
from mcpvault.cli import report

VERBS: dict[str, tuple[str, str]] = {
    "init": ("mcpvault.cli.init", "Make a new vault and its first key."),
    "add": ("mcpvault.cli.add", "Add a server and its credential."),
    "set": ("mcpvault.cli.set_", "Set a field of a server, secrets included."),
    "get": ("mcpvault.cli.get", "Show a server's fields, secrets sealed."),
    "list": ("mcpvault.cli.list_", "List the servers; needs no key."),
    "show": ("mcpvault.cli.show", "Show a server as the file says it; needs no key."),
    "history": ("mcpvault.cli.history", "Show the versions of a server's secrets."),
    "edit": ("mcpvault.cli.edit", "Edit the vault with placeholders for secrets."),
    "remove": ("mcpvault.cli.remove", "Remove servers and their secrets."),
    "sign": ("mcpvault.cli.sign", "Look at a hand edit and sign it."),
    "trust": ("mcpvault.cli.trust", "Tell this host which vault to believe."),
    "approve": ("mcpvault.cli.approve", "Look at an imported command and allow it."),
    "slots": ("mcpvault.cli.slots", "The keys that open the vault."),
    "rekey": ("mcpvault.cli.rekey", "Give the vault a new key."),
    "git": ("mcpvault.cli.git", "Let git show and merge the vault."),
    "migrate": ("mcpvault.cli.migrate", "Bring the vault to the newest format."),
    "login": ("mcpvault.cli.login", "Log in to a server that wants OAuth."),
    "logout": ("mcpvault.cli.logout", "Give a grant back and forget its tokens."),
    "status": ("mcpvault.cli.status", "Say how the credentials stand; needs no key."),
    "refresh": ("mcpvault.cli.refresh", "Replace access tokens before they expire."),
    "rotate": ("mcpvault.cli.rotate", "Replace a secret: try, promote, end the old one."),
    "rollback": ("mcpvault.cli.rollback", "Bring a server's previous secret back into use."),
    "due": ("mcpvault.cli.due", "Say which secrets are due; needs no key."),
    "forecast": ("mcpvault.cli.forecast", "Say which logins and rotations people owe, and when."),
    "tools": ("mcpvault.cli.tools", "List a server's tools, or describe one."),
    "resources": ("mcpvault.cli.resources", "List a server's resources, or read one."),
    "prompts": ("mcpvault.cli.prompts", "List a server's prompts, or fill one in."),
    "complete": ("mcpvault.cli.complete", "Say what an argument of a prompt may become."),
    "call": ("mcpvault.cli.call", "Call a tool once."),
    "listen": ("mcpvault.cli.listen", "Print what changes at a server, as it changes."),
    "tasks": ("mcpvault.cli.tasks", "Take up what a server went on with by itself."),
    "run": ("mcpvault.cli.run", "Run a program with secrets in its environment."),
    "stdio": ("mcpvault.cli.stdio", "Be a stdio server for another MCP client."),
    "headers": ("mcpvault.cli.headers", "Print a server's headers for another client."),
    "token": ("mcpvault.cli.token", "Print a credential for another program."),
    "inject": ("mcpvault.cli.inject", "Fill the vault's references into a text."),
    "audit": ("mcpvault.cli.audit", "Show what was done, and whether the log is whole."),
    "scan": ("mcpvault.cli.scan", "Find the vault's secrets where they should not be."),
    "shell": ("mcpvault.cli.shell", "Talk to a server line by line."),
    "client": ("mcpvault.cli.client", "Work on an active server that is remembered."),
    "import": ("mcpvault.cli.import_", "Take servers over from another client's file."),
    "explain": ("mcpvault.cli.explain", "Say what a call would do now, and send nothing."),
    "export": ("mcpvault.cli.export", "Write servers as another client's file, without secrets."),
    "probe": ("mcpvault.cli.probe", "Say what an unknown server wants."),
    "doctor": ("mcpvault.cli.doctor", "Say what is wrong, and what to do about each."),
    "demo": ("mcpvault.cli.demo", "Show the main job on loopback, for real."),
    "exit-codes": ("mcpvault.cli.exit_codes", "Print what the exit codes mean."),
    "completion": ("mcpvault.cli.completion", "Print completion code for a shell."),
}

EPILOG = """
Example:

\b
  mcpvault init
  mcpvault add github https://api.githubcopilot.com/mcp/ --bearer-prompt
  mcpvault tools github
  mcpvault call github get_me

Options follow the verb. Exit codes are stable: mcpvault exit-codes.
"""


class LazyGroup(click.Group):
    """A group that imports a verb when it is run or asked for help, and no sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb *cmd_name*."""
        if cmd_name not in VERBS:
            return None
        from importlib import import_module

        command: click.Command = import_module(VERBS[cmd_name][0]).command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; where there is none, offer the nearest one."""
        if args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from mcpvault.errors import UsageError
            from mcpvault.suggestion import did_you_mean

            raise UsageError(
                f"there is no verb {args[0]!r}", hint=did_you_mean(args[0], VERBS) or "run: mcpvault --help"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "--version", prog_name="mcpvault", message="%(prog)s %(version)s")
def group() -> None:
    """One encrypted file names every MCP server that you use and holds the credentials for it."""


def _open_closed_streams() -> None:
    """Give a stream that the caller closed the null device: no file opened later may take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))  # noqa: PTH123, SIM115  for good


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit code.

    Args:
        arguments: The words after the program's name; by default the process's.
    """
    gc.set_threshold(50_000)  # a short process: collecting while it imports costs more than it frees
    _open_closed_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)

    def act() -> int:
        return report.run(lambda: group.main(words, prog_name="mcpvault", standalone_mode=False), words)

    if words and words[0] in VERBS:
        from mcpvault.cli.termination import in_order

        code = in_order(act)
    else:
        code = act()
    if arguments is None:
        gc.freeze()  # the process ends: what it leaves behind need not be looked through for cycles
    return code
