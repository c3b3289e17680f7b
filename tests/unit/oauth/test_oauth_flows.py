"""Whole ways to a token: which requests, in which order, and what is never tried again."""

from __future__ import annotations

from typing import Any

import pytest
from token_peers import (
    CALLBACK,
    CODE,
    ISSUER,
    KEYS,
    NOW,
    RESOURCE,
    Peer,
    answer,
    client,
    confidential,
    exchange,
    federated,
    granted,
    opened,
    own_name,
    pem,
    pending,
    refusal,
    registration,
    server,
    unsigned,
)

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    IssuerMismatchError,
    RemoteProtocolError,
)
from mcpvault.oauth import flows
from mcpvault.oauth.flows import Client
from mcpvault.oauth.jwt import ClientKey
from mcpvault.oauth.wire import Flow, drive
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet

URN = "urn:ietf:params:oauth"
ID_JAG = answer({"access_token": "e.y.J", "issued_token_type": f"{URN}:token-type:id-jag", "token_type": "N_A"})


def test_a_code_is_spent_at_its_own_token_endpoint() -> None:
    """One request, with the verifier, redirect URI and resource of the pending record."""
    peer, request = Peer(granted(refresh_token="tGzv3JOkF0XG5Qx2TlKWIA")), pending()

    tokens = drive(flows.exchange_code_flow(client(), request, Secret(CODE), now=NOW), peer)

    assert [(f"{ISSUER}/token", "POST", "token request")] == [(ask.url, ask.method, ask.purpose) for ask in peer.asked]
    assert [
        {
            "grant_type": "authorization_code",
            "code": CODE,
            "code_verifier": request.code_verifier.reveal(),
            "redirect_uri": CALLBACK,
            "resource": RESOURCE,
            "client_id": "s6BhdRkqt3",
        }
    ] == peer.forms
    assert ("read", "read", NOW + 3600) == (tokens.scope, tokens.requested_scope, tokens.expires_at)
    assert Secret("tGzv3JOkF0XG5Qx2TlKWIA") == tokens.refresh_token


@pytest.mark.parametrize(
    "changes",
    [
        {"server": server(issuer="https://evil.example")},
        {"registration": registration(client_id="other")},
        {"registration": None},
    ],
    ids=["issuer", "client", "nobody"],
)
def test_a_code_goes_to_nobody_else(changes: dict[str, Any]) -> None:
    """A84: a record of another issuer or client sends nothing at all."""
    peer = Peer()
    with pytest.raises(IssuerMismatchError):
        drive(exchange(client(**changes)), peer)

    assert [] == peer.asked


def test_client_credentials_are_one_request() -> None:
    """C1, C2: Basic by default, the resource in the body, and a refresh token that comes all the same is dropped."""
    peer = Peer(granted(refresh_token="surplus", scope="read"))

    tokens = drive(own_name(client(registration=confidential())), peer)

    expected = {"grant_type": "client_credentials", "scope": "read", "resource": RESOURCE, "client_id": "s6BhdRkqt3"}
    assert [expected] == peer.forms
    assert "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3" == peer.asked[0].headers["Authorization"]
    assert (None, "read") == (tokens.refresh_token, tokens.scope)


def test_client_credentials_with_a_key_name_no_client() -> None:
    """C2, C4: ``client_credentials`` with an assertion, and no ``client_id`` beside it."""
    peer = Peer(granted())
    who = registration(token_endpoint_auth_method="private_key_jwt")

    drive(own_name(client(registration=who, key=ClientKey(pem(KEYS["ES256"])))), peer)

    assert {"grant_type", "scope", "resource", "client_assertion", "client_assertion_type"} == peer.forms[0].keys()
    assert ISSUER == opened(peer.forms[0]["client_assertion"])[1]["aud"]
    assert "Authorization" not in peer.asked[0].headers


@pytest.mark.parametrize("who", [registration(), None], ids=["public", "nobody"])
def test_a_public_client_has_no_credentials(who: Any) -> None:
    """RFC 6749 §4.4: the grant is for confidential clients only; nothing is sent."""
    peer = Peer()
    with pytest.raises(ConfigurationError, match="need a client secret or a private key"):
        drive(own_name(client(registration=who)), peer)

    assert [] == peer.asked


def test_a_workload_needs_no_client() -> None:
    """Workload identity federation: the assertion alone says who asks; a known client is named beside it."""
    nobody, known = Peer(granted()), Peer(granted())

    drive(federated(client(registration=None)), nobody)
    drive(federated(client()), known)

    assert {"grant_type", "assertion", "scope", "resource"} == nobody.forms[0].keys()
    assert f"{URN}:grant-type:jwt-bearer" == nobody.forms[0]["grant_type"]
    assert {**nobody.forms[0], "client_id": "s6BhdRkqt3"} == known.forms[0]


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_scope", "unauthorized_client"])
def test_a_rejected_assertion_is_not_tried_again(error: str) -> None:
    """One request and no other grant after it; the code is handed on as it came."""
    peer = Peer(refusal(error, "no"))
    with pytest.raises(AuthorizationFailedError) as caught:
        drive(federated(client(registration=None)), peer)

    assert (error, 1) == (caught.value.error, len(peer.asked))


@pytest.mark.parametrize(
    ("claims", "hint"),
    [
        ({"exp": NOW - 60, "aud": ISSUER}, "the assertion expired 60 s ago; get a fresh one"),
        (
            {"exp": NOW + 60, "aud": "https://wrong.example"},
            "is made out to https://wrong.example, the token endpoint is",
        ),
        ({"aud": ["a", "b"]}, "is made out to a, b, the token endpoint is https://as.example/token"),
        ({}, "is made out to nobody"),
        ({"exp": NOW + 60, "aud": [f"{ISSUER}/token"]}, "it has expired, was used before"),
        ({"exp": "soon", "aud": ISSUER}, "it has expired, was used before"),
    ],
    ids=["expired", "other audience", "other audiences", "no audience", "good", "odd"],
)
def test_a_rejected_assertion_is_looked_at(claims: dict[str, Any], hint: str) -> None:
    """What is plainly wrong with it becomes the hint; the judgement was the server's."""
    peer = Peer(refusal("invalid_grant"))
    flow = flows.jwt_bearer_flow(client(), unsigned(**claims), scope=None, resource=None, now=NOW)
    with pytest.raises(AuthorizationFailedError) as caught:
        drive(flow, peer)

    assert hint in str(caught.value.hint)


def id_jag(**options: Any) -> tuple[Client, Flow[TokenSet]]:
    """Begin an enterprise-managed authorization."""
    at_idp = server(issuer="https://idp.example", token_endpoint="https://idp.example/token")
    idp = client(server=at_idp, registration=registration(issuer="https://idp.example", client_id="idp-client"))
    usual = {
        "subject_token": unsigned(exp=NOW + 60),
        "subject_token_type": "id_token",
        "scope": "read",
        "resource": RESOURCE,
    }
    who = client(registration=confidential())
    return idp, flows.id_jag_flow(idp, who, now=NOW, **{**usual, **options})


def test_an_enterprise_authorization_has_two_legs() -> None:
    """E1–E3: the identity provider is asked for an ID-JAG, the authorization server takes it for a token."""
    peer = Peer(ID_JAG, granted(refresh_token="surplus"))

    tokens = drive(id_jag()[1], peer)

    assert ["https://idp.example/token", f"{ISSUER}/token"] == [ask.url for ask in peer.asked]
    first, second = peer.forms
    assert (f"{URN}:grant-type:token-exchange", ISSUER, RESOURCE, "idp-client") == (
        first["grant_type"],
        first["audience"],
        first["resource"],
        first["client_id"],
    )
    assert {
        "grant_type": f"{URN}:grant-type:jwt-bearer",
        "assertion": "e.y.J",
        "scope": "read",
        "resource": RESOURCE,
        "client_id": "s6BhdRkqt3",
    } == second
    assert "Authorization" in peer.asked[1].headers
    assert tokens.refresh_token is None


def test_the_first_leg_can_end_it() -> None:
    """What the identity provider refuses never reaches the authorization server; an expired assertion is told."""
    peer = Peer(refusal("invalid_grant"))
    with pytest.raises(AuthorizationFailedError, match="linear: token exchange") as caught:
        drive(id_jag(subject_token=unsigned(exp=NOW - 1))[1], peer)

    assert 1 == len(peer.asked)
    assert "the subject token expired 1 s ago; get a fresh one" == caught.value.hint


def test_a_token_of_the_identity_provider_does_not_travel() -> None:
    """An answer that is no ID-JAG is not presented as one."""
    peer = Peer(granted())
    with pytest.raises(RemoteProtocolError):
        drive(id_jag()[1], peer)

    assert 1 == len(peer.asked)


def test_every_token_has_an_id_jag_of_its_own() -> None:
    """E5: its ``jti`` is good once, so a second token begins at the identity provider again."""
    peer = Peer(ID_JAG, granted(), ID_JAG, granted())

    for _ in range(2):
        drive(id_jag()[1], peer)

    assert 4 == len(peer.asked)


def test_support_is_declared_by_a_profile() -> None:
    """E4: ``authorization_grant_profiles_supported`` names it."""
    assert flows.offers_id_jag(server(authorization_grant_profiles_supported=(f"{URN}:grant-profile:id-jag",)))
    assert not flows.offers_id_jag(server())
