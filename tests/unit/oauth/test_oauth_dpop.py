"""Proofs of possession: what they say, what they are bound to, and when a nonce was asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st
from token_peers import NOW, leaks, opened

from mcpvault.errors import ConfigurationError
from mcpvault.oauth import dpop, jwt
from mcpvault.oauth.dpop import ProofKey
from mcpvault.secret import Secret

# RFC 7515 appendix A.3.1
PUBLIC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
PRIVATE = {**PUBLIC, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}
# RFC 9449 §4.1, §6.1 and §7.1
THEIRS = {
    "kty": "EC",
    "crv": "P-256",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
}
THEIR_TOKEN = Secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")


def key() -> ProofKey:
    """Return the key of RFC 7515."""
    return ProofKey.from_jwk(Secret(json.dumps(PRIVATE)))


def numbers(jwk: dict[str, str]) -> ec.EllipticCurvePublicNumbers:
    """Return the public point of *jwk*."""
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())


def verify(proof: str) -> None:
    """Raise unless *proof* is signed by the key in its own header."""
    header, _ = opened(proof)
    signing_input, _, text = proof.rpartition(".")
    signature = base64.urlsafe_b64decode(text + "==")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    der = utils.encode_dss_signature(r, s)
    numbers(header["jwk"]).public_key().verify(der, signing_input.encode(), ec.ECDSA(hashes.SHA256()))


def test_a_proof_for_a_token_request_is_the_one_of_rfc_9449() -> None:
    """§4.2: type, algorithm and public key in the header; method, URL, time and a new name in the claims."""
    proof = key().proof(method="POST", url="https://server.example.com/token", now=1562265296.9)

    verify(proof)
    header, claims = opened(proof)
    assert {"typ": "dpop+jwt", "alg": "ES256", "jwk": PUBLIC} == header
    assert 22 == len(claims.pop("jti"))
    assert {"htm": "POST", "htu": "https://server.example.com/token", "iat": 1562265296} == claims


def test_a_proof_names_the_token_that_it_goes_with() -> None:
    """§7.1: ``ath`` of the RFC's own token is the RFC's own hash; a nonce is sent back as it came."""
    claims = opened(key().proof(method="GET", url="https://r.example/", now=NOW, access_token=THEIR_TOKEN, nonce="n!"))[
        1
    ]

    assert ("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", "n!") == (claims["ath"], claims["nonce"])


def test_the_thumbprint_is_the_one_of_rfc_9449() -> None:
    """§6.1: ``jkt`` of the RFC's key."""
    assert "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" == jwt.thumbprint(THEIRS)
    assert 43 == len(key().thumbprint)


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        ("https://mcp.example/mcp?a=b#c", "https://mcp.example/mcp"),
        ("https://mcp.example/mcp#c?d", "https://mcp.example/mcp"),
        ("https://mcp.example/mcp/", "https://mcp.example/mcp/"),
        ("http://127.0.0.1:8080/a%20b", "http://127.0.0.1:8080/a%20b"),
    ],
)
def test_htu_has_neither_query_nor_fragment(url: str, htu: str) -> None:
    """§4.2: everything else of the URL stays as it is sent."""
    assert htu == opened(key().proof(method="POST", url=url, now=NOW))[1]["htu"]


def test_no_proof_is_used_twice() -> None:
    """Every proof has a name of its own, so none can be taken for a replay."""
    names = {opened(key().proof(method="POST", url="https://a.example/", now=NOW))[1]["jti"] for _ in range(20)}

    assert 20 == len(names)


def test_a_key_survives_being_sealed() -> None:
    """What is written is what is read; the public half and the thumbprint with it."""
    made = ProofKey.generate()

    read = ProofKey.from_jwk(made.jwk())

    assert (made.public_jwk, made.thumbprint, made.jwk()) == (read.public_jwk, read.thumbprint, read.jwk())
    assert PRIVATE == json.loads(key().jwk().reveal())
    verify(read.proof(method="POST", url="https://a.example/", now=NOW))


@given(st.integers(1, 2**200))
def test_small_numbers_keep_their_size(private: int) -> None:
    """RFC 7518 §6.2.1.2: coordinates have their full size, leading zeros and all."""
    made = ProofKey(ec.derive_private_key(private, ec.SECP256R1()))

    assert {32} == {len(base64.urlsafe_b64decode(f"{made.public_jwk[name]}=")) for name in ("x", "y")}
    assert made.thumbprint == ProofKey.from_jwk(made.jwk()).thumbprint


@pytest.mark.parametrize(
    "jwk",
    [
        "", "[]", "{}", json.dumps(PUBLIC), json.dumps({**PRIVATE, "crv": "P-384"}), json.dumps({**PRIVATE, "d": 7}),
        json.dumps({**PRIVATE, "d": "!"}), json.dumps({**PRIVATE, "d": "AA"}), json.dumps({**PRIVATE, "kty": "OKP"}),
        json.dumps({**PRIVATE, "d": PRIVATE["d"] * 2}),
    ],
    ids=["empty", "list", "nothing", "public", "curve", "number", "alphabet", "zero", "type", "long"],
)  # fmt: skip
def test_what_is_no_private_key_is_refused(jwk: str) -> None:
    """Nothing of it, and nothing of the library's complaint, comes along."""
    with pytest.raises(ConfigurationError, match="no private P-256 key") as caught:
        ProofKey.from_jwk(Secret(jwk))

    assert [] == leaks(caught.value, [PRIVATE["d"]])
    assert (None, None) == (caught.value.__context__, caught.value.__cause__)


def test_a_key_shows_its_thumbprint_alone() -> None:
    """The thumbprint is public: it stands in every token."""
    made = key()

    assert f"ProofKey({made.thumbprint})" == repr(made)


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (400, {"dpop-nonce": "n-1"}, {"error": "use_dpop_nonce"}, "n-1"),
        (401, {"dpop-nonce": "n-1"}, {"error": "use_dpop_nonce"}, "n-1"),
        (401, {"dpop-nonce": "n-1", "www-authenticate": 'DPoP error="use_dpop_nonce"'}, {}, "n-1"),
        (
            401,
            {"dpop-nonce": "n-1", "www-authenticate": 'Bearer, dpop error="use_dpop_nonce", algs="ES256"'},
            {},
            "n-1",
        ),
        (401, {"dpop-nonce": "n-1", "www-authenticate": 'DPoP error="invalid_token"'}, {}, None),
        (401, {"dpop-nonce": "n-1", "www-authenticate": 'Bearer error="use_dpop_nonce"'}, {}, None),
        (403, {"dpop-nonce": "n-1", "www-authenticate": 'DPoP error="use_dpop_nonce"'}, {}, None),
        (400, {"dpop-nonce": "n-1"}, {"error": "invalid_grant"}, None),
        (400, {}, {"error": "use_dpop_nonce"}, None),
        (400, {"dpop-nonce": 'quoted"'}, {"error": "use_dpop_nonce"}, None),
        (400, {"dpop-nonce": "two, of them"}, {"error": "use_dpop_nonce"}, None),
        (200, {"dpop-nonce": "n-1"}, {"access_token": "a"}, None),
        (500, {"dpop-nonce": "n-1"}, {"error": "use_dpop_nonce"}, None),
    ],
)
def test_a_nonce_is_asked_for_in_two_ways(
    status: int, headers: dict[str, str], body: dict[str, Any], expected: str | None
) -> None:
    """§8: a token endpoint says so in its body, §9: a resource server in its challenge; nothing else counts."""
    assert expected == dpop.nonce_from(status, headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("told", "expected"),
    [("eyJ7S_zG.eyJH0-Z.HX4w-7v", "eyJ7S_zG.eyJH0-Z.HX4w-7v"), ("", None), ("a b", None), ("x" * 2000, None)],
)
def test_any_answer_may_bring_the_next_nonce(told: str, expected: str | None) -> None:
    """§8.2: it is taken whatever the status; what no proof may hold is not."""
    assert expected == dpop.fresh_nonce({"dpop-nonce": told})
    assert dpop.fresh_nonce({}) is None
