"""
Workers that use servers of a vault as scripts do, while something goes wrong. ``python session_crew.py``.

Reads one line of JSON for each shift; the workers of a shift are forked from this process, which has loaded
everything, open the vault for themselves and print one line of JSON for each outcome; ``{"over": …}`` ends a shift.
What a shift may be told:

- ``workers``, ``servers``, ``times``: so many workers use each of these servers so many times, one after another;
- ``renews``: they replace the token before each use; ``logs_in``: they let a person log in where only that helps;
- ``timeout``: seconds for a use;
- ``kill_every``, ``seconds``, ``uses``, ``seed``: for so long, and until so many uses are done, a worker is killed at
  that interval, and another takes its place; where the machine is so busy that nobody would ever get done, later: as
  soon as one has got done, but after a second;
- ``moves``: the first worker moves the clocks of all before each round of its uses, by the next of these seconds;
- ``full_at``: the disk is full from the n-th time on that a worker changes a file;
- ``stop_at``: a worker stops itself before the n-th time that it does something: ``["open", 2]``. What it may do is
  to change a file, by the name of the call, to ``wait`` for an answer or to ``receive`` it; ``*`` is all of these.

The file that is named on the command line says how far the clocks of all are ahead: the wall's, and the monotonic one.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CHANGES = ("open", "write", "fsync", "replace", "ftruncate")
NEEDS_NO_ROOM = ("replace", "ftruncate")


def set_clocks(file: Path, wall: float = 0.0, monotonic: float = 0.0) -> None:
    """Let *file* say how far the clocks are ahead."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_text(f"{wall} {monotonic}")
    fresh.replace(file)


def follow_clocks(file: Path) -> None:
    """Let the clocks of this process and its children be ahead by what *file* says, whenever they are looked at."""
    wall, monotonic = time.time, time.monotonic

    def ahead() -> list[float]:
        return [float(word) for word in file.read_text().split()]

    time.time = lambda: wall() + ahead()[0]
    time.monotonic = lambda: monotonic() + ahead()[1]


def say(**facts: Any) -> None:
    """Print one line in one piece."""
    os.write(1, json.dumps({"pid": os.getpid(), **facts}).encode() + b"\n")


def changes_file(name: str, args: tuple[Any, ...]) -> bool:
    """Tell whether this call into the system changes a file, or its folder."""
    if name in ("write", "fsync", "ftruncate"):
        return stat.S_ISREG(os.fstat(args[0]).st_mode)
    return name == "replace" or (name == "open" and bool(args[1] & os.O_CREAT) and not Path(args[0]).exists())


def over_what_is_there(descriptor: int, size: int) -> bool:
    """Tell whether the next *size* bytes would lie within the file."""
    return os.lseek(descriptor, 0, os.SEEK_CUR) + size <= os.fstat(descriptor).st_size


def before_changes(act: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Call *act* before each call into the system that changes a file."""

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if changes_file(name, args):
                act(name, args)
            return real(*args, **options)

        return call

    for name in CHANGES:
        setattr(os, name, watched(name, getattr(os, name)))


def fill_disk_at(step: int) -> None:
    """
    Let the disk have no room from the *step*-th change of a file on; half of what is written then still fits.

    Not half of what is written over: its blocks are there, or must all be had anew.
    """
    write, left = os.write, step

    def act(name: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        left -= name not in NEEDS_NO_ROOM
        if left < 0 and name not in NEEDS_NO_ROOM:
            if left == -1:
                say(full=name)
                if name == "write" and not over_what_is_there(args[0], len(args[1])):
                    write(args[0], args[1][: len(args[1]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before_changes(act)


def stop_at(what: str, nth: int) -> None:
    """Stop this process before it does *what* for the *nth* time."""
    left, send, receive = nth, socket.socket.sendall, socket.socket.recv_into

    def act(name: str, _: tuple[Any, ...] = ()) -> None:
        nonlocal left
        left -= what in (name, "*")
        if left == 0:
            left = -1
            say(stops_before=name)
            os.kill(os.getpid(), signal.SIGSTOP)

    def sent(self: socket.socket, *args: Any) -> None:
        send(self, *args)
        act("wait")

    def received(self: socket.socket, *args: Any) -> int:
        act("receive")
        return receive(self, *args)

    before_changes(act)
    socket.socket.sendall, socket.socket.recv_into = sent, received  # type: ignore[method-assign, assignment]


def work(told: dict[str, Any], number: int, done: int) -> None:
    """Use the servers, say what came of it, and write a byte to *done* after each use."""
    from threat_house import Person

    import mcpvault
    from mcpvault.errors import AuthorizationRequiredError

    if "full_at" in told:
        fill_disk_at(told["full_at"])
    if "stop_at" in told:
        stop_at(*told["stop_at"])
    timeout, moves = told.get("timeout", 60), told.get("moves", []) if number == 0 else []
    for use in range(told.get("times", 1) * len(told["servers"])):
        name = told["servers"][use % len(told["servers"])]
        if moves and use % len(told["servers"]) == 0:
            set_clocks(Path(sys.argv[1]), moves[use // len(told["servers"]) % len(moves)])
        try:
            vault = mcpvault.Vault.open()
            if told.get("renews"):
                vault.authorization(name).renew(expiring=None, adopt=False, timeout=timeout)
            with vault.session(name, timeout=timeout) as session:
                say(server=name, tools=len(session.list_tools()))
        except mcpvault.McpVaultError as error:
            say(server=name, error=error.kind, message=error.message, hint=error.hint)
            if told.get("logs_in") and isinstance(error, AuthorizationRequiredError):
                with mcpvault.Vault.open().session(name, auth=Person()) as session:
                    session.authenticate()
        with suppress(BlockingIOError):
            os.write(done, b".")


def watch(told: dict[str, Any], over: int) -> None:
    """Read the state of the servers again and again until *over* is closed; say what cannot be read."""
    import mcpvault
    from mcpvault.state.tokens import peek

    vault, reads = mcpvault.Vault.open(), 0
    ends = False
    while not ends:
        ends = bool(select.select([over], [], [], 0.02)[0])
        for name in told["servers"]:
            try:
                record, facts = vault.authorization(name).store.read(), peek(vault.state, name)
                assert record is not None and facts is not None
            except Exception as error:
                say(unreadable=name, why=repr(error))
            reads += 1
    say(reads=reads)


def forked(act: Callable[[], None]) -> int:
    """Do *act* in a child; return its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException as error:
            say(crashed=repr(error))
        finally:
            os._exit(code)
    return pid


def run(told: dict[str, Any]) -> None:
    """Run one shift to its end."""
    seen, over = os.pipe()
    start, ready = os.pipe()
    heard, done = os.pipe()
    os.set_blocking(done, False)
    ours = [over, ready]

    def hired(act: Callable[[], None]) -> int:
        def begin() -> None:
            for end in ours:
                os.close(end)  # or nobody would see it closed
            act()

        return forked(begin)

    def worker(number: int) -> int:
        def begin() -> None:
            os.read(start, 1)
            work(told, number, done)

        return hired(begin)

    watching = hired(lambda: watch(told, seen))
    crew = [worker(number) for number in range(told["workers"])]
    os.close(ours.pop())
    chance, ends, uses = random.Random(told.get("seed", 0)), time.perf_counter() + told.get("seconds", 0), 0
    while "kill_every" in told and (time.perf_counter() < ends or uses < told["uses"]):
        time.sleep(told["kill_every"])
        if select.select([heard], [], [], 1 - told["kill_every"])[0]:
            uses += len(os.read(heard, 4096))
        victim = crew.pop(chance.randrange(len(crew)))
        os.kill(victim, signal.SIGKILL)
        say(killed=victim)
        os.waitpid(victim, 0)
        crew.append(worker(len(crew)))
    for pid in crew:
        if "kill_every" in told:
            os.kill(pid, signal.SIGKILL)
            say(killed=pid)
        while os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
            say(stopped=pid)
    os.close(over)
    os.waitpid(watching, 0)
    for end in (start, seen, heard, done):
        os.close(end)
    say(over=True)


def main(clocks: Path, log: Path) -> None:
    """Run the shifts that standard input tells of."""
    follow_clocks(clocks)
    # Everything is loaded before the forks: the race is not to be decided by an import.
    import filelock  # noqa: F401
    import threat_house  # noqa: F401

    from mcpvault.transports import streamable_http  # noqa: F401
    from vault_schema import dump_plain  # noqa: F401

    form = "%(process)d %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=log, level=logging.DEBUG, format=form)
    for line in sys.stdin:
        run(json.loads(line))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
