"""``mcpvault status``: how each credential stands, from the files alone; with ``--probe`` the servers are asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, output, standing
from mcpvault.errors import McpVaultError, UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.mcp.session import Session
    from mcpvault.upkeep.standing import Standing

EXAMPLE = """
Example:

\b
  mcpvault status
  mcpvault status linear --json
  mcpvault status --probe
  mcpvault status --prometheus /var/lib/node_exporter/mcpvault-status.prom
"""
_TOLD = ("issuer", "resource", "client_id", "scope", "credential")


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option(
    "--probe", is_flag=True, help="Ask each server, which needs the key; the exit code is the worst answer's."
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, metavar="SECONDS",
    help="For each server that is asked.",
)  # fmt: skip
@click.option("--prometheus", "path", metavar="PATH", help="Write a textfile for node_exporter; - is stdout.")
@app.json_option
def command(names: tuple[str, ...], probe: bool, timeout: float, path: str | None, as_json: bool) -> None:
    """
    Say how the credentials of NAMEs, or of all servers, stand: state, expiry, last trouble, when a human is needed.

    Without --probe nothing is sent, no key is needed and nothing is verified. States: static, pending_auth,
    authenticating (a login is going on), ready, expired, refreshing, ambiguous, dead; unused (a machine's token, not
    asked for yet), not_kept, unreadable. In JSON, "session" is the state that a session begins with: discovering,
    pending_auth, authenticating, ready, failed.
    """
    if path is not None and (probe or as_json):
        raise UsageError("--prometheus stands without --probe and --json")
    failures: dict[str, McpVaultError] = {}
    asked: dict[str, dict[str, Any]] = {}
    if probe:
        vault = app.open_vault()
        for name in names or vault.names():
            asked[name] = _answer(vault, name, timeout, failures)
    found = _standings(names)
    if path is not None:
        from mcpvault.upkeep.exposition import status_metrics

        output.textfile(path, status_metrics(found, time.time()))
    elif as_json:
        output.json([_told(each, asked.get(each.server)) for each in found])
    elif names:
        output.raw("\n\n".join("\n".join(_block(each, asked.get(each.server))) for each in found))
    else:
        headings = ("name", "auth", "state", "access token", "notes")
        output.table([_row(each, asked.get(each.server)) for each in found], headings=headings)
    if failures:
        raise standing.worst([*failures.values()])


def _told(each: Standing, asked: dict[str, Any] | None) -> dict[str, Any]:
    if asked is None:
        return each.fields() | {"session": each.session}
    return each.fields() | {"session": asked.get("session", each.session), "probe": asked}


def _standings(names: Sequence[str]) -> list[Standing]:
    from mcpvault.upkeep.standing import standing as stands
    from mcpvault.vault.documents import entry_of

    document = app.peek()
    for name in names:
        entry_of(document, name)
    state = app.state_at_hand()
    return [stands(document, name, state, time.time()) for name in names or document.server_names]


def _answer(vault: Vault, name: str, timeout: float, failures: dict[str, McpVaultError]) -> dict[str, Any]:
    """Ask the server what it is, as any call would; nobody is ever asked to log in for that."""
    entry = vault.entry(name)
    if entry.kind != "http" or entry.auth.kind == "custom":
        return {"asked": False}
    session: Session | None = None
    try:
        with vault.session(name, timeout=timeout, interactive="never") as session:
            session.discover()
            told: dict[str, Any] = {"asked": True, "ok": True, "protocol": session.protocol_version}
    except McpVaultError as error:
        failures[name] = error
        told = {"asked": True, "ok": False, "kind": error.kind, "code": error.exit_code, "message": error.message}
    return {**told, "session": session.state.value if session is not None else "failed"}


def _row(each: Standing, asked: dict[str, Any] | None) -> tuple[str, ...]:
    notes = [*([_said(asked)] if asked else []), *each.notes, *([each.hint] if each.hint else [])]
    return each.server, each.auth, each.state, _left(each), "; ".join(notes)


def _block(each: Standing, asked: dict[str, Any] | None) -> list[str]:
    lines = [f"{each.server}: {each.state} ({each.auth})"]
    if left := _left(each):
        lasting = each.refreshable and each.state != "dead" and each.other_host is None
        lines.append(f"  access token: {left}{', refreshes itself' if lasting else ''}")
    lines += [f"  {name}: {value}" for name in _TOLD if (value := getattr(each, name))]
    if each.requested_scope and {*each.requested_scope.split()} != {*(each.scope or "").split()}:
        lines.append(f"  asked for: {each.requested_scope}")
    remarks = [*each.notes, *([each.hint] if each.hint else []), *([_said(asked)] if asked else [])]
    return [*lines, *(f"  {remark}" for remark in remarks)]


def _left(each: Standing) -> str:
    if each.generation is None:
        return ""
    if each.expires_at is None:
        return "good until refused"
    left = each.expires_at - time.time()
    return f"good for {standing.span(left)}" if left > 0 else f"ended {standing.span(-left)} ago"


def _said(asked: dict[str, Any]) -> str:
    if not asked["asked"]:
        return "was not asked"
    return f"answers (MCP {asked['protocol']})" if asked["ok"] else str(asked["message"])
