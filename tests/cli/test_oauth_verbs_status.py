"""``status``, ``refresh``, ``logout`` and ``doctor`` about grants, and what a cron job sees of them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examination import examined, levels, told
from house import INTERRUPT
from oauth_house import BROWSER, ECHO, SCOPE, OAuthHouse, address_in, oauth_house

from mcpvault.secret import Secret
from mcpvault.state.brake import Trouble
from mcpvault.state.host import host_name
from mcpvault.state.journal import Intent
from mcpvault.state.record import KeptAnswer

NOW = int(time.time())
INTENT = Intent(program="nightly", pid=4711, user=0, host_name="batch-1", started=NOW - 3600, token="0a1b2c3d")
TROUBLE = Trouble(failures=3, since=NOW - 60, until=NOW + 200, reason="server_unavailable")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


def change(
    house: OAuthHouse, name: str = "demo", *, ends: int | None = None, refresh: bool = True, **facts: Any
) -> None:
    """Let the record of *name* say something else: tokens that end in so many seconds, a status, a journal, a host."""
    store = house.open().authorization(name).store
    with store.exclusive():
        record = store.read()
        assert record is not None and record.tokens is not None
        tokens = record.tokens
        if ends is not None:
            tokens = tokens.replaced(expires_at=time.time() + ends)
        if not refresh:
            tokens = tokens.replaced(refresh_token=None)
        store.write(record.replaced(tokens=tokens, **facts))


def told_of(house: OAuthHouse, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Return what ``status --json`` says, by name."""
    return {each["server"]: each for each in json.loads(house.run("status", *words, "--json", code=code).stdout)}


def test_a_cron_job_from_the_first_login_to_the_last(house: OAuthHouse) -> None:
    """Exit 3 with the command until somebody logs in; then calls work and refresh; a dead grant is exit 3 again."""
    refused = house.run(*ECHO, code=3)
    assert "mcpvault: hint: run: mcpvault login demo\n" in refused.stderr
    house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
    assert "hello\n" == house.run(*ECHO).stdout

    change(house, ends=-5)
    assert ("expired", False) == (told_of(house)["demo"]["state"], told_of(house)["demo"]["needs_login"])
    assert ("hello\n", 1) == (house.run(*ECHO).stdout, house.issuer.redemptions)
    assert "ready" == told_of(house)["demo"]["state"]

    house.issuer.withdraw(told_of(house)["demo"]["client_id"])
    [line] = house.run(*ECHO, "--json", code=3).stderr.splitlines()
    error = json.loads(line)["error"]
    assert (3, "demo", "mcpvault login demo") == (error["code"], error["server"], error["login_command"])
    dead = told_of(house)["demo"]
    assert ("dead", "mcpvault login demo") == (dead["state"], dead["login_command"])
    assert "invalid_grant" in dead["notes"][0]
    assert ["mcpvault: error: ", "mcpvault: hint: r"] == [
        line[:17] for line in house.run(*ECHO, code=3).stderr.splitlines()
    ]

    house.run("login", "demo", "--method", "loopback", BROWSER=BROWSER)
    assert "hello\n" == house.run(*ECHO).stdout
    assert 0 == house.issuer.reuse_detected


def test_every_state_is_told_without_a_key(house: OAuthHouse) -> None:
    """All that status says comes from the files: no key, no request, no change; it tells where a human is needed."""
    entry = {"url": house.server.url, "auth": {"kind": "oauth"}}
    with house.open().change() as vault:
        for name in ("ready", "expired", "short", "gone", "dead", "lost", "busy", "troubled", "foreign", "moved"):
            vault.add_server(name, entry)
        vault.add_server("static", {"url": house.server.url, "auth": {"kind": "none"}})
        vault.add_server("child", {"command": "/bin/true"})
        vault.add_server("private", {"url": house.server.url, "auth": {"kind": "oauth", "persist": "none"}})
        machine = {
            "kind": "client_credentials",
            "client_id": "c",
            "issuer": house.issuer.issuer,
            "client_secret": "${S}",
        }
        vault.add_server("machine", {"url": house.server.url, "auth": machine})
    for name in ("ready", "expired", "short", "gone", "dead", "lost", "busy", "troubled", "foreign", "moved"):
        house.log_in(name)
    change(house, "expired", ends=-7200)
    change(house, "short", refresh=False)
    change(house, "gone", ends=-7200, refresh=False)
    change(house, "dead", ends=-7200, status="dead", trouble=TROUBLE.replaced(reason="invalid_grant"), intent=INTENT)
    change(house, "lost", ends=-7200, status="ambiguous", intent=INTENT.replaced(ended="died"))
    change(house, "busy", ends=-7200, status="refreshing", intent=INTENT)
    begun = int(time.time())
    trouble = TROUBLE.replaced(since=begun, until=begun + 200)
    change(house, "troubled", trouble=trouble)
    change(house, "foreign", ends=-7200, host="f" * 32, host_name="batch-2")
    with house.open().change() as vault:
        vault.set_plain("moved", "auth.client_id", "another")
    (house.state / "token-demo.toml").write_bytes(b"damaged")
    house.key.unlink()
    before, requests = house.files(), len(house.issuer.requests)

    found = told_of(house)

    assert (before, requests) == (house.files(), len(house.issuer.requests))
    assert {
        "static": "static", "child": "static", "private": "not_kept", "machine": "unused", "demo": "unreadable",
        "moved": "pending_auth", "ready": "ready", "short": "ready", "troubled": "ready", "expired": "expired",
        "gone": "expired", "foreign": "expired", "dead": "dead", "lost": "ambiguous", "busy": "refreshing",
    } == {name: each["state"] for name, each in found.items()}  # fmt: skip
    assert {
        "discovering": {"static", "child", "private", "machine"}, "failed": {"demo"},
        "pending_auth": {"moved", "gone", "foreign", "dead"},
        "ready": {"ready", "short", "troubled", "expired", "lost", "busy"},
    } == {
        session: {name for name, each in found.items() if each["session"] == session}
        for session in ("discovering", "failed", "pending_auth", "ready")
    }  # fmt: skip
    assert {"demo", "moved", "gone", "foreign", "dead"} == {n for n, each in found.items() if each["needs_login"]}
    assert {"short"} == {n for n, each in found.items() if each["human_by"]}
    for name in ("dead", "foreign"):
        assert "refreshes itself" not in house.run("status", name).stdout
    assert "batch-2" == found["foreign"]["other_host"]
    assert "mcpvault refresh foreign --adopt" in found["foreign"]["hint"]
    assert "nightly (pid 4711) on batch-1" in found["lost"]["redemption"]
    assert found["lost"]["redemption"] in found["busy"]["notes"][0]
    assert trouble.fields() == found["troubled"]["trouble"]
    assert "3 times in a row; nobody asks until" in found["troubled"]["notes"][0]
    assert "client_id" in found["moved"]["notes"][0]
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in house.run("status").stdout.splitlines()}
    assert ["oauth", "ready", "good for 60 minutes"] == rows["ready"][:3]
    assert ["oauth", "expired", "ended 2 hours ago"] == rows["gone"][:3]
    assert "run: mcpvault login gone" in rows["gone"][3]


@pytest.mark.parametrize("code", ["invalid_client", "unsupported_grant_type"])
def test_a_refusal_needs_a_person_until_it_is_mended(house: OAuthHouse, code: str) -> None:
    """Every call is exit 3 with the command, in the pause too; ``status`` and ``forecast`` say that a login is owed."""
    house.log_in()
    change(house, ends=-5)
    house.issuer.misbehave("oauth-error", on="refresh_token", error=code, status=400)

    errors = [json.loads(house.run(*ECHO, "--json", code=3).stderr)["error"] for _ in range(3)]

    assert 1 == len({error["hint"] for error in errors})
    assert {"mcpvault login demo"} == {error["login_command"] for error in errors}
    assert [code] == [*{re.findall(code, error["message"])[0] for error in errors}]
    told = told_of(house)["demo"]
    assert (True, "mcpvault login demo") == (told["needs_login"], told["login_command"])
    assert (code, True) == (told["trouble"]["reason"], told["trouble"]["refused"])
    assert "the next call refreshes it" not in told["notes"]
    [duty] = json.loads(house.run("forecast", "--json").stdout)["duties"]
    assert ("login", "mcpvault login demo") == (duty["what"], duty["command"])
    assert "a person" == json.loads(house.run("explain", "demo", "--json").stdout)["credential"]["refresh"]["by"]

    house.issuer.behave()
    house.log_in()
    assert "hello\n" == house.run(*ECHO).stdout
    assert not told_of(house)["demo"]["needs_login"]


@pytest.mark.parametrize("status", ["refreshing", "ambiguous"])
def test_a_token_that_is_not_sent_a_third_time_needs_a_login(house: OAuthHouse, status: str) -> None:
    """After two lost answers ``status``, ``forecast``, ``explain`` and dry runs say what the next call will: exit 3."""
    house.log_in()
    gone = INTENT.replaced(pid=2**22 + 1, host_name=host_name(), attempts=2, lost="nightly (pid 4710) on batch-1")
    change(house, ends=-5, status=status, intent=gone)

    told = told_of(house)["demo"]
    assert ("dead", True, "mcpvault login demo") == (told["state"], told["needs_login"], told["login_command"])
    assert "two answers in a row were lost, and its refresh token is not sent a third time" == told["notes"][0]
    [duty] = json.loads(house.run("forecast", "--json").stdout)["duties"]
    assert ("login", "mcpvault login demo") == (duty["what"], duty["command"])
    explained = json.loads(house.run("explain", "demo", "--json").stdout)
    assert "a person" == explained["credential"]["refresh"]["by"]
    assert "to log in: run: mcpvault login demo" in explained["asks"]
    for options in ((), ("--expiring", "2h")):
        assert "two answers in a row were lost" in house.run("refresh", "demo", *options, "--dry-run", code=3).stderr

    assert "two answers in a row were lost" in house.run(*ECHO, code=3).stderr
    assert [] == house.issuer.called("refresh_token")


def test_who_still_waits_for_an_answer_or_has_one_has_lost_nothing(house: OAuthHouse) -> None:
    """A second redemption that goes on, or whose answer is kept and was not read, is no reason for a login."""
    house.log_in()
    now = INTENT.replaced(pid=os.getpid(), host_name=host_name(), started=int(time.time()), attempts=2)
    change(house, ends=-5, status="refreshing", intent=now)
    assert not told_of(house)["demo"]["needs_login"]

    answer = KeptAnswer(status=503, body=b"busy", asked_at=time.time())
    change(house, status="refreshing", intent=now.replaced(pid=2**22 + 1), answer=answer)
    assert not told_of(house)["demo"]["needs_login"]
    assert "demo: would be refreshed" in house.run("refresh", "demo", "--dry-run").stdout
    house.run(*ECHO, code=4)
    house.run("refresh", "demo")
    assert "hello\n" == house.run(*ECHO).stdout


def test_a_dry_run_knows_of_the_pause(house: OAuthHouse) -> None:
    """What is only done where it is due waits for the end of a pause; what is asked for by name does not."""
    house.log_in()
    now = int(time.time())
    change(house, ends=-5, trouble=TROUBLE.replaced(since=now, until=now + 200))
    assert "no refresh for another" in house.run("refresh", "demo", "--expiring", "2h", "--dry-run", code=4).stderr
    assert "demo: would be refreshed" in house.run("refresh", "demo", "--dry-run").stdout


def test_a_machines_trouble_is_told(house: OAuthHouse) -> None:
    """Before its first token and after: what failed and when, how often, and what the next call will do."""
    client = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    auth = {"kind": "client_credentials", "client_id": "robot", "issuer": house.issuer.issuer}
    with house.open().change() as vault:
        vault.add_server("robot", {"url": house.server.url, "auth": auth})
        vault.set_secret("robot", "auth.client_secret", Secret(str(client.secret)))
    house.issuer.misbehave("bad-gateway", on="client_credentials")
    for _ in range(5):
        house.run("refresh", "robot", code=4)

    told = told_of(house)["robot"]
    assert ("unused", 5, "server_unavailable") == (told["state"], *map(told["trouble"].get, ("failures", "reason")))
    assert "the last token request failed at 20" in told["notes"][0]
    assert "5 times in a row; nobody asks until 20" in told["notes"][0]
    assert "a call after that obtains a token" == told["notes"][1]
    explained = json.loads(house.run("explain", "robot", "--json").stdout)["credential"]
    assert (told["trouble"], told["notes"]) == (explained["trouble"], explained["notes"])
    house.run("call", "robot", "echo", '{"message": "hello"}', code=4)

    house.issuer.behave()
    house.issuer.misbehave("oauth-error", on="client_credentials", error="invalid_client", status=401)
    house.run("refresh", "robot", code=3)
    told = told_of(house)["robot"]
    assert "calls end with exit 3 until somebody has mended that" == told["notes"][1]
    assert "check its client_id, and its secret or key; then run: mcpvault refresh robot" in told["hint"]
    house.run("call", "robot", "echo", '{"message": "hello"}', code=3)

    house.issuer.behave()
    house.run("refresh", "robot")
    now = int(time.time())
    change(house, "robot", ends=-5, trouble=TROUBLE.replaced(since=now, until=now + 100))
    assert "a call after that obtains another" in told_of(house)["robot"]["notes"]
    explained = json.loads(house.run("explain", "robot", "--json").stdout)["credential"]
    assert now + 100 == explained["refresh"]["from"]
    change(house, "robot", ends=-5, trouble=TROUBLE.replaced(since=now, until=now + 100, reason="callers_deadline"))
    notes = told_of(house)["robot"]["notes"]
    assert "was ended by its caller's own deadline" in notes[0]
    assert "the next call obtains another" == notes[1]
    change(house, "robot", ends=-5, trouble=None)
    assert ["the next call obtains another"] == told_of(house)["robot"]["notes"]


def test_status_of_one_entry(house: OAuthHouse) -> None:
    """A named entry is told in full; one that is not there is exit 8."""
    house.log_in(scope="mcp:read admin")

    said = house.run("status", "demo").stdout

    assert said.startswith("demo: ready (oauth)\n  access token: good for 60 minutes, refreshes itself\n")
    assert f"  issuer: {house.issuer.issuer}\n" in said
    assert "  scope: mcp:read admin\n" in said
    assert "did you mean 'demo'?" in house.refused("status", "dem", code=8)


def test_a_login_elsewhere_is_seen(house: OAuthHouse) -> None:
    """While somebody logs in, on this page or an application's own, ``status`` says who, and afterwards no more."""

    def look(_: str) -> str:
        going_on = told_of(house)["demo"]
        assert ("authenticating", "authenticating") == (going_on["state"], going_on["session"])
        assert re.search(r"a login was begun by __main__\.py \(pid \d+\) on ", going_on["notes"][1])
        return house.issuer.follow(address_in(_)) + "\n"

    house.talk("login", "demo", "--method", "paste", answers=[("Paste the address here: ", look)])
    assert ("ready", ()) == (told_of(house)["demo"]["state"], tuple(told_of(house)["demo"]["notes"]))

    house.open().session("demo").authorization_url("https://app.example.com/callback")
    again = told_of(house)["demo"]
    assert ("ready", True) == (again["state"], "its answer may come until" in again["notes"][0])


def test_a_login_that_was_killed_goes_on_no_more(house: OAuthHouse) -> None:
    """What a process that is gone has announced is not believed."""
    house.talk("login", "demo", "--method", "paste", answers=[("Paste the address here: ", INTERRUPT)], code=130)
    [announced] = house.home.glob(".local/state/mcpvault/*/login-demo.toml")
    assert b"" == announced.read_bytes()

    store = house.open().authorization("demo").store
    pid = os.fork()
    if pid == 0:
        with store.logging_in():
            os._exit(0)
    os.waitpid(pid, 0)
    assert f"pid = {pid}" in announced.read_text()
    assert "pending_auth" == told_of(house)["demo"]["state"]


def test_a_probe_asks_the_servers(house: OAuthHouse) -> None:
    """``--probe`` tells what each server answers now; its exit code is the worst answer's, and nobody is asked."""
    assert "wants a login (401)" in house.run("status", "--probe", code=3).stdout
    house.log_in()

    found = told_of(house, "--probe")["demo"]

    assert {"asked": True, "ok": True, "protocol": "2026-07-28", "session": "ready"} == found["probe"]
    house.server.close()
    gone = told_of(house, "--probe", code=4)["demo"]
    assert (False, 4) == tuple(gone["probe"][key] for key in ("ok", "code"))


def test_refresh_from_a_timer(house: OAuthHouse) -> None:
    """``--all`` refreshes each grant once, however many entries share it; ``--expiring`` leaves alone what lasts."""
    with house.open().change() as vault:
        for name in ("twin", "sibling"):
            vault.add_server(name, {"url": house.server.url, "auth": {"kind": "oauth"}, "credential": "shared"})
        vault.add_server("static", {"url": house.server.url, "auth": {"kind": "none"}})
    house.log_in()
    house.log_in("twin")

    said = house.run("refresh", "--all", "--jitter", "1s").stdout
    assert "demo: refreshed, good for 60 minutes\ntwin: refreshed, good for 60 minutes\n" == said
    assert "demo: not due" in house.run("refresh", "demo", "--expiring", "30m").stdout
    assert 2 == house.issuer.redemptions
    [done] = json.loads(house.run("refresh", "demo", "--expiring", "2h", "--json").stdout)
    assert ("demo", True, SCOPE, 3) == (done["server"], done["refreshed"], done["scope"], house.issuer.redemptions)

    assert "mcpvault refresh --all" in house.refused("refresh", code=2)
    assert "its credential is static" in house.run("refresh", "static", code=8).stderr


def test_a_dry_run_says_what_would_be_refreshed(house: OAuthHouse) -> None:
    """Nothing is redeemed, written or waited for; what stands in the way is told as it would be."""
    assert "mcpvault login demo" in house.run("refresh", "demo", "--dry-run", code=3).stderr
    house.log_in()
    before = house.files()

    said = house.run("refresh", "--all", "--expiring", "2h", "--jitter", "9h", "--dry-run").stdout
    assert "demo: would be refreshed, good for 60 minutes\n" == said
    [told] = json.loads(house.run("refresh", "demo", "--expiring", "5m", "--dry-run", "--json").stdout)
    assert (False, False, True) == (told["refreshed"], told["due"], told["dry_run"])
    assert (0, before) == (house.issuer.redemptions, house.files())

    change(house, ends=-5, host="f" * 32, host_name="batch-2")
    assert "batch-2" in house.run("refresh", "demo", "--dry-run", code=3).stderr
    assert "would be refreshed" in house.run("refresh", "demo", "--adopt", "--dry-run").stdout
    assert 0 == house.issuer.redemptions


def test_refresh_tells_the_worst(house: OAuthHouse) -> None:
    """One grant that has ended does not keep the others from being refreshed; the exit code is 3."""
    with house.open().change() as vault:
        vault.add_server("other", {"url": house.server.url, "auth": {"kind": "oauth"}})
    house.log_in()
    house.issuer.withdraw(told_of(house)["demo"]["client_id"])
    house.log_in("other")

    done = house.run("refresh", "--all", code=3)

    assert "other: refreshed" in done.stdout
    assert "demo: " in done.stderr
    assert "mcpvault: hint: run: mcpvault login demo\n" in done.stderr


def test_the_grant_of_another_host(house: OAuthHouse) -> None:
    """State that was copied is not refreshed: exit 3 until somebody says ``--adopt``; then calls work again."""
    house.log_in()
    change(house, ends=-5, host="f" * 32, host_name="batch-2")

    refused = house.run(*ECHO, code=3)
    assert "batch-2" in refused.stderr
    assert "mcpvault refresh demo --adopt" in refused.stderr
    assert "batch-2" in house.run("refresh", "demo", code=3).stderr
    assert 0 == house.issuer.redemptions

    assert "demo: refreshed" in house.run("refresh", "demo", "--adopt").stdout
    assert ("hello\n", 1) == (house.run(*ECHO).stdout, house.issuer.redemptions)


def test_logout_gives_the_grant_back(house: OAuthHouse) -> None:
    """``logout`` revokes both tokens at the server and forgets them here, even where the server is gone."""
    house.log_in()
    before = house.files()
    dry = json.loads(house.run("logout", "demo", "--dry-run", "--json").stdout)
    assert (True, ["refresh_token", "access_token"]) == (dry["dry_run"], [each["token"] for each in dry["tokens"]])
    assert (before, []) == (house.files(), house.issuer.called("revoke"))

    assert (
        "logged out of demo\n  refresh_token: revoked\n  access_token: revoked\n" == house.run("logout", "demo").stdout
    )
    assert 2 == len(house.issuer.called("revoke"))
    assert "pending_auth" == told_of(house)["demo"]["state"]
    assert "mcpvault login demo" in house.run(*ECHO, code=3).stderr
    assert "there was no grant" in house.run("logout", "demo").stdout

    house.log_in()
    house.issuer.close()
    assert "forgotten here, but not revoked" in house.run("logout", "demo").stdout
    assert "pending_auth" == told_of(house)["demo"]["state"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("url", "/v2/mcp", "path /mcp"), ("auth.persist", "none", "a process that keeps it")],
)
def test_who_changes_an_entry_is_told_of_its_grant(house: OAuthHouse, field: str, value: str, told: str) -> None:
    """``set`` says that the grant is not used any more, and what gives it back does."""
    house.log_in()
    value = house.server.url.replace("/mcp", value) if field == "url" else value

    said = house.run("set", "demo", field, value, "--yes").stderr

    assert f"demo: its grant is for {told}, and is not used any more" in said
    assert "run: mcpvault logout demo" in said
    assert "refresh_token: revoked" in house.run("logout", "demo").stdout
    assert "grant" not in house.run("set", "demo", field, value, "--yes").stderr


def test_who_gives_an_entry_another_credential_is_told_of_its_grant(house: OAuthHouse) -> None:
    """The grant stays under the former name: ``set`` says how it is given back, and that does."""
    house.log_in()

    said = house.run("set", "demo", "credential", "team").stderr
    assert "demo: the grant that it had is not used any more" in said
    assert "set credential to 'demo' again, and run: mcpvault logout demo" in said
    house.run("set", "demo", "credential", "demo")

    assert "refresh_token: revoked" in house.run("logout", "demo").stdout
    assert "grant" not in house.run("set", "demo", "credential", "team").stderr


@pytest.mark.parametrize("verb", [("remove", "--yes"), ("client", "disconnect")])
def test_who_removes_an_entry_logs_out_of_it(house: OAuthHouse, verb: tuple[str, ...]) -> None:
    """The tokens are revoked and forgotten, unless another entry uses them, or the server cannot be reached."""
    entry = {"url": house.server.url, "auth": {"kind": "oauth"}, "credential": "demo"}
    with house.open().change() as vault:
        vault.add_server("twin", entry)
    house.log_in()
    before = house.files()
    dry = house.run(*verb, "demo", "--dry-run", "--json").stdout
    assert [] == json.loads(dry)["tokens"]
    assert before == house.files()

    house.run(*verb, "demo")
    assert ("ready", []) == (told_of(house)["twin"]["state"], house.issuer.called("revoke"))

    said = house.run(*verb, "twin").stdout
    assert said.endswith("  twin: refresh_token: revoked\n  twin: access_token: revoked\n")
    assert 2 == len(house.issuer.called("revoke"))
    assert b'status = "none"' in house.record.read_bytes()

    with house.open().change() as vault:
        vault.add_server("demo", {"url": house.server.url, "auth": {"kind": "oauth"}})
    house.log_in()
    house.issuer.close()
    told = json.loads(house.run(*verb, "demo", "--json").stdout)["tokens"]
    assert [True, True] == ["not revoked" in each["outcome"] for each in told]


def test_a_token_that_no_file_keeps_is_told_as_that(house: OAuthHouse) -> None:
    """With ``persist = "refresh"`` the access token that is good for an hour is nobody's any more."""
    house.run("set", "demo", "auth.persist", "refresh")
    house.log_in()
    assert "the process that gets an access token keeps it: each run refreshes" in told_of(house)["demo"]["notes"]


def test_a_grant_of_the_other_type_of_token_is_not_used(house: OAuthHouse) -> None:
    """Status says so as a call does, once the entry asks for tokens that are bound to a key, or no longer does."""
    house.log_in()
    house.run("set", "demo", "auth.dpop", "true")
    found = told_of(house)["demo"]
    assert ("pending_auth", ["its grant is for the token type Bearer"]) == (found["state"], found["notes"])
    assert "mcpvault login demo" in house.run(*ECHO, code=3).stderr

    house.issuer.policy.dpop = "accepted"
    house.log_in()
    assert "ready" == told_of(house)["demo"]["state"]
    house.run("set", "demo", "auth.dpop", "--unset")
    assert ["its grant is for the token type DPoP"] == told_of(house)["demo"]["notes"]


def test_a_file_that_was_cut_short_is_unreadable(house: OAuthHouse) -> None:
    """Status and doctor say so as a call does, and where the file is."""
    house.log_in()
    whole = house.record.read_bytes()
    house.record.write_bytes(whole[: whole.index(b"sealed = ")])

    [note] = told_of(house)["demo"]["notes"]

    assert f"{house.record}: is not whole" == note
    assert "unreadable" == told_of(house)["demo"]["state"]
    assert f"servers.demo: unreadable; {note}" == told(examined(house, "--offline", code=6), "entry.grant")["message"]
    assert str(house.record) in house.run(*ECHO, code=6).stderr


def test_doctor_finds_why_nobody_can_log_in(house: OAuthHouse) -> None:
    """A login sends to doctor when it cannot connect: the connection is tried, and the hint does not lead back."""
    house.server.close()

    broken = told(examined(house, code=3), "entry.reachable")

    assert ("connect_failed", "demo") == (broken["kind"], broken["server"])
    assert broken["hint"].startswith("is it up")


def test_doctor_knows_grants(house: OAuthHouse) -> None:
    """A missing grant is a failure with the command and code 3, offline too; another host's is at first a warning."""
    broken = told(examined(house, "--offline", code=3), "entry.grant")
    assert ("fail", 3, "demo", "run: mcpvault login demo") == tuple(
        broken[key] for key in ("level", "code", "server", "hint")
    )
    assert "servers.demo: pending_auth; nobody has logged in" == broken["message"]
    reached = next(each for each in examined(house, code=3) if each["id"] == "entry.reachable")
    assert ("ok", True) == (reached["level"], "seen after a login" in reached["message"])

    house.log_in()
    found = examined(house)
    assert {"ok"} == {each["level"] for each in found if each["id"] in ("entry.grant", "entry.reachable")}

    change(house, host="f" * 32, host_name="batch-2")
    warned = told(examined(house, "--offline"), "entry.grant")
    assert ("warn", True) == (warned["level"], "batch-2" in warned["message"])
    assert "mcpvault refresh demo --adopt" in warned["hint"]
    assert levels(examined(house, "--offline", "demo"))
