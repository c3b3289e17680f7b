"""Ways to a person from within a script: a terminal in the middle of a call, a code, somebody else's provider."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from library_house import House, until
from requests import PreparedRequest
from requests.auth import AuthBase

from mcpvault import AuthState
from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError, ConfigurationError, UsageError

ON_A_TERMINAL = """
import mcpvault
with mcpvault.Vault.open().session("x", interactive="tty") as session:
    print(len(session.list_tools()), "tools")
"""
PLUGIN = """
from requests.auth import AuthBase
from mcpvault.testing import user_agent

class Corporate:
    redirect_uri = "http://127.0.0.1:8765/callback"
    def __init__(self, server): self.server = server
    def redirect(self, url): return user_agent.follow(url)

class Signing(AuthBase):
    def __init__(self, server): self.server = server
    def __call__(self, request):
        request.headers["X-Signed-For"] = self.server
        return request

def neither(server): return 42
"""
ENTRY_POINTS = """[mcpvault.auth]
corporate = corporate_auth:Corporate
signed = corporate_auth:Signing
strange = corporate_auth:neither
"""


def test_a_person_at_the_terminal_is_asked_in_the_middle_of_a_call(house: House) -> None:
    """With ``interactive="tty"`` the call shows a code, waits until somebody has entered it, and goes on."""
    house.issuer.policy.device_interval = 1
    command = ["-c", ON_A_TERMINAL]
    with pexpect.spawn(
        sys.executable, command, env={**house.env, "TERM": "dumb"}, encoding="utf-8", timeout=30
    ) as child:
        child.expect(r"[A-Z]{4}-[A-Z]{4}")
        house.issuer.approve(child.after)
        child.expect("6 tools")
        child.expect(pexpect.EOF)
    assert 0 == child.wait()


def test_without_a_terminal_nobody_is_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """``interactive="tty"`` changes nothing for a cron job."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(AuthorizationRequiredError) as caught:
        house.session(interactive="tty").list_tools()
    assert "mcpvault login x" == caught.value.login_command
    with pytest.raises(ConfigurationError, match="'never' or 'tty'"):
        house.session(interactive="always")


def test_authenticate_without_a_terminal_and_a_method_fails_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of any server, and the error names a way."""
    monkeypatch.setattr(sys, "stdin", None)
    session = house.session()

    with pytest.raises(AuthorizationRequiredError, match="no terminal") as caught:
        session.authenticate()

    assert "mcpvault login x" == caught.value.login_command
    assert AuthState.PENDING_AUTH is session.state
    assert [] == [*house.issuer.requests, *house.server.requests]
    with pytest.raises(UsageError, match="loopback, paste, device"):
        session.authenticate("telepathy")


@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_a_code_for_another_device(house: House, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The code is printed, the server polled until somebody has decided, and no browser is opened."""
    house.issuer.policy.device_interval = 1
    session = house.session()

    def decide() -> None:
        until(lambda: house.issuer.devices)
        getattr(house.issuer, answer)()

    other = threading.Thread(target=decide)
    other.start()
    if answer == "approve":
        session.authenticate("device")
        assert 6 == len(session.list_tools())
        assert AuthState.READY is session.state
    else:
        with pytest.raises(AuthorizationFailedError, match="access_denied"):
            session.authenticate("device")
        assert AuthState.FAILED is session.state
    other.join()
    assert re.search(r"[A-Z]{4}-[A-Z]{4}", capsys.readouterr().err)


# Entry points of other packages


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package is installed that brings ways to authenticate along."""
    facts = tmp_path / "corporate_auth-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: corporate-auth\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "corporate_auth.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugin")
def test_an_installed_provider_is_a_login_method(house: House) -> None:
    """``authenticate("corporate")`` uses the ``OAuthProvider`` that a package brings under that name."""
    session = house.session()

    session.authenticate("corporate")

    assert 6 == len(session.list_tools())
    with pytest.raises(ConfigurationError, match="expected an OAuthProvider, got int"):
        session.authenticate("strange")


@pytest.mark.usefixtures("plugin")
def test_an_installed_authentication_signs_for_a_custom_entry(house: House) -> None:
    """An entry of kind ``custom`` finds what signs its requests under its own name; what a caller passes wins."""
    open_house = house.server
    open_house.protection = None
    for name in ("signed", "strange", "absent"):
        house.add(name, kind="custom")

    house.session("signed").list_tools()
    assert "signed" == open_house.requests[-1].headers["x-signed-for"]

    class Own(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["X-Signed-For"] = "me"
            return request

    house.session("signed", auth=Own()).list_tools()
    assert "me" == open_house.requests[-1].headers["x-signed-for"]
    with pytest.raises(ConfigurationError, match="expected a requests authentication, got int"):
        house.session("strange")
    with pytest.raises(ConfigurationError, match="none was given") as caught:
        house.session("absent")
    assert "mcpvault.auth" in str(caught.value.hint)


def test_a_static_entry_has_nothing_to_authenticate(build: Callable[..., House]) -> None:
    """Every call about a grant says that the credential is static."""
    house = build()
    house.add(kind="none")
    session = house.session()

    for ask in (session.authenticate, session.authorization_url, lambda: session.complete_authorization("x")):
        with pytest.raises(ConfigurationError, match="no authorization to obtain"):
            ask()
    with pytest.raises(ConfigurationError, match="its credential is static"):
        house.vault.authorization("x")
