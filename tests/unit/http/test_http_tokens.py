"""Redeeming refresh tokens through requests-oauthlib: what is sent, and what comes back in any case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_servers import CANARY, Authority, answer, serve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redemptions import GRANTED, RESOURCE, form, granting, redeemed

from mcpvault.deadline import Deadline
from mcpvault.http import OriginPolicy, new_session, redeem
from mcpvault.oauth.flows import Client, authenticate
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.testing import FakeAuthorizationServer
from mcpvault.tokens import AuthorizationServer, Registration


def test_a_public_client_names_itself_in_the_body(session_to: Any) -> None:
    """No ``Authorization`` header (A111), no scope (A127), the resource byte for byte (A93)."""
    with serve(granting) as server:
        got = redeemed(session_to(server.origin), f"{server.origin}/token?tenant=a%20b")

        assert Answer(status=200, headers=got.headers, body=GRANTED) == got
        seen = server.seen[0]
        assert "POST /token?tenant=a%20b HTTP/1.1" == seen.head.split("\r\n")[0]
        assert [
            ("client_id", "client-1"),
            ("grant_type", "refresh_token"),
            ("refresh_token", CANARY),
            ("resource", RESOURCE),
        ] == form(seen)
        assert [None, None, "application/json", "application/x-www-form-urlencoded"] == [
            seen.header(name) for name in ("Authorization", "Cookie", "Accept", "Content-Type")
        ]


def test_basic_is_in_the_head_alone(session_to: Any) -> None:
    """The header is ours; the library neither makes another nor adds the client to the body."""
    with serve(granting) as server:
        redeemed(
            session_to(server.origin),
            server.url,
            registered={"token_endpoint_auth_method": "client_secret_basic"},
            headers={"Authorization": Secret("Basic eDp5"), "DPoP": "a.b.c"},
            resource=None,
        )

        assert [("grant_type", "refresh_token"), ("refresh_token", CANARY)] == form(server.seen[0])
        assert ["Basic eDp5", "a.b.c"] == [server.seen[0].header(name) for name in ("Authorization", "DPoP")]


@pytest.mark.parametrize(
    "method, members",
    [
        ("client_secret_post", {"client_id": "client-1", "client_secret": "s/e=c+r&e t"}),
        ("private_key_jwt", {"client_assertion_type": "urn:x", "client_assertion": "a.b.c"}),
        ("private_key_jwt", {"client_id": "client-1", "client_assertion": "a.b.c"}),
    ],
)
def test_what_authenticates_the_client_is_added(session_to: Any, method: str, members: dict[str, str]) -> None:
    """Secret or assertion go into the body as they are given, and ``client_id`` once where the method wants it."""
    with serve(granting) as server:
        redeemed(session_to(server.origin), server.url, registered={"token_endpoint_auth_method": method}, form=members)

        always = [("grant_type", "refresh_token"), ("refresh_token", CANARY), ("resource", RESOURCE)]
        assert sorted([*members.items(), *always]) == form(server.seen[0])
        assert server.seen[0].header("Authorization") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(min_size=1, alphabet="aä+/=&% \"'"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_any_token_arrives_as_it_is(session_to: Any, token: str, secret: str) -> None:
    """Tokens are opaque: no character of one, or of a secret, is changed on the way."""
    with serve(granting) as server:
        redeemed(
            session_to(server.origin), server.url, refresh_token=Secret(token), form={"client_secret": Secret(secret)}
        )

        assert {("refresh_token", token), ("client_secret", secret)} <= set(form(server.seen[0]))


ANSWERS = {
    "narrower scope": (200, b'{"access_token": "a", "token_type": "Bearer", "refresh_token": "r", "scope": "less"}'),
    "no token type": (200, b'{"access_token": "a", "refresh_token": "r"}'),
    "strange expiry": (200, b'{"access_token": "a", "expires_in": "soon", "expires_at": []}'),
    "no token": (200, b"{}"),
    "a list": (200, b"[1, 2]"),
    "a number": (200, b"7"),
    "a page": (200, b"<html>maintenance</html>"),
    "no text": (200, b"\xff\xfe\x00"),
    "nothing": (200, b""),
    "deep": (200, b"[" * 100_000),
    "long number": (200, b'{"expires_in": ' + b"9" * 10_000 + b"}"),
    "strange scope": (200, b'{"access_token": "a", "scope": {"x": 1}}'),
    "refused": (400, b'{"error": "invalid_grant", "error_description": "reuse detected"}'),
    "strange error": (400, b'{"error": {"code": 1}}'),
    "client unknown": (401, b'{"error": "invalid_client"}'),
    "slow down": (429, b'{"error": "slow_down"}'),
    "broken": (500, b"oops"),
    "unavailable": (503, b"<html>503</html>"),
    "moved": (307, b""),
}


@pytest.mark.parametrize("status, body", ANSWERS.values(), ids=ANSWERS)
def test_the_raw_answer_comes_back(session_to: Any, status: int, body: bytes) -> None:
    """Whatever the library makes of it: status, Retry-After and body are the server's, and it was asked once."""
    headers = ("Retry-After: 17", "Location: /elsewhere", "X-Two: a", "X-Two: b")
    with serve(lambda c, _: answer(c, body, f"{status} Whatever", headers)) as server:
        got = redeemed(session_to(server.origin), server.url)

        assert (status, body, "17", "a, b") == (got.status, got.body, got.headers["retry-after"], got.headers["x-two"])
        assert 1 == len(server.seen)


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_a_strict_server_rotates_and_sees_no_token_twice(session_to: Any, method: str) -> None:
    """Against a server that checks client, resource and reuse: each redemption brings the token of the next."""
    with FakeAuthorizationServer() as server:
        known = server.register(auth_method=method)
        registration = Registration(
            issuer=server.issuer,
            client_id=known.client_id,
            source="preregistered",
            token_endpoint_auth_method=method,
            client_secret=Secret(known.secret) if known.secret else None,
        )
        held = AuthorizationServer(issuer=server.issuer, token_endpoint=f"{server.issuer}/token")
        token = server.grant(resource=RESOURCE)["refresh_token"]
        session = session_to(f"http://127.0.0.1:{server.port}")
        for _ in range(3):
            members, headers = authenticate(Client(name="x", server=held, registration=registration), {}, now=0)
            got = redeem(
                server=held,
                registration=registration,
                refresh_token=Secret(token),
                resource=RESOURCE,
                form=members,
                headers=headers,
                session=session,
                deadline=Deadline(20),
            )
            assert 200 == got.status
            token = json.loads(got.body)["refresh_token"]

        assert (3, 0, 0) == (server.redemptions, server.reuse_detected, server.families_revoked)


def test_it_works_over_tls(session_to: Any, authority: Authority) -> None:
    """The entry's authority vouches for the token endpoint."""
    with serve(granting, context=authority.server_context()) as server:
        assert 200 == redeemed(session_to(server.origin, ca_file=authority.file), server.url).status


def test_the_sessions_own_credential_is_not_sent(session_to: Any) -> None:
    """A token request carries what client authentication gave it, whatever the session would add."""

    class Source:
        def headers(self, *_: Any) -> dict[str, Secret]:
            return {"Authorization": Secret("Bearer other")}

    with serve(granting) as server:
        session = new_session(OriginPolicy(origin=server.origin), tokens=Source())  # type: ignore[arg-type]
        redeemed(session, server.url)
        session.close()

        assert server.seen[0].header("Authorization") is None


def test_no_connection_is_used_again(session_to: Any) -> None:
    """One that has been idle may break, and leave open whether the token was redeemed."""
    with serve(granting) as server:
        session = session_to(server.origin)
        session.get(server.url)
        redeemed(session, server.url)

        assert 2 == server.connections
