"""``mcpvault probe``: what an unknown server wants, and the command that adds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output

if TYPE_CHECKING:
    from mcpvault.upkeep.probe import Report

EXAMPLE = """
Example:

\b
  mcpvault probe https://mcp.linear.app/mcp
"""


@click.command(epilog=EXAMPLE)
@click.argument("url", metavar="URL")
@click.option("--allow-http", is_flag=True, help="Plain http although it is not loopback.")
@app.timeout_option
@app.json_option
def command(url: str, allow_http: bool, timeout: float | None, as_json: bool) -> None:
    """
    Ask the MCP server at URL what it wants, without any credential, and say which command adds it.

    Needs no vault. Shown: its challenge, its metadata, scopes, grants, PKCE, and how a client gets registered.
    """
    from mcpvault.upkeep.probe import probe

    report = probe(url, env=os.environ, timeout=timeout or 30.0, allow_http=allow_http)
    output.say("\n".join(_lines(report)), as_json=as_json, json=report.told())


def _lines(report: Report) -> Iterator[str]:
    from mcpvault.quoting import quote

    yield f"{report.url}: {report.verdict}"
    for fact, value in report.facts.items():
        yield f"  {fact}: {quote(value)}"
    if report.problem is not None:
        yield f"  {report.problem}"
    yield ""
    yield from (f"  {command}" for command in report.commands)
