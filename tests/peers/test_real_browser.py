"""
A person's real browser: Chromium goes through login and consent to the loopback page, and back to the command line.

A picture of each last page is kept in ``.peers/browser/``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import PATIENCE, Browser, chromium

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

PICTURES = Path(__file__).parents[2] / ".peers/browser"

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Run Chromium."""
    if shutil.which("chromium") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no chromium: run scripts/peers")
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@contextmanager
def login(home: Path, browser: Browser) -> Iterator[subprocess.Popen[str]]:
    """Run ``mcpvault login peer``; the address that it has opened in "the browser" is visited in Chromium."""
    letterbox = home / "letterbox"
    os.mkfifo(letterbox)
    postman = home / "postman"
    postman.write_text(f'#!/bin/sh\nprintf "%s" "$1" >"{letterbox}"\n')
    postman.chmod(0o700)
    process = subprocess.Popen(
        [sys.executable, "-m", "mcpvault", "login", "peer", "--method", "loopback", "--json"],
        env={**os.environ, "BROWSER": f"{postman} %s &"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            browser.requested.clear()
            browser.visit(letterbox.read_text("utf-8"))
            yield process
        finally:
            process.kill()
            letterbox.unlink()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the command; return its exit status and what it said."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def kept(browser: Browser, name: str) -> None:
    """Keep a picture; it must be of something."""
    picture = browser.screenshot(PICTURES / f"{name}.png")
    assert picture.startswith(b"\x89PNG") and len(picture) > 2000


@pytest.fixture
def asking(mcpvault: Callable[..., Any]) -> Iterator[FakeAuthorizationServer]:
    """An authorization server that asks on a page, in front of the server that the vault names."""
    with FakeAuthorizationServer(consent="page") as issuer, FakeMcpServer(authorization_server=issuer) as server:
        mcpvault("init")
        mcpvault("add", "peer", server.url, "--oauth")
        yield issuer


def test_a_person_logs_in(
    asking: FakeAuthorizationServer, browser: Browser, home: Path, mcpvault: Callable[..., Any]
) -> None:
    """Consent, the page that says so, and the tool can be called; the page asks nobody and tells nothing."""
    with login(home, browser) as process:
        browser.at(asking.issuer)
        browser.click("button[value=allow]")
        browser.at_callback()
        kept(browser, "logged-in")
        code, out, err = ended(process)

    assert (0, True) == (code, json.loads(out)["refreshable"]), err
    assert ["Back to the terminal"] == browser.headings()
    assert "en" == browser.text("document.documentElement.lang")
    assert 0 == browser.text("document.scripts.length + document.images.length + document.links.length")
    address = browser.text("location.href")
    callback = next(each for each in browser.requested if each["url"] == address)
    assert "code=" in address and "code=" not in browser.text("document.documentElement.outerHTML")
    assert "" == browser.text("document.querySelector('body').innerText.match(/[A-Za-z0-9_-]{20,}/) || ''")
    assert {asking.port, int(address.split(":")[2].split("/")[0])} == {
        int(each["url"].split(":")[2].split("/")[0]) for each in browser.requested
    }
    assert "GET" == callback["method"]
    assert "hello\n" == mcpvault("call", "peer", "echo", '{"message": "hello"}').stdout


def test_a_person_says_no(asking: FakeAuthorizationServer, browser: Browser, home: Path) -> None:
    """The page says that nobody is logged in, the command that consent was refused (exit 3), and no token is kept."""
    with login(home, browser) as process:
        browser.at(asking.issuer)
        browser.click("button[value=deny]")
        browser.at_callback()
        kept(browser, "refused")
        code, out, err = ended(process)

    assert (3, "") == (code, out)
    assert "access_denied" in err
    assert ["Not logged in"] == browser.headings()
    assert "access_denied" not in browser.text("document.body.innerText")
    [record] = home.glob(".local/state/mcpvault/*/token-*.toml")
    assert "none" == tomllib.loads(record.read_text("utf-8"))["status"]


def test_a_browser_that_wanders_is_waited_for(asking: FakeAuthorizationServer, browser: Browser, home: Path) -> None:
    """Another page of the port, a forged answer and an icon are answered as such; the true answer still counts."""
    with login(home, browser) as process:
        browser.at(asking.issuer)
        consent = browser.text("location.href")
        callback = browser.text("new URLSearchParams(location.search).get('redirect_uri')")
        for address, heading in (
            (callback.replace("/callback", "/favicon.ico"), "Nothing here"),
            (f"{callback}?code=forged&state=forged", "Not what was expected"),
            (f"{callback}?error=access_denied&state=", "Not what was expected"),
        ):
            browser.visit(address)
            browser.wait(lambda browser, heading=heading: [heading] == browser.headings())  # type: ignore[misc]
        kept(browser, "not-an-answer")
        browser.visit(consent)
        browser.at(asking.issuer)
        browser.click("button[value=allow]")
        browser.at_callback()
        code, _, err = ended(process)

    assert 0 == code, err
    assert ["Back to the terminal"] == browser.headings()


def test_a_real_login_form(
    real_server: Callable[..., Any],
    peer_path: Callable[[str], str],
    browser: Browser,
    home: Path,
    mcpvault: Callable[..., Any],
) -> None:
    """The MCP SDK's own example: its login form is sent off in the browser, and its MCP server takes the token."""
    python, path = peer_path("fastmcp/bin/python"), peer_path("simple-auth")

    def run(module: str, *words: str, path_of: str) -> int:
        command = ["sh", "-c", 'exec "$@" --port "$PORT"', "sh", python, "-m", f"mcp_simple_auth.{module}", *words]
        return int(real_server(command, env={"PYTHONPATH": path}, path=path_of).port)

    issuer = f"http://localhost:{run('auth_server', path_of='/login')}"
    server = f"http://localhost:{run('server', '--auth-server', issuer, path_of='/mcp')}/mcp"
    mcpvault("init")
    mcpvault("add", "peer", server, "--oauth")

    with login(home, browser) as process:
        browser.at(f"{issuer}/login")
        kept(browser, "login-form")
        browser.click("button[type=submit], input[type=submit]")
        browser.at_callback()
        kept(browser, "logged-in-with-a-form")
        code, out, err = ended(process)

    assert (0, "user") == (code, json.loads(out or "{}").get("scope")), err
    assert ["Back to the terminal"] == browser.headings()
    assert "current_time" in mcpvault("call", "peer", "get_time").stdout
