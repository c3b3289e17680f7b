"""
What every test has: no network but loopback, an environment without the user's own, cheap key derivation.

Real servers are started by ``real_server``: a free port, 127.0.0.1, ready when it answers, killed with its children.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is no counterexample: times are measured in scripts/bench.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".peers"
_OURS = ("MCPVAULT_", "XDG_", "OAUTHLIB_")
_OTHERS = {
    *("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "BROWSER", "NETRC"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_COLOR", "FORCE_COLOR", "EDITOR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "VISUAL", "DBUS_SESSION_BUS_ADDRESS"),
}


# The network


class NetworkUsedError(AssertionError):
    """A test reached for something that is not on this machine."""


def _is_near(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Refuse to connect anywhere but to this machine; names other than localhost do not resolve."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_near(address[0]):
            raise NetworkUsedError(f"a test connects to {address!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        literal = host if isinstance(host, str) else ""
        if not _is_near(host) and not literal.replace(".", "").isdigit() and ":" not in literal:
            raise socket.gaierror(socket.EAI_NONAME, "tests resolve no names but localhost")
        return look_up(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


# The environment


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("homes")
    return iter(base / str(number) for number in range(1_000_000_000))


@pytest.fixture(autouse=True)
def home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty HOME and none of the user's variables that steer us or our libraries."""
    for name in [*os.environ]:
        if name.startswith(_OURS) or name.upper() in _OTHERS:
            monkeypatch.delenv(name)
    place = next(_homes)
    place.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.fixture(scope="session")
def cheap_kdf() -> Mapping[str, int]:
    """Return the cheapest Argon2id parameters that the format allows, for ``NewSlot.passphrase(kdf=…)``."""
    from mcpvault.vault.slots import KDF_CHEAPEST

    return KDF_CHEAPEST


# Real servers


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running server: its endpoint and the process that leads its group."""

    url: str
    port: int
    process: subprocess.Popen[bytes]


StartServer = Callable[..., RealServer]


def free_port() -> int:
    """Return a port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def peer_path() -> Callable[[str], str]:
    """Return the place of a file below ``.peers``; without it the test is skipped, or fails under CI."""

    def find(below: str) -> str:
        path = PEERS / below
        if not path.exists():
            told = f"{path} is missing: run scripts/peers"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)
        return str(path)

    return find


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("OPTIONS", path)
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
            # A child of the server may outlive it: the group is killed in any case.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """
    Start real servers; they are killed by process group at the end of the session.

    ``real_server(command, env=…, path="/mcp")``: *env* is all that the server gets beside PATH and HOME;
    PORT is added to it. Returns when the server answers HTTP.
    """
    logs = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:

        def start(command: Sequence[str], *, env: Mapping[str, str] | None = None, path: str = "/mcp") -> RealServer:
            port = free_port()
            log = logs / f"{port}.log"
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={"PATH": os.environ["PATH"], "HOME": str(logs), **(env or {}), "PORT": str(port)},
                )
            stack.callback(_stop, process)
            ends = time.monotonic() + 60
            while not _answers(port, path):
                if process.poll() is not None or time.monotonic() > ends:
                    pytest.fail(f"{command[0]} did not come up:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            return RealServer(f"http://127.0.0.1:{port}{path}", port, process)

        yield start


# What was measured


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests have recorded with ``record_property``: what they measure and do not judge."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for name, value in (told for report in reports if report.when == "call" for told in report.user_properties):
        terminalreporter.write_line(f"measured: {name}: {value}")
