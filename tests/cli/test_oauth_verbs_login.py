"""``login``: every way a person gets there, what is said afterwards, and how it is broken off."""

from __future__ import annotations

import json
import socket
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from house import INTERRUPT
from oauth_house import BROWSER, ECHO, SCOPE, OAuthHouse, address_in, oauth_house

PROMPT = "Paste the address here: "


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path, device_interval=1) as made:
        yield made


def test_the_browser_comes_back_to_this_machine(house: OAuthHouse) -> None:
    """``--method loopback`` opens the browser, waits for it, and says what was granted; nothing more needs a person."""
    done = house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)

    assert (
        f"logged in to demo\n  scopes: {SCOPE}\n  access token: good for 60 minutes\n  refreshes itself: yes\n"
        == done.stdout
    )
    assert address_in(done.stderr)
    assert "hello\n" == house.run(*ECHO).stdout
    assert 0o600 == stat.S_IMODE(house.record.stat().st_mode)


def test_login_as_json(house: OAuthHouse) -> None:
    """``--json`` prints the grant without a token; what the person has to know is on stderr."""
    house.issuer.policy.granted_scope = "mcp:read"

    done = house.run("login", "demo", "--method", "loopback", "--json", BROWSER=BROWSER)

    told = json.loads(done.stdout)
    assert (SCOPE, "mcp:read", "Bearer", True) == (
        *(told["requested_scope"], told["scope"], told["token_type"], told["refreshable"]),
    )
    assert 3590 <= told["expires_in"] <= 3600
    assert SCOPE == told["registered_scope"]
    assert {*told} == {
        *("server", "token_type", "requested_scope", "scope", "registered_scope", "expires_at", "expires_in"),
        "refreshable",
    }


@pytest.mark.parametrize("padding", ["", "&more=" + "x" * 9000], ids=["short", "long"])
def test_an_address_is_pasted_on_a_terminal(house: OAuthHouse, padding: str) -> None:
    """The address goes out and comes back by hand, unseen and of any length; a wrong one is asked for again."""

    def redirected(shown: str) -> str:
        return house.issuer.follow(address_in(shown)) + padding + "\n"

    answers = [(PROMPT, "https://example.com/?code=a&state=b\n"), (PROMPT, redirected)]
    shown = house.talk("login", "demo", "--method", "paste", answers=answers)

    assert "does not belong to this login" in shown
    assert "logged in to demo" in shown
    assert "code=a&state=b" not in shown
    assert "hello\n" == house.run(*ECHO).stdout


def test_a_pasted_address_is_awaited_until_the_deadline(house: OAuthHouse) -> None:
    """``--timeout`` holds at the prompt too: exit 4."""
    shown = house.talk("login", "demo", "--method", "paste", "--timeout", "1", code=4)

    assert "nothing was pasted: no answer within 1 s" in shown


def test_without_a_terminal_an_address_comes_on_stdin(house: OAuthHouse) -> None:
    """A named method is taken at its word: paste reads stdin, and its end is exit 3, not a wait."""
    refused = house.run("login", "demo", "--method", "paste", code=3)

    assert "mcpvault: error: nothing was pasted, so nobody is logged in\n" in refused.stderr
    assert address_in(refused.stderr)


def test_a_code_for_another_device(house: OAuthHouse) -> None:
    """``--method device`` shows an address and a code, and waits until somebody has approved it elsewhere."""

    def approve(_: str) -> str:
        house.issuer.approve()
        return ""

    shown = house.talk("login", "demo", "--method", "device", answers=[("Waiting for you", approve)])

    assert "Check that it shows the code" in shown
    assert "logged in to demo" in shown
    assert "hello\n" == house.run(*ECHO).stdout


def test_on_a_terminal_without_a_desktop_the_device_is_the_way(house: OAuthHouse) -> None:
    """Without --method and display a server that offers codes is logged in to by one; a refusal is exit 3."""

    def deny(_: str) -> str:
        house.issuer.deny()
        return ""

    shown = house.talk("login", "demo", answers=[("Waiting for you", deny)], code=3)

    assert "mcpvault: error: demo: " in shown
    assert "access_denied" in shown


def test_nobody_is_waited_for_without_a_terminal(house: OAuthHouse) -> None:
    """No terminal and no --method: exit 3 at once, before anybody is asked anything."""
    before = house.files()

    done = house.run("login", "demo", code=3, DISPLAY=":0")

    assert (
        "mcpvault: error: demo: there is no terminal to ask on\n"
        "mcpvault: hint: run it on a terminal, or name a way: mcpvault login demo --method device\n"
    ) == done.stderr
    assert ([], before) == (house.issuer.requests, house.files())


@pytest.mark.parametrize(
    ("method", "prompt"),
    [("loopback", "Opening the browser"), ("paste", PROMPT), ("device", "Waiting for you")],
)
def test_ctrl_c_ends_a_login(house: OAuthHouse, method: str, prompt: str) -> None:
    """Ctrl-C is 130, leaves no grant, and the next login works; a grant from before stays as it was."""
    house.talk("login", "demo", "--method", method, answers=[(prompt, INTERRUPT)], code=130, BROWSER="true %s &")
    assert "pending_auth" in house.run("status", "demo").stdout

    house.log_in()
    kept = house.record.read_bytes()
    house.talk("login", "demo", "--method", method, answers=[(prompt, INTERRUPT)], code=130, BROWSER="true %s &")
    assert kept == house.record.read_bytes()


def test_a_grant_without_refresh_token_says_when_a_human_is_needed(house: OAuthHouse) -> None:
    """Where nothing can be refreshed, login tells how often somebody must come back."""
    house.issuer.policy.refresh_tokens = "never"

    said = house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER).stdout

    assert "  refreshes itself: no; demo will need a human every 60 minutes\n" in said


def test_nobody_is_asked_for_a_grant_that_would_be_lost(house: OAuthHouse) -> None:
    """With ``persist = "none"`` a login of the command line serves nobody: exit 8, before a person consents."""
    house.run("set", "demo", "auth.persist", "none")

    done = house.run("login", "demo", "--method", "loopback", code=8, BROWSER=BROWSER)

    assert "session.authenticate()" in done.stderr
    assert [] == house.issuer.requests
    assert "session.authenticate()" in house.run(*ECHO, code=3).stderr


def test_scopes_can_be_asked_for(house: OAuthHouse) -> None:
    """``--scope`` replaces what the server names; what was refused by narrowing is told."""
    house.issuer.policy.granted_scope = "mcp:read"

    said = house.run("login", "demo", "--method", "loopback", "--scope", "mcp:read admin", BROWSER=BROWSER).stdout

    assert "  scopes: mcp:read\n  asked for: mcp:read admin\n" in said


def test_a_registration_for_less_is_told(house: OAuthHouse) -> None:
    """What was wanted, what was granted, and what the client may ask for at most: by browser, by device, and before."""
    house.issuer.policy.substituted = {"scope": "mcp:read"}
    most = f"  scopes: mcp:read\n  asked for: {SCOPE}\n  the client is registered for: mcp:read\n"

    for _ in range(2):
        assert most in house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER).stdout
    before = house.run("login", "demo", "--dry-run").stdout
    assert "  scopes asked for: mcp:read\n  client: registered before (" in before
    assert 1 == len([*house.issuer.clients])

    def approve(_: str) -> str:
        house.issuer.approve()
        return ""

    shown = house.talk("login", "demo", "--method", "device", answers=[("Waiting for you", approve)])
    assert most in shown.replace("\r\n", "\n")
    assert ["mcp:read"] == [request.form["scope"] for request in house.issuer.called("device")]


def test_a_dry_run_asks_nobody(house: OAuthHouse) -> None:
    """``--dry-run`` tells what would be asked of whom, by metadata alone: nothing is registered, opened or written."""
    before = house.files()

    said = house.run("login", "demo", "--dry-run").stdout

    assert f"would log in to demo\n  authorization server: {house.issuer.issuer}\n" in said
    assert f"  scopes asked for: {SCOPE}\n  client: would be registered\n  ways: loopback, paste, device\n" in said
    assert ({"GET"}, before) == ({request.method for request in house.issuer.requests}, house.files())

    house.log_in()
    told = json.loads(house.run("login", "demo", "--scope", "admin", "--dry-run", "--json").stdout)
    assert ("would be registered", "admin", True) == (told["client"], told["scope"], told["dry_run"])
    told = json.loads(house.run("login", "demo", "--dry-run", "--json").stdout)
    assert ("registered before", SCOPE) == (told["client"], told["scope"])
    assert [told["client_id"]] == [client.client_id for client in house.issuer.clients]


def test_a_refused_consent_is_exit_3(house: OAuthHouse) -> None:
    """The person's no is told as the authorization server words it; but for the client nothing is kept."""
    house.issuer.policy.consent = "deny"

    house.run("login", "demo", "--method", "loopback", code=3, BROWSER=BROWSER)
    done = house.run("login", "demo", "--method", "loopback", "--json", code=3, BROWSER=BROWSER)

    assert "access_denied" in done.stderr
    assert "demo" == json.loads(done.stderr.splitlines()[-1])["error"]["server"]
    status = tomllib.loads(house.record.read_text("utf-8"))["status"]
    assert ("none", 1) == (status, len(house.issuer.called("register")))


def test_a_client_that_nobody_registers_is_exit_8(house: OAuthHouse) -> None:
    """Without registration the error names the issuer and the redirect URI to register by hand."""
    house.issuer.policy.registration = False

    done = house.run("login", "demo", "--method", "loopback", code=8, BROWSER=BROWSER)

    assert house.issuer.issuer in done.stderr
    assert "http://127.0.0.1:" in done.stderr.partition("mcpvault: hint: ")[2]
    assert "auth.client_id" in done.stderr


@pytest.mark.parametrize("known", [False, True], ids=["the first login", "registered before"])
def test_the_port_to_register_is_the_one_that_will_be_used(house: OAuthHouse, known: bool) -> None:
    """Whatever port is free just now, or was registered before: the hint names where a client by hand comes back."""
    uri = json.loads(house.run("login", "demo", "--dry-run", "--json").stdout)["redirect_uri"]
    port = urlsplit(uri).port or 0
    with socket.create_server(("127.0.0.1", port)):
        if known:
            house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
            assert uri not in [request.query.get("redirect_uri") for request in house.issuer.called("authorize")]
        house.issuer.policy.registration = False
        hints = [
            house.run("login", "demo", "--method", method, "--scope", "more", code=8, BROWSER=BROWSER).stderr
            for method in ("loopback", "paste")
        ]
        planned = json.loads(house.run("login", "demo", "--scope", "more", "--dry-run", "--json").stdout)

    assert ("nobody registers it", uri) == (planned["client"], planned["redirect_uri"])
    assert [f" with redirect URI {uri}, then run: "] * 2 == [
        hint[hint.index(" with redirect URI ") : hint.index("mcpvault set")] for hint in hints
    ]


def test_a_client_of_somebodys_keeps_its_port(house: OAuthHouse) -> None:
    """``--dry-run`` says what to register; a login comes back there or, where the port is taken, ends with exit 7."""
    house.run("set", "demo", "auth.client_id", "by-hand")
    uri = json.loads(house.run("login", "demo", "--dry-run", "--json").stdout)["redirect_uri"]
    house.issuer.register("by-hand", redirect_uris=[uri])

    with socket.create_server(("127.0.0.1", urlsplit(uri).port or 0)):
        taken = house.run("login", "demo", "--method", "loopback", code=7, BROWSER=BROWSER).stderr
    assert "--method paste" in taken.partition("mcpvault: hint: ")[2]
    assert [] == house.issuer.called("authorize")

    house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
    assert f"  redirect URI: {uri}\n" in house.run("login", "demo", "--dry-run").stdout
    assert "hello\n" == house.run(*ECHO).stdout


def test_a_damaged_state_is_replaced_by_a_login(house: OAuthHouse) -> None:
    """What cannot be read stops every call with the command that mends it, is kept aside, and login replaces it."""
    house.log_in()
    house.record.write_bytes(house.record.read_bytes()[:200])
    assert "replace it, run: mcpvault login demo\n" in house.run(*ECHO, code=6).stderr
    assert "unreadable" in house.run("status", "demo").stdout

    house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)

    assert "hello\n" == house.run(*ECHO).stdout
    assert house.record.with_name("token-demo.toml.damaged").exists()


def test_a_machine_logs_in_by_itself(house: OAuthHouse) -> None:
    """Client credentials need no person: the first call obtains a token, and login obtains another."""
    client = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    house.run(
        *("add", "robot", house.server.url, "--client-credentials", "--client-id", "robot"),
        *("--issuer", house.issuer.issuer, "--client-secret-stdin"),
        stdin=str(client.secret),
    )
    assert "unused" in house.run("status", "robot").stdout

    assert "hello\n" == house.run("call", "robot", *ECHO[2:]).stdout
    said = house.run("login", "robot").stdout
    assert said.startswith("logged in to robot\n")
    assert said.endswith("  needs nobody: the next one is obtained when it is due\n")
    assert "robot: ready (client_credentials)" in house.run("status", "robot").stdout
    assert 2 == len(house.issuer.called("client_credentials"))

    (house.state / "token-robot.toml").write_bytes(b"damaged")
    assert "mcpvault login robot" in house.run("call", "robot", *ECHO[2:], code=6).stderr
    house.run("login", "robot")
    assert "hello\n" == house.run("call", "robot", *ECHO[2:]).stdout
