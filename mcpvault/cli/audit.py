"""``mcpvault audit``: what was done with the vault on this host, and whether the log of it is whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import Any

import click

from mcpvault.cli import app, output
from mcpvault.cli.durations import DURATION
from mcpvault.errors import AuditBrokenError

EXAMPLE = """
Example:

\b
  mcpvault audit show github --since 30d
  mcpvault audit show --event reveal --json
  mcpvault audit verify
"""
_NARROW = 90  # columns, below which five of them are no table any more
_KNOWN = frozenset("n t ev ok why server field host uid pid prog serial fp log prev mac servers fields vault".split())


@click.group(epilog=EXAMPLE)
def command() -> None:
    """
    Read the audit log: who unlocked, resolved, refreshed, revealed, changed, and how it ended.

    Each host writes its own, in the state folder; no line holds a secret. To let nothing be done that cannot be
    written down, set audit = "required" below [vault], then: mcpvault sign.
    """


@command.command("show", epilog=EXAMPLE)
@click.argument("server", required=False, metavar="[NAME]", shell_complete=app.complete_server)
@click.option("--since", type=DURATION, metavar="30d", help="Only what happened within this time.")
@click.option("--event", "wanted", multiple=True, metavar="EVENT", help="Only these: refresh, reveal, change, …")
@click.option("--failed", is_flag=True, help="Only what was not done.")
@click.option("--fingerprint", metavar="HEX", help="Only what opened this secret (mcpvault history).")
@app.json_option
def show(
    server: str | None,
    since: float | None,
    wanted: tuple[str, ...],
    failed: bool,
    fingerprint: str | None,
    as_json: bool,
) -> None:
    """Show what the log says about NAME, or about everything, oldest first. Needs no key, and verifies nothing."""
    from mcpvault.upkeep.audit_trail import events

    begins = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - since)) if since is not None else ""
    found = [
        event
        for event in events(app.state_at_hand())
        if str(event.get("t")) >= begins
        and (server is None or server in (event.get("server"), *_list(event.get("servers"))))
        and (not wanted or event["ev"] in wanted)
        and not (failed and event.get("ok"))
        and (fingerprint is None or fingerprint in _values(event.get("fp")))
    ]
    rows = [_row(event) for event in found]
    if not as_json and sys.stdout.isatty() and (columns := get_terminal_size().columns) < _NARROW:
        output.raw("\n".join(_by_process(rows, columns)))
        return
    headings = ("time", "event", "server", "who", "what")
    output.table(rows, headings=headings, as_json=as_json, json=[dict(event) for event in found])


@command.command("verify", epilog=EXAMPLE)
@app.json_option
def verify(as_json: bool) -> None:
    """
    Check that no line was changed, moved, put in or taken away; 6 if one was.

    It cannot be seen here that log and anchors were removed, or put back together as they were before, and whoever
    holds the vault's key as well can write another log: ship the lines elsewhere (journald, syslog) where that matters.
    To begin a new log, move audit* and anchor.audit away, then: mcpvault trust --accept.
    """
    from mcpvault.audit_keys import LogKeys
    from mcpvault.upkeep.audit_trail import verified

    vault = app.open_vault()
    verdict = verified(vault.state, LogKeys(vault.state, vault.file))
    facts = {**verdict.fields(), "faults": [each.fields() for each in verdict.faults]}
    if verdict.faults:
        if as_json:
            output.json(facts)
        else:
            output.raw("\n".join(map(str, verdict.faults)))
        raise AuditBrokenError(
            f"the audit log of this host is not whole: {verdict.faults[0]}",
            hint=f"keep a copy of {vault.state.path}, and find out who could write there",
        )
    whole = f"whole: {verdict.lines} lines since {verdict.since}, {verdict.signed} signed with this vault's keys"
    if verdict.covered_from > 1:
        whole += f"; not covered before line {verdict.covered_from}: by an earlier version, or under a key that is gone"
    output.say(whole if verdict.lines else "nothing was written down yet", as_json=as_json, json=facts)


def _row(event: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    name = event.get("server") or " ".join(_list(event.get("servers")))
    if field := event.get("field"):
        name = f"{name}.{field}"
    who = f"{event.get('prog')} of uid {event.get('uid')} on {event.get('host')}, pid {event.get('pid')}"
    more = [f"{key} {value}" for key, value in event.items() if key not in _KNOWN]
    changed = [(name, ", ".join(_list(fields))) for name, fields in _pairs(event.get("fields"))]
    more += [each if len(changed) == 1 else f"{name}: {each}" for name, each in changed]
    more += [f"[vault] {', '.join(common)}"] if (common := _list(event.get("vault"))) else []
    prints = [f"{path} {value}" for path, value in _items(event.get("fp"))]
    why = [] if event.get("ok") else [f"not done: {event.get('why', 'unknown')}"]
    return str(event.get("t")), str(event["ev"]), str(name), who, "; ".join([*why, *more, *prints])


def _by_process(rows: Sequence[tuple[str, str, str, str, str]], columns: int) -> Iterator[str]:
    """Yield lines for a narrow terminal: each process once, below it what it did, nothing broken within a word."""
    before = ""
    for moment, event, name, who, what in rows:
        if who != before:
            yield who
            before = who
        told = " ".join(filter(None, (moment, event, name, what)))
        wrapper = TextWrapper(columns, initial_indent="  ", subsequent_indent="      ", break_long_words=False)
        wrapper.break_on_hyphens = False  # a moment is there to be copied
        yield wrapper.fill(told)


def _list(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _pairs(value: object) -> list[tuple[str, object]]:
    return [(str(key), held) for key, held in value.items()] if isinstance(value, dict) else []


def _items(value: object) -> list[tuple[str, str]]:
    return [(key, str(held)) for key, held in _pairs(value)]


def _values(value: object) -> list[str]:
    return [held for _, held in _items(value)]
