"""``mcpvault tasks``: what a server went on with by itself, taken up by a later run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, offers, output
from mcpvault.cli.meanwhile import Meanwhile, quiet_options
from mcpvault.cli.render import one_line
from mcpvault.cli.saving import save_option
from mcpvault.errors import McpVaultError, ServerUnavailableError, UsageError

if TYPE_CHECKING:
    from mcpvault.mcp.session import Session
    from mcpvault.mcp.tasks import Task

EXAMPLE = """
Example:

\b
  mcpvault call reports build -a year=2026 --detach
  mcpvault tasks reports
  mcpvault tasks reports 9c1f2a7b
  mcpvault tasks reports 9c1f2a7b --no-wait || echo "not yet"
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("handle", required=False)
@click.option("--no-wait", is_flag=True, help="Exit 4 if it still goes on.")
@click.option("--cancel", "way", flag_value="cancel", help="Tell the server that its result is not wanted.")
@click.option("--forget", "way", flag_value="forget", help="Remember it no more; the server is not told.")
@app.dry_run_option
@save_option
@quiet_options
@app.timeout_option
@app.json_option
def command(
    server: str,
    handle: str | None,
    no_wait: bool,
    way: str | None,
    dry_run: bool,
    folder: str | None,
    quiet: bool,
    log_level: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """
    List the tasks of SERVER that this host remembers, or wait for HANDLE and print its result as call does.

    A task is remembered from "call --detach" until its end was seen, 90 days at most. Its id is sealed in the state
    of this host; the handle tells nobody anything.
    """
    if handle is None and (no_wait or way or folder):
        raise UsageError("which task? a handle is missing", hint=f"run: mcpvault tasks {server}")
    with (
        Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile,
        app.session(server, timeout, meanwhile.callbacks()) as session,
    ):
        if handle is None:
            _list(session, as_json=as_json)
            return
        task = _found(session, handle)
        if way is not None:
            _end(task, way, dry_run=dry_run, as_json=as_json)
            return
        if dry_run:
            output.say(f"would wait for {handle}", as_json=as_json, json={"would": "wait", "task": handle})
            return
        result = _result(task, wait=not no_wait, server=server)
    place = None
    if folder is not None:
        from mcpvault.cli.saving import Folder

        place = Folder(folder)
    offers.show_result(result, meanwhile, task.tool or "task", server, place=place, as_json=as_json)


def _list(session: Session, *, as_json: bool) -> None:
    tasks = session.tasks()
    rows = [(task.handle, one_line(task.tool or ""), _since(task), _status(task)) for task in tasks]
    names = ("task", "tool", "begun", "status")
    told = [dict(zip(names, row, strict=True)) for row in rows]
    output.table(rows, headings=names, as_json=as_json, json=told)


def _since(task: Task) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(task.created)) if task.created is not None else ""


def _status(task: Task) -> str:
    """Return how it stands, by the server; what the server says against that is no reason to stop."""
    try:
        return task.refresh().status
    except McpVaultError as error:
        return error.kind


def _found(session: Session, handle: str) -> Task:
    for task in session.tasks():
        if task.handle == handle:
            return task
    raise UsageError(
        f"{session.name}: no task {handle!r} is remembered here", hint=f"run: mcpvault tasks {session.name}"
    )


def _end(task: Task, way: str, *, dry_run: bool, as_json: bool) -> None:
    if not dry_run:
        (task.cancel if way == "cancel" else task.forget)()
    done = {"cancel": "cancelled", "forget": "forgotten"}[way]
    said = f"would {way} {task.handle}" if dry_run else f"{task.handle}: {done}"
    output.say(said, as_json=as_json, json={"would" if dry_run else "done": way, "task": task.handle})


def _result(task: Task, *, wait: bool, server: str) -> offers.Json:
    if not wait and not task.refresh().finished:
        raise ServerUnavailableError(
            f"{server}: task {task.handle}: still {task.status}", hint="try again later", server=server
        )
    return task.wait().raw
