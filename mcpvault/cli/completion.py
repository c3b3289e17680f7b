"""``mcpvault completion``: the completion script of a shell, click's own."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

_NAME = "mcpvault"
_VARIABLE = "_MCPVAULT_COMPLETE"  # the name under which click looks for it

EXAMPLE = """
Example, in the start-up file of the shell:

\b
  eval "$(mcpvault completion bash)"
  mcpvault completion fish > ~/.config/fish/completions/mcpvault.fish
"""


@click.command(epilog=EXAMPLE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@app.json_option
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script for SHELL: verbs, options and the vault's server names."""
    from click import shell_completion

    kinds = {
        "bash": shell_completion.BashComplete,
        "zsh": shell_completion.ZshComplete,
        "fish": shell_completion.FishComplete,
    }
    made = kinds[shell](ctx.find_root().command, {}, _NAME, _VARIABLE)
    # Not made.source(): for bash it would start bash to ask for its version.
    script = made.source_template % made.source_vars()
    output.say(script, as_json=as_json, json={"shell": shell, "script": script})
