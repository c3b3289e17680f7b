"""``mcpvault complete``: what an argument of a prompt or a resource template may become."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers, output, render
from mcpvault.cli import arguments as typed
from mcpvault.errors import UsageError

EXAMPLE = """
Example:

\b
  mcpvault complete docs --prompt summarise topic ke
  mcpvault complete docs --resource 'file:///{folder}/{name}' name re -a folder=notes
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("argument")
@click.argument("value", required=False, default="")
@click.option("--prompt", metavar="PROMPT", help="The prompt that has the argument.")
@click.option("--resource", metavar="TEMPLATE", help="The template that has the variable.")
@offers.pairs_option
@app.timeout_option
@app.json_option
def command(
    server: str,
    argument: str,
    value: str,
    prompt: str | None,
    resource: str | None,
    pairs: tuple[str, ...],
    timeout: float | None,
    as_json: bool,
) -> None:
    """
    Print what VALUE, as far as it is typed, may become as ARGUMENT of a prompt or template of SERVER.

    -a gives the arguments that are filled in already; the server may suggest by them.
    """
    if (prompt is None) is (resource is None):
        raise UsageError("expected one of --prompt and --resource")
    context = {key: offers.as_text(held) for key, held in typed.add_pairs({}, pairs, None).items()}
    with app.session(server, timeout) as session:
        found = session.complete(argument, value, prompt=prompt, resource=resource, context=context)
    output.table([(render.one_line(each),) for each in found.values], as_json=as_json, json=found.raw)
    left = (found.total or 0) - len(found.values)
    if (left > 0 or found.has_more) and not as_json:
        output.note(f"and {left} more" if left > 0 else "and more")
