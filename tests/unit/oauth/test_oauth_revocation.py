"""Giving tokens back: in which order, how often, and what is told of it."""

from __future__ import annotations

import pytest
from token_peers import ISSUER, NOW, Peer, answer, client, confidential, leaks, refusal, server

from mcpvault.errors import AuthorizationFailedError, ConnectFailedError, IssuerMismatchError, ServerUnavailableError
from mcpvault.oauth.revocation import Revocation, revocations
from mcpvault.oauth.wire import Answer, drive
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet

TOKENS = TokenSet(Secret("2YotnFZFEjr1zCsicMWpAA"), refresh_token=Secret("45ghiukldjahdnhzdauz"))
DONE = Answer(200)


def test_the_refresh_token_goes_first() -> None:
    """RFC 7009 §2.1: the request of the RFC, and the access token after it."""
    who = confidential().replaced(client_secret=Secret("gX1fBat3bV"))
    peer = Peer(DONE, DONE)

    told = drive(revocations(client(registration=who), TOKENS, now=NOW), peer)

    assert (Revocation("refresh_token"), Revocation("access_token")) == told
    assert [
        {"token": "45ghiukldjahdnhzdauz", "token_type_hint": "refresh_token", "client_id": "s6BhdRkqt3"},
        {"token": "2YotnFZFEjr1zCsicMWpAA", "token_type_hint": "access_token", "client_id": "s6BhdRkqt3"},
    ] == peer.forms
    assert [("POST", f"{ISSUER}/revoke", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")] * 2 == [
        (ask.method, ask.url, ask.headers["Authorization"]) for ask in peer.asked
    ]


def test_a_public_client_names_itself() -> None:
    """§2.1: without credentials the ``client_id`` stands in the body."""
    peer = Peer(DONE)

    drive(revocations(client(), TOKENS.replaced(refresh_token=None), now=NOW), peer)

    assert ["s6BhdRkqt3"] == [form["client_id"] for form in peer.forms]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (answer({}, 503), ServerUnavailableError),
        (refusal("unsupported_token_type"), AuthorizationFailedError),
        (ConnectFailedError("no route"), ConnectFailedError),
    ],
    ids=["down", "unsupported", "no connection"],
)
def test_one_failure_does_not_save_the_other_token(trouble: Answer | Exception, kind: type[Exception]) -> None:
    """Best effort: what could not be revoked is told, with the reason, and the next one is tried."""
    refresh, access = drive(revocations(client(), TOKENS, now=NOW), Peer(trouble, DONE))

    assert kind is type(refresh.error)
    assert Revocation("access_token") == access
    assert refresh.error is not None
    assert [] == leaks(refresh.error, ["45ghiukldjahdnhzdauz", "2YotnFZFEjr1zCsicMWpAA"])


def test_a_server_that_misses_the_secret_gets_an_empty_one() -> None:
    """The MCP SDK's servers want the member even from a public client; empty, it counts as left out (RFC 6749 §3.2)."""
    missing = answer({"error": "invalid_request", "error_description": "client_secret: Field required"}, 400)
    peer = Peer(missing, DONE)

    told = drive(revocations(client(), TOKENS.replaced(refresh_token=None), now=NOW), peer)

    assert (Revocation("access_token"),) == told
    assert [None, ""] == [form.get("client_secret") for form in peer.forms]


def test_a_server_may_revoke_nothing() -> None:
    """Without a ``revocation_endpoint`` nothing is sent, and nothing is said to be revoked."""
    assert () == drive(revocations(client(server=server(revocation_endpoint=None)), TOKENS, now=NOW), Peer())


def test_no_token_is_shown_to_another_issuer() -> None:
    """A60: a client of another authorization server has no business there."""
    peer = Peer()
    with pytest.raises(IssuerMismatchError):
        drive(revocations(client(server=server(issuer="https://other.example")), TOKENS, now=NOW), peer)

    assert [] == peer.asked
