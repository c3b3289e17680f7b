"""Signatures as a client makes them: which algorithm, which form, and what a key must be."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, utils
from hypothesis import given
from hypothesis import strategies as st
from token_peers import KEYS, opened, pem

from mcpvault.errors import ConfigurationError
from mcpvault.oauth import jwt
from mcpvault.oauth.jwt import ClientKey
from mcpvault.secret import Secret

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def verify(token: str, alg: str, key: object) -> None:
    """Raise unless *token* carries a signature that the public half of *key* confirms (RFC 7518 §3)."""
    signing_input, _, text = token.rpartition(".")
    signature = base64.urlsafe_b64decode(text + "==")
    public = key.public_key()  # type: ignore[attr-defined]
    data = signing_input.encode()
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, data)
    elif isinstance(public, rsa.RSAPublicKey):
        usual = padding.PKCS1v15()
        scheme = padding.PSS(padding.MGF1(HASHES[alg[2:]]), 32) if alg.startswith("PS") else usual
        public.verify(signature, data, scheme, HASHES[alg[2:]])
    else:
        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(HASHES[alg[2:]]))


@pytest.mark.parametrize(
    ("kind", "alg", "size"),
    [
        ("RS256", "RS256", 256),
        ("RS256", "PS256", 256),
        ("ES256", "ES256", 64),
        ("ES384", "ES384", 96),
        ("ES512", "ES512", 132),
        ("EdDSA", "EdDSA", 64),
        ("EdDSA", "Ed25519", 64),
    ],
)
def test_a_signature_is_the_one_of_rfc_7518(kind: str, alg: str, size: int) -> None:
    """Each algorithm verifies with the public key; ECDSA is R ‖ S of full size and not DER."""
    token = ClientKey(pem(KEYS[kind])).sign({"sub": "a"}, alg=alg).reveal()

    verify(token, alg, KEYS[kind])
    assert size == len(base64.urlsafe_b64decode(token.rpartition(".")[2] + "=="))
    assert ({"alg": alg}, {"sub": "a"}) == opened(token)


def test_the_example_of_rfc_8037_comes_out_byte_for_byte() -> None:
    """RFC 8037 appendix A.4: Ed25519 is deterministic, so the whole JWS can be compared."""
    private = jwt.unb64url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
    assert private is not None
    key = ed25519.Ed25519PrivateKey.from_private_bytes(private)

    token = jwt.compact(key, {"alg": "EdDSA"}, b"Example of Ed25519 signing")

    assert (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    ) == token


@pytest.mark.parametrize(
    ("kind", "accepted", "expected"),
    [
        ("RS256", None, "RS256"),
        ("RS256", ("PS256", "ES256"), "PS256"),
        ("RS256", ("PS256", "RS256"), "RS256"),
        ("ES384", ("ES256", "ES384"), "ES384"),
        ("EdDSA", None, "EdDSA"),
        ("EdDSA", ("Ed25519",), "Ed25519"),
    ],
)
def test_the_algorithm_is_one_that_both_can_do(kind: str, accepted: tuple[str, ...] | None, expected: str) -> None:
    """A server that lists none takes the usual one of the key; one that lists some gets one of them."""
    assert expected == ClientKey(pem(KEYS[kind])).algorithm(accepted)


def test_a_server_that_accepts_no_algorithm_of_the_key_is_told_apart() -> None:
    """Nothing is signed with an algorithm that the server has not listed."""
    with pytest.raises(ConfigurationError, match="signs with ES256, the authorization server accepts RS256, PS256"):
        ClientKey(pem(KEYS["ES256"])).algorithm(("RS256", "PS256"))
    with pytest.raises(ConfigurationError, match="accepts nothing"):
        ClientKey(pem(KEYS["ES256"])).algorithm(())


def test_an_algorithm_of_the_entry_is_the_only_one() -> None:
    """A client that is registered for PS256 signs with nothing else, even where the server would take it."""
    key = ClientKey(pem(KEYS["RS256"]), alg="PS256")

    assert "PS256" == key.algorithm(None) == key.algorithm(("RS256", "PS256"))
    with pytest.raises(ConfigurationError):
        key.algorithm(("RS256",))
    with pytest.raises(ConfigurationError, match="signs with ES256, not with 'RS256'"):
        ClientKey(pem(KEYS["ES256"]), alg="RS256")


def test_kid_and_further_members_go_into_the_header() -> None:
    """``kid`` finds the public key in a set; other members stand behind it."""
    token = ClientKey(pem(KEYS["ES256"]), kid="22").sign({}, alg="ES256", header={"typ": "JWT"}).reveal()

    assert '{"alg":"ES256","kid":"22","typ":"JWT"}' == base64.urlsafe_b64decode(token.split(".")[0] + "==").decode()


@pytest.mark.parametrize(
    "form",
    [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL],
    ids=["pkcs8", "pkcs1 and sec1"],
)
@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_both_forms_of_pem_are_read(kind: str, form: serialization.PrivateFormat) -> None:
    """What openssl writes today and what it wrote before are both private keys."""
    text = KEYS[kind].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    assert kind == ClientKey(Secret(text.decode())).algorithm(None)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (Secret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "no private key in PEM form"),
        (Secret("not a key, but a password"), "no private key in PEM form"),
        (pem(KEYS["ES256"], passphrase=b"x"), "encrypted"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits; at least 2048"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "of a kind that signs no JWT here"),
        (pem(dsa.generate_private_key(1024)), "of a kind that signs no JWT here"),
    ],
    ids=["broken", "words", "encrypted", "short rsa", "other curve", "dsa"],
)
def test_what_is_no_usable_key_is_refused(key: Secret, why: str) -> None:
    """The message says what is wrong; neither the key nor the library's exception comes along."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        ClientKey(key)

    assert (None, None) == (caught.value.__context__, caught.value.__cause__)
    assert key.reveal()[5:25] not in caught.value.message


def test_a_key_shows_its_algorithms_and_nothing_else() -> None:
    """A repr in a traceback gives nothing away."""
    assert "ClientKey(RS256|PS256)" == repr(ClientKey(pem(KEYS["RS256"])))


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_claims_can_be_read_for_a_hint(claims: dict[str, object]) -> None:
    """What was signed comes back, whoever signed it."""
    token = f"{jwt.b64url(b'{}')}.{jwt.b64url(json.dumps(claims).encode())}.{jwt.b64url(b'no signature')}"

    assert claims == jwt.unverified_claims(Secret(token))


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.!!!.c", "a.W10.c", "a..c", "a.b.c.d", "a.é.c"])
def test_what_is_no_jwt_claims_nothing(token: str) -> None:
    """An opaque assertion is no error: hints are all that is lost."""
    assert {} == jwt.unverified_claims(Secret(token))


@given(st.binary())
def test_base64url_comes_back(data: bytes) -> None:
    """RFC 7515 appendix C: no padding, and the way back adds it again."""
    assert data == jwt.unb64url(jwt.b64url(data))
    assert "=" not in jwt.b64url(data)
