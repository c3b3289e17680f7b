"""What goes wrong in a flow: nonces, unbound tokens, servers that are down; and what no exception carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from token_peers import (
    CODE,
    ISSUER,
    KEYS,
    NOW,
    Peer,
    answer,
    client,
    confidential,
    exchange,
    federated,
    granted,
    leaks,
    opened,
    own_name,
    pem,
    refusal,
    registration,
    unsigned,
)

from mcpvault.errors import (
    AuthorizationFailedError,
    ConnectFailedError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.dpop import ProofKey
from mcpvault.oauth.flows import Client
from mcpvault.oauth.jwt import ClientKey
from mcpvault.oauth.wire import Flow, drive
from mcpvault.tokens import TokenSet

FLOWS = pytest.mark.parametrize("flow", [exchange, own_name, federated], ids=["code", "client credentials", "jwt"])
MakeFlow = Callable[[Client], Flow[TokenSet]]


@FLOWS
def test_a_token_can_be_bound_to_a_key(flow: MakeFlow) -> None:
    """RFC 9449 §5: the proof goes with the token request, and the token must be of type DPoP."""
    key = ProofKey.generate()
    peer = Peer(granted(token_type="DPoP"))

    tokens = drive(flow(client(registration=confidential(), proof_key=key)), peer)

    header, claims = opened(peer.asked[0].headers["DPoP"])
    assert (key.public_jwk, "POST", f"{ISSUER}/token", int(NOW)) == (
        header["jwk"],
        claims["htm"],
        claims["htu"],
        claims["iat"],
    )
    assert not {"ath", "nonce"} & claims.keys()
    assert "DPoP" == tokens.token_type


@FLOWS
def test_a_nonce_is_answered_once(flow: MakeFlow) -> None:
    """RFC 9449 §8: the same request again with the nonce; proof and client assertion are new ones."""
    who = registration(token_endpoint_auth_method="private_key_jwt")
    peer = Peer(refusal("use_dpop_nonce", dpop_nonce="n-1"), granted(token_type="DPoP"))

    drive(flow(client(registration=who, key=ClientKey(pem(KEYS["ES256"])), proof_key=ProofKey.generate())), peer)

    first, second = (opened(ask.headers["DPoP"])[1] for ask in peer.asked)
    assert (None, "n-1") == (first.get("nonce"), second["nonce"])
    assert first["jti"] != second["jti"]
    once, twice = peer.forms
    assert opened(once.pop("client_assertion"))[1]["jti"] != opened(twice.pop("client_assertion"))[1]["jti"]
    assert once == twice


@FLOWS
def test_a_nonce_is_not_answered_twice(flow: MakeFlow) -> None:
    """A server that is never content ends the flow; so does one that asks without a nonce or without DPoP."""
    asked = refusal("use_dpop_nonce", dpop_nonce="n-1")
    for who, answers, requests in (
        (client(registration=confidential(), proof_key=ProofKey.generate()), [asked, asked], 2),
        (client(registration=confidential(), proof_key=ProofKey.generate()), [refusal("use_dpop_nonce")], 1),
        (client(registration=confidential()), [asked], 1),
    ):
        peer = Peer(*answers)
        with pytest.raises(AuthorizationFailedError) as caught:
            drive(flow(who), peer)
        assert ("use_dpop_nonce", requests) == (caught.value.error, len(peer.asked))


@FLOWS
def test_a_bearer_token_is_no_substitute_for_a_bound_one(flow: MakeFlow) -> None:
    """Who asked for a bound token does not go on with one that anybody can use."""
    peer = Peer(granted())
    with pytest.raises(RemoteProtocolError, match="expected 'DPoP'"):
        drive(flow(client(registration=confidential(), proof_key=ProofKey.generate())), peer)


@FLOWS
def test_nothing_else_is_tried_again(flow: MakeFlow) -> None:
    """A server that is down is asked once: when to come back is the caller's business."""
    peer = Peer(answer({}, 503, retry_after="9"))
    with pytest.raises(ServerUnavailableError) as caught:
        drive(flow(client(registration=confidential())), peer)

    assert (9.0, 1) == (caught.value.retry_after, len(peer.asked))


@FLOWS
@pytest.mark.parametrize(
    "trouble",
    [refusal("invalid_grant", "x"), answer({}), granted(token_type="mac"), ConnectFailedError("no route")],
    ids=["refused", "nothing", "other type", "no connection"],
)
def test_no_exception_carries_a_secret(flow: MakeFlow, trouble: Any) -> None:
    """Neither message nor cause nor any frame that it passed: code, verifier, secret, proof key and token."""
    key = ProofKey.generate()
    who = client(registration=confidential(), proof_key=key)
    with pytest.raises(McpVaultError) as caught:
        drive(flow(who), Peer(trouble))

    secrets = [
        CODE,
        "7Fjfp0ZBr1KtDRbnfVdmIw",
        "czZCaGRSa3F0Mzo3",
        "2YotnFZFEjr1zCsicMWpAA",
        unsigned(aud=ISSUER).reveal(),
    ]
    assert [] == leaks(caught.value, [*secrets, key.jwk().reveal()])
