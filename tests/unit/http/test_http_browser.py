"""Where the browser is sent back to, and how it is opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from http_servers import CANARY

from mcpvault.deadline import Deadline
from mcpvault.errors import BusyError, ConfigurationError
from mcpvault.http import Loopback, open_browser, stable_port


def test_the_port_stays_the_same() -> None:
    """It is derived from facts, so that a registered redirect URI stays true; ports of outgoing connections differ."""
    port = stable_port("vault", "linear", "https://as.example.com")

    assert stable_port("vault", "linear", "https://as.example.com") == port
    assert stable_port("vaultl", "inear", "https://as.example.com") != port
    assert all(20_000 <= stable_port(str(n)) < 32_000 for n in range(500))


def test_a_port_that_is_taken_is_passed_over() -> None:
    """The next free one is taken; one that was asked for by name is not replaced."""
    with Loopback() as first:
        with Loopback(preferred=first.port) as second:
            assert first.port != second.port
        with pytest.raises(BusyError, match=f"port {first.port} of 127.0.0.1 cannot be listened on: address already"):
            Loopback(port=first.port)
    with Loopback(port=first.port, path="/oauth/cb", host="localhost") as again:
        assert f"http://localhost:{first.port}/oauth/cb" == again.redirect_uri
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first.port), timeout=20)


def test_a_registered_uri_is_listened_on() -> None:
    """Port and path come from it; one that leads elsewhere is refused with what would do."""
    with Loopback() as free:
        port = free.port
    with Loopback.at(f"http://localhost:{port}/oauth/cb") as loop:
        assert f"http://localhost:{port}/oauth/cb" == loop.redirect_uri
    with Loopback.at(f"http://127.0.0.1:{port}") as loop:
        assert f"http://127.0.0.1:{port}/" == loop.redirect_uri
    for uri in (
        "https://localhost:1/cb",
        "http://example.com:80/",
        "http://localhost/cb",
        "urn:x",
        "http://[",
        "x:y:z",
    ):
        with pytest.raises(ConfigurationError, match="cannot be listened on"):
            Loopback.at(uri)


def test_only_this_machine_can_come() -> None:
    """It listens on 127.0.0.1 and not on every address."""
    with Loopback() as loop:
        assert ["127.0.0.1"] == [listener.getsockname()[0] for listener in loop._listeners]
        assert not loop._listeners[0].get_inheritable()


def has_ipv6() -> bool:
    """Tell whether this machine has ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_localhost_is_both_of_its_addresses() -> None:
    """Browsers try ::1 first: where a machine has it, the answer arrives there too; else 127.0.0.1 is all there is."""
    for address in ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]:
        with Loopback(host="localhost") as loop, socket.create_connection((address, loop.port), timeout=20) as visit:
            visit.sendall(f"GET /callback?state=ours HTTP/1.1\r\nHost: localhost:{loop.port}\r\n\r\n".encode())
            assert f"http://localhost:{loop.port}/callback?state=ours" == loop.wait(lambda _: True, Deadline(20))
            assert visit.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, loop.port), timeout=20)


def test_nobody_else_gets_what_is_sent_to_localhost() -> None:
    """A port that a stranger holds on ::1 is as good as taken, and 127.0.0.1 is let go; else there is no ::1."""
    family, address = (socket.AF_INET6, "::1") if has_ipv6() else (socket.AF_INET, "127.0.0.1")
    with socket.create_server((address, 0), family=family) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(BusyError, match=f"port {port} of {address} cannot be listened on: address already in use"):
            Loopback.at(f"http://localhost:{port}/callback")
        if has_ipv6():
            Loopback(port=port).close()


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """The environment of a person whose browser is a script that notes what it is given."""
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/argv\nenv > {tmp_path}/env\n[ ! -e {tmp_path}/fail ]\n'
    )
    script.chmod(0o755)
    return {"BROWSER": str(script), "PATH": "/usr/bin:/bin", "MCPVAULT_KEY": CANARY, "CREDENTIALS_DIRECTORY": "/x"}


def test_the_browser_gets_the_url_and_nothing_of_ours(browser: dict[str, str], tmp_path: Path) -> None:
    """``BROWSER`` is respected; the vault's key is not in its environment."""
    url = "https://as.example.com/authorize?client_id=a%20b&state=x%22y"

    assert open_browser(url, browser)

    assert f"{url}\n" == (tmp_path / "argv").read_text()
    inherited = (tmp_path / "env").read_text()
    assert "BROWSER=" in inherited
    assert [] == [name for name in ("MCPVAULT_KEY", "CREDENTIALS_DIRECTORY", CANARY) if name in inherited]


def test_no_shell_reads_the_url(browser: dict[str, str], tmp_path: Path) -> None:
    """Whatever a hostile metadata document puts into the endpoint stays one argument."""
    url = f"https://as.example.com/$(touch${{IFS}}{tmp_path}/owned);&touch%20{tmp_path}/owned"

    open_browser(url, browser)
    open_browser(url.replace("{", "").replace("}", ""), browser)

    assert f"{url.replace('{', '').replace('}', '')}\n" == (tmp_path / "argv").read_text()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "-a",
        "--help",
        "ftp://x/",
        "https://x/ y",
        "https://x/'\"",
        "https://",
        "",
    ],
)
def test_only_web_addresses_are_opened(browser: dict[str, str], tmp_path: Path, url: str) -> None:
    """Anything else is not shown to any browser (A76)."""
    assert not open_browser(url, browser)
    assert not (tmp_path / "argv").exists()


def test_a_browser_that_does_not_start_is_told(browser: dict[str, str], tmp_path: Path) -> None:
    """The caller then asks the person to open the URL."""
    (tmp_path / "fail").touch()

    assert not open_browser("https://as.example.com/", browser)


def test_a_launcher_that_lasts_is_waited_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken to be the browser itself; once it has ended, the next opening leaves no zombie of it."""
    from mcpvault.http import browser as opening

    script, wait = tmp_path / "browser", tmp_path / "wait"
    script.write_text(f"#!/bin/sh\n[ -e {tmp_path}/short ] || read -r _ < {wait}\n")
    script.chmod(0o755)
    os.mkfifo(wait)
    monkeypatch.setattr(opening, "_PATIENCE", 0.2)

    assert open_browser("https://as.example.com/", {"BROWSER": str(script), "PATH": "/usr/bin:/bin"})
    [child] = opening._lasting
    (tmp_path / "short").touch()
    wait.write_text("\n")
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(opening, "_PATIENCE", 30.0)

    assert open_browser("https://as.example.com/", {"BROWSER": str(script), "PATH": "/usr/bin:/bin"})
    assert set() == opening._lasting
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)
