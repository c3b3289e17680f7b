"""``mcpvault listen``: what changes at a server, as it changes, a line each."""

from __future__ import annotations

import itertools
import json

import click

from mcpvault.cli import app, output, report
from mcpvault.cli.render import one_line
from mcpvault.errors import ServerError
from mcpvault.quoting import quote

EXAMPLE = """
Example:

\b
  mcpvault listen docs
  mcpvault listen docs file:///handbook.md --count 1 && make handbook
  mcpvault listen docs --tools --json | while read -r change; do …; done
"""
_SAID = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("uris", nargs=-1, metavar="[URI]...")
@click.option("--tools", is_flag=True, help="The list of tools.")
@click.option("--prompts", is_flag=True, help="The list of prompts.")
@click.option("--resources", is_flag=True, help="The list of resources.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N changes.")
@app.timeout_option
@app.json_option
def command(
    server: str,
    uris: tuple[str, ...],
    tools: bool,
    prompts: bool,
    resources: bool,
    count: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """
    Print a line for each change at SERVER: of these resources and of the lists that are named, else of all lists.

    It goes on until the server ends it, --timeout is over, --count is reached, or Ctrl-C. After a connection that
    broke, whatever was listened for is told as "missed": nobody knows whether it changed. What the server does not tell
    of is a warning, and where that is everything exit 5. --json prints JSON Lines.
    """
    everything = not (uris or tools or prompts or resources)
    with (
        app.session(server, None) as session,
        session.listen(
            *uris,
            tools=tools or everything,
            prompts=prompts or everything,
            resources=resources or everything,
            timeout=timeout,
        ) as changes,
    ):
        if declined := changes.declined:
            what = f"{server}: the server does not tell of changes of {', '.join(map(quote, declined))}"
            if len(declined) == len(uris) + (3 if everything else tools + prompts + resources):
                raise ServerError(what, server=server)
            report.warn(what)
        for change in itertools.islice(changes, count):
            what = change.uri or _SAID.get(change.method, change.method)
            if as_json:
                line = json.dumps({"changed": what, "missed": change.missed}, ensure_ascii=False)
            else:
                line = one_line(what) + ("\tmissed" if change.missed else "")
            output.line(line)
