"""The traps of requests-oauthlib and oauthlib: each is shown to be one, and to be avoided."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import oauthlib
import pytest
import requests
import requests_oauthlib
from http_servers import CANARY, Authority, Seen, answer, serve
from oauthlib.oauth2 import InsecureTransportError
from redemptions import GRANTED, form, granting, redeemed
from requests_oauthlib import OAuth2Session

from mcpvault import tokens
from mcpvault.http import OriginPolicy, new_session
from mcpvault.secret import RedactingFilter, Secret

HOMES = [Path(next(iter(package.__path__))) for package in (oauthlib, requests_oauthlib)]
OLD = {"access_token": "at-old-77b1", "token_type": "Bearer", "refresh_token": CANARY, "expires_in": -10}


def plain(authority: Authority, **options: Any) -> OAuth2Session:
    """Return the library's session as its documentation makes one."""
    session = OAuth2Session("client-1", token=dict(OLD), **options)
    session.verify = authority.file
    return session


def test_a_narrower_scope_does_not_lose_the_rotated_token(session_to: Any, authority: Authority) -> None:
    """The library raises when the scope has changed, after the old refresh token was spent, and keeps the old pair."""
    body = json.dumps({**json.loads(GRANTED), "scope": "read"}).encode()
    with serve(lambda c, _: answer(c, body), context=authority.server_context()) as server:
        library = plain(authority, scope=["read", "write"])
        with pytest.raises(Warning, match="Scope has changed"):
            library.refresh_token(server.url)
        assert CANARY == library.token["refresh_token"]

        assert body == redeemed(session_to(server.origin, ca_file=authority.file), server.url).body


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
def test_b_the_refresh_token_does_not_follow_a_redirect(session_to: Any, authority: Authority, status: str) -> None:
    """The library sends it on to another host; here the redirect is the answer."""

    def away(connection: socket.socket, seen: Seen) -> None:
        answer(connection, b"", status, (f"Location: {other.origin}/steal",))

    with (
        serve(granting, context=authority.server_context()) as other,
        serve(away, context=authority.server_context()) as server,
    ):
        plain(authority).refresh_token(server.url)
        assert ("refresh_token", CANARY) in form(other.seen[0])
        other.seen.clear()

        got = redeemed(session_to(server.origin, ca_file=authority.file), server.url)

        assert (int(status[:3]), f"{other.origin}/steal") == (got.status, got.headers["location"])
        assert [] == other.seen


def test_c_netrc_adds_nothing_to_a_token_request(session_to: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Left to itself, requests lets ~/.netrc win over an explicit header, and gives a public client a password."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serve(granting) as server:
        requests.post(server.url, headers={"Authorization": "Basic eDp5"}, timeout=5)
        requests.post(server.url, timeout=5)
        redeemed(session_to(server.origin), server.url, headers={"Authorization": Secret("Basic eDp5")})
        redeemed(session_to(server.origin), server.url)

        theirs, ours = server.seen[:2], server.seen[2:]
        assert ["Basic bWU6b3RoZXI="] * 2 == [seen.header("Authorization") for seen in theirs]
        assert ["Basic eDp5", None] == [seen.header("Authorization") for seen in ours]


def test_c_a_public_client_gets_no_basic_header(session_to: Any, authority: Authority) -> None:
    """``fetch_token`` makes one of the client id and no password (A111); a redemption makes none."""
    with serve(granting, context=authority.server_context()) as server:
        plain(authority).fetch_token(server.url, code="c")
        redeemed(session_to(server.origin, ca_file=authority.file), server.url)

        assert ["Basic Y2xpZW50LTE6", None] == [seen.header("Authorization") for seen in server.seen]


def test_d_debug_logs_hold_no_token(session_to: Any, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """The library logs old and new tokens, in clear and urlencoded; a redemption lets it say nothing."""
    old = "rt/old+77=" + CANARY
    caplog.set_level(logging.DEBUG)
    with serve(granting, context=authority.server_context()) as server:
        plain(authority).refresh_token(server.url, refresh_token=old)
        assert all(leak in caplog.text for leak in ("rt%2Fold%2B77%3D", "rt-new-81d2", "at-new-5f0c"))
        caplog.clear()

        session = session_to(server.origin, ca_file=authority.file)
        redeemed(session, server.url, refresh_token=Secret(old), form={"client_secret": "se/cr+et-99"})

        leaks = ("rt/old", "rt%2Fold", CANARY[:8], "rt-new", "at-new", "se/cr", "se%2Fcr")
        assert [] == [leak for leak in leaks if leak in caplog.text]
        assert [] == [record for record in caplog.records if "oauthlib" in record.name]


def test_d_what_others_do_with_the_library_is_masked_and_not_silenced(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user of it in the same process keeps the logs; live secrets of ours are masked in them."""
    caplog.set_level(logging.DEBUG)
    mine = Secret(CANARY)
    with serve(granting, context=authority.server_context()) as server:
        plain(authority).refresh_token(server.url)

    spoken = [record.getMessage() for record in caplog.records if record.name == "requests_oauthlib.oauth2_session"]
    assert any("Prepared refresh token request body" in line and "[redacted]" in line for line in spoken)
    assert mine.reveal() not in caplog.text


def test_d_every_logger_of_theirs_has_the_filter() -> None:
    """A filter on a parent does not see its children's records, so each logger is found and filtered."""
    modules = [
        ".".join((home.name, *path.relative_to(home).with_suffix("").parts)).removesuffix(".__init__")
        for home in HOMES
        for path in home.rglob("*.py")
        if "getLogger(__name__)" in path.read_text("utf-8")
    ]

    assert len(modules) > 30
    for name in ["oauthlib", "requests_oauthlib", *modules]:
        # An unloaded module has made no logger, and says nothing.
        assert name not in sys.modules or any(isinstance(f, RedactingFilter) for f in logging.getLogger(name).filters)
    assert "requests_oauthlib.oauth2_session" in modules


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_e_no_variable_replaces_the_trusted_roots(
    session_to: Any,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """The library's ``session.verify`` is ignored when such a variable is set; ours is the policy's."""
    monkeypatch.setenv(variable, Authority.create(tmp_path).file)
    with serve(granting, context=authority.server_context()) as server:
        with pytest.raises(requests.exceptions.SSLError):
            plain(authority).refresh_token(server.url)

        assert 200 == redeemed(session_to(server.origin, ca_file=authority.file), server.url).status


@pytest.mark.parametrize(
    "status, body, theirs",
    [
        ("503 Service Unavailable", b"<html>try later</html>", "MissingTokenError"),
        ("429 Too Many Requests", b'{"error": "slow_down"}', "CustomOAuth2Error"),
    ],
)
def test_f_status_and_retry_after_are_kept(
    session_to: Any,
    authority: Authority,
    status: str,
    body: bytes,
    theirs: str,
) -> None:
    """The library's exceptions know neither; an unavailable server looks like a refusal."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        answer(connection, body, status, ("Retry-After: 30",))

    with serve(handle, context=authority.server_context()) as server:
        with pytest.raises(oauthlib.oauth2.OAuth2Error) as caught:
            plain(authority).refresh_token(server.url)
        assert theirs == type(caught.value).__name__
        assert "30" not in repr(vars(caught.value))

        got = redeemed(session_to(server.origin, ca_file=authority.file), server.url)

        assert (int(status[:3]), "30", body) == (got.status, got.headers["retry-after"], got.body)


def test_g_loopback_works_without_a_switch(session_to: Any, authority: Authority) -> None:
    """The library refuses plain http even on loopback, unless a variable allows it to the whole process."""
    with serve(granting) as server:
        with pytest.raises(InsecureTransportError):
            plain(authority).refresh_token(server.url)

        assert 200 == redeemed(session_to(server.origin), server.url).status


def test_g_plain_http_to_another_machine_stays_refused() -> None:
    """The alias that the library sees does not open what the guard closes."""
    with pytest.raises(Exception, match="plain http"):
        new_session(OriginPolicy(origin="http://as.example.com:80"))


def test_h_a_relative_expiry_is_not_kept() -> None:
    """The library makes an old token valid again by counting ``expires_in`` from when it was loaded."""
    stored = {**OLD, "expires_in": 3600}  # written an hour ago
    assert OAuth2Session("client-1", token=stored)._client._expires_at > time.time() + 3000

    held = tokens.TokenSet(access_token=Secret("a"), issued_at=0.0, expires_at=3600.0)
    assert "expires_in" not in tokens.as_json(held)
    assert not tokens.token_set(tokens.as_json(held)).fresh(time.time())


def variables() -> list[str]:
    """Name every variable that the two libraries look at."""
    sources = [path.read_text("utf-8") for home in HOMES for path in home.rglob("*.py")]
    return sorted({name for source in sources for name in re.findall(r"environ[^\n]*?['\"](\w+)['\"]", source)})


def test_no_variable_changes_anything(session_to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every one of their variables set, the same is sent and the same comes back."""
    switches = variables()
    assert {"OAUTHLIB_INSECURE_TRANSPORT", "OAUTHLIB_RELAX_TOKEN_SCOPE", "OAUTHLIB_STRICT_TOKEN_TYPE"} == set(switches)
    bodies = [GRANTED, b'{"access_token": "a"}', b'{"access_token": "a", "scope": "less"}', b"oops"]
    waiting = [*bodies, *bodies]
    with serve(lambda c, _: answer(c, waiting.pop(0))) as server:
        session = session_to(server.origin)
        without = [redeemed(session, server.url) for _ in bodies]
        for name in switches:
            monkeypatch.setenv(name, "1")
        having = [redeemed(session, server.url) for _ in bodies]

        assert without == having
        assert server.seen[:4] == server.seen[4:]


def test_the_library_is_loaded_when_something_is_redeemed() -> None:
    """It costs as much as requests itself; a run that refreshes nothing does without."""
    code = (
        "import sys, mcpvault.http as h\n"
        "h.Asker, h.Loopback, h.TokenAuth, h.was_sent, h.open_browser, h.RequestsExchange\n"
        "print(*[m for m in sys.modules if 'oauthlib' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "" == done.stdout.strip()
