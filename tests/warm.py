"""
``mcpvault`` run in a process of its own, forked from one that has imported everything.

Starting an interpreter and importing is most of what a short run costs, and the suite makes thousands. What is
measured or shown about the start itself (imports, ``-m``, signals, terminals) is not run here but spawned.
This file is both sides: a test imports it, and the warm process runs it as a program.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

LANG = "C.UTF-8"
_PIPE = 65536  # bytes that a pipe takes before anybody reads
_LENGTH = 4  # bytes of the length that goes ahead of a message
_servers: dict[int, tuple[socket.socket, subprocess.Popen[bytes]]] = {}
_OUTSIDE = (
    *("click.shell_completion", "cryptography.hazmat.primitives.hpke", "encodings.idna", "filelock", "html.parser"),
    *(
        "http.cookiejar",
        "http.server",
        "jsonschema",
        "msgspec.json",
        "oauthlib.oauth2",
        "requests",
        "requests_oauthlib",
    ),
    *("rich.box", "rich.console", "rich.table", "rich.text", "tomli_w", "tomlkit", "urllib3.connectionpool"),
)  # what the verbs import where they need it


def run(
    words: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """
    Run ``mcpvault`` with *words* like ``subprocess.run`` would, without a terminal and in a session of its own.

    Args:
        words: The verb and what follows.
        env: The whole environment.
        cwd: The current folder.
        stdin: All that it can read.
        timeout: Seconds after which it is killed and the test fails.
    """
    command = [sys.executable, "-m", "mcpvault", *words]
    # What decides how an interpreter starts needs one that starts.
    steers = any(name.startswith(("PYTHON", "LC_", "LD_")) for name in env) or env.get("LANG") != LANG
    if steers or os.geteuid() != os.getuid():
        return subprocess.run(
            command, env=env, cwd=cwd, input=stdin, capture_output=True, encoding="utf-8", timeout=timeout,
            start_new_session=True, check=False,
        )  # fmt: skip
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _ended(words, env, cwd, stdin.encode(), (out.fileno(), err.fileno()), timeout)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode().replace("\r\n", "\n").replace("\r", "\n"))
    return subprocess.CompletedProcess(command, code, *said)


def _ended(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: bytes, said: tuple[int, int], timeout: float
) -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    told = json.dumps({"words": list(words), "env": dict(env), "cwd": str(cwd), "umask": mask}).encode()
    ours, theirs = socket.socketpair()
    with ours, _source(stdin) as source:
        with theirs:
            socket.send_fds(_server(), [len(told).to_bytes(_LENGTH, "big")], [source, *said, theirs.fileno()])
        ours.sendall(told)
        ours.settimeout(timeout)
        with ours.makefile("rb") as answer:
            pid = int(answer.readline())
            try:
                return int(answer.readline())
            except TimeoutError:
                os.killpg(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(list(words), timeout)


@contextlib.contextmanager
def _source(stdin: bytes) -> Iterator[int]:
    """Give a pipe from which *stdin* can be read; what is too long for one comes from a file."""
    if len(stdin) > _PIPE:
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file.fileno()
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, stdin)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def _server() -> socket.socket:
    """Return the socket of this process's warm interpreter, started when it is first asked for."""
    pid = os.getpid()
    if pid not in _servers:
        ours, theirs = socket.socketpair()
        with theirs:
            clean = {"PATH": os.environ["PATH"], "LANG": LANG, "HOME": "/nonexistent"}
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())], env=clean, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        _servers[pid] = ours, process
        atexit.register(_stop, pid)
    return _servers[pid][0]


def _stop(pid: int) -> None:
    if pid == os.getpid():
        server, process = _servers.pop(pid)
        server.shutdown(socket.SHUT_RDWR)  # it ends by that, even where a forked child still holds the socket
        server.close()
        process.wait(10)


# The other side


def _serve(server: socket.socket) -> None:
    import mcpvault

    for module in pkgutil.walk_packages(mcpvault.__path__, "mcpvault."):
        # The adapters are for libraries that need not be installed, and no verb imports them.
        if module.name in ("mcpvault.__main__", "mcpvault.testing.plugin"):
            continue
        if not module.name.startswith("mcpvault.interop.adapters."):
            importlib.import_module(module.name)
    for name in _OUTSIDE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    awake, alarm = socket.socketpair()
    alarm.setblocking(False)
    signal.set_wakeup_fd(alarm.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([server, awake], [], [])
        if awake in ready:
            awake.recv(_PIPE)
            _tell(running)
        if server in ready:
            length, fds, _, _ = socket.recv_fds(server, _LENGTH, 4)
            if not length:
                return
            pid, client = _begun(int.from_bytes(length, "big"), fds)
            running[pid] = client


def _begun(length: int, fds: list[int]) -> tuple[int, socket.socket]:
    """Start what is asked for, tell its number, and return that and who wants to know how it ends."""
    client = socket.socket(fileno=fds.pop())
    with client.makefile("rb") as asked:
        told = json.loads(asked.read(length))
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _become(told, fds)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(OSError):
        client.sendall(b"%d\n" % pid)
    return pid, client


def _tell(running: dict[int, socket.socket]) -> None:
    """Tell how those have ended that have."""
    for pid in [*running]:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as client, contextlib.suppress(OSError):
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(told: dict[str, Any], fds: list[int]) -> NoReturn:
    """Be ``python -m mcpvault``, from its first line to its end."""
    os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.closerange(3, 256)
    os.chdir(told["cwd"])
    os.umask(told["umask"])
    os.environ.clear()
    os.environ.update(told["env"])
    time.tzset()
    tempfile.tempdir = None
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogateescape")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    sys.argv = ["mcpvault", *told["words"]]
    code = 1
    try:
        from mcpvault.cli.main import main

        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
