"""
``doctor --headless``: the examination as a cron job would make it, and what would differ from this shell.

The job is a process of its own, without a terminal, with the four variables that cron sets. Decides which of this
shell's variables a job would miss; no value of any is told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcpvault.upkeep.findings import Finding, fail, ok, warn
from mcpvault.vault.references import references_in

if TYPE_CHECKING:
    from vault_schema import Document

PATH = "/usr/bin:/bin"
# What mcpvault itself reads, beside what entries refer to.
_READ = ("MCPVAULT_", "XDG_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "DBUS_SESSION_BUS_ADDRESS")
_READ_TOO = frozenset({"CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"})


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return what cron gives a job of the user whose shell has *env* (crontab(5))."""
    home = env.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  a text is wanted, also where it cannot be told
    name = env.get("LOGNAME") or env.get("USER") or _login() or ""
    return {"HOME": home, "LOGNAME": name, "SHELL": "/bin/sh", "PATH": PATH}


def _login() -> str | None:
    record = _account()
    return record[0] if record else None


def _account() -> tuple[str, str] | None:
    """Return name and home of this user as the system knows them."""
    try:
        import pwd

        record = pwd.getpwuid(os.geteuid())
    except (ImportError, KeyError):
        return None
    return record.pw_name, record.pw_dir


def job(words: Sequence[str], env: Mapping[str, str]) -> list[Finding]:
    """
    Return what ``mcpvault doctor`` finds in a job.

    Args:
        words: Names and options.
        env: This shell's environment.
    """
    made = environment(env)
    command = [sys.executable, "-P", "-m", "mcpvault", "doctor", "--json", *words]
    done = subprocess.run(
        command, env=made, cwd=made["HOME"] if Path(made["HOME"]).is_dir() else "/", stdin=subprocess.DEVNULL,
        capture_output=True, start_new_session=True, check=False,
    )  # fmt: skip
    try:
        told = json.loads(done.stdout)
        return [Finding(**each) for each in told["findings"]]
    except (ValueError, KeyError, TypeError):
        pass
    hint = f"run: env -i HOME={made['HOME']} PATH={PATH} {sys.executable} -m mcpvault doctor"
    return [fail("headless", f"mcpvault: ended with {done.returncode} in a job, and said nothing", hint, code=1)]


def differences(
    env: Mapping[str, str], document: Document | None, here: Iterable[Finding], there: Iterable[Finding]
) -> Iterator[Finding]:
    """
    Yield what a job would miss of this shell, and what is worse there.

    Args:
        env: This shell's environment.
        document: The vault, if it can be read.
        here: What is found in this shell.
        there: What is found in the job.
    """
    told = [*_surroundings(env, document), *_worse(here, there)]
    yield from told or [ok("headless.same", "a job finds what this shell finds")]


def _surroundings(env: Mapping[str, str], document: Document | None) -> Iterator[Finding]:
    made = environment(env)
    missing = sorted(name for name in env if name not in made and env[name] and _matters(name, document))
    if missing:
        what = f"environment: set in this shell and not in a job: {', '.join(missing)}"
        yield warn("headless.environment", what, "set what the job needs in the crontab, or in the unit: Environment=")
    account = _account()
    if account is not None and Path(account[1]) != Path(made["HOME"]):
        what = f"HOME: is {made['HOME']} here and in this examination; cron would set {account[1]}"
        yield warn("headless.home", what, "set HOME in the crontab, or MCPVAULT_FILE, MCPVAULT_STATE_DIR and the key")
    if shutil.which("mcpvault", path=PATH) is None:
        found = shutil.which("mcpvault", path=env.get("PATH")) or f"{sys.executable} -m mcpvault"
        what = f"mcpvault: is not on a job's PATH ({PATH})"
        yield warn("headless.program", what, f"name it in full: {found}")


def _matters(name: str, document: Document | None) -> bool:
    return name.upper().startswith(_READ) or name in _READ_TOO or (document is not None and name in _referred(document))


def _referred(document: Document) -> set[str]:
    return {
        reference.body
        for name in document.server_names
        for text in _texts(document.tree["servers"][name])
        if "${" in text
        for reference in references_in(text)
        if reference.scheme == "env"
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _worse(here: Iterable[Finding], there: Iterable[Finding]) -> Iterator[Finding]:
    """Yield a line for each check that fails in a job and does not fail here."""
    mine = {(each.id, each.server) for each in here if each.level == "fail"}
    told = set()
    for each in there:
        what = (each.id, each.server)
        if each.level == "fail" and what not in mine and what not in told:
            told.add(what)
            message = f"{each.id}: fails in a job and not in this shell: {each.message}"
            yield warn("headless.differs", message, each.hint or "see above", server=each.server)
