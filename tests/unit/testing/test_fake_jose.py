"""The fake servers' signatures, against the RFCs' own examples and with every byte changed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.testing import SigningKey
from mcpvault.testing.authorization.jose import ALGORITHMS, Jws, decode, encode, is_private, thumbprint

# RFC 7515, appendix A.3
ES256_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ES256_JWS = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
# RFC 9449, figure 2: a proof
PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiIt"
    "QndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ"
    ".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)


def test_the_rfcs_example_verifies() -> None:
    """The ES256 example of RFC 7515, A.3 holds under its key and not under another algorithm's list."""
    jws = Jws.parse(ES256_JWS)

    jws.verify(ES256_KEY, ["ES256"])
    assert "joe" == jws.claims["iss"]
    with pytest.raises(ValueError, match="not accepted"):
        jws.verify(ES256_KEY, ["RS256"])


def test_the_rfcs_proof_verifies() -> None:
    """The proof of RFC 9449 holds under the key in its own header, whose thumbprint is that of its figure 14."""
    jws = Jws.parse(PROOF)

    jws.verify(jws.header["jwk"], ["ES256"])
    assert "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" == thumbprint(jws.header["jwk"])


def test_the_rfcs_thumbprint() -> None:
    """The thumbprint of RFC 7638 §3.1; members that are not required do not count."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" == thumbprint(key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_verifies(algorithm: str) -> None:
    """A signature holds under its key, also when the key comes from PEM, and under no other key."""
    key = SigningKey(algorithm, kid="k")
    again = SigningKey(algorithm, pem=key.pem)
    jws = Jws.parse(again.sign({"sub": "ada"}, typ="JWT"))

    jws.verify(key.jwk, ALGORITHMS)
    assert ("ada", "JWT") == (jws.claims["sub"], jws.header["typ"])
    assert not is_private(key.jwk)
    with pytest.raises(ValueError, match="signature"):
        jws.verify(SigningKey(algorithm).jwk, ALGORITHMS)


_KEY = SigningKey("EdDSA")
_SIGNED = _KEY.sign({"sub": "ada", "exp": 1})


@given(at=st.integers(0, len(_SIGNED) - 1), letter=st.sampled_from("AZaz09-_.=+ "))
def test_no_changed_letter_verifies(at: int, letter: str) -> None:
    """Change any letter of a JWS, and it is refused."""
    changed = _SIGNED[:at] + letter + _SIGNED[at + 1 :]
    if changed == _SIGNED:
        return
    with pytest.raises(ValueError):  # why differs from place to place
        Jws.parse(changed).verify(_KEY.jwk, ALGORITHMS)


@given(st.binary(max_size=50))
def test_base64url_round_trip(data: bytes) -> None:
    """What is encoded is decoded, without padding; padded text is refused."""
    assert data == decode(encode(data))
    padded = base64.urlsafe_b64encode(data).decode()
    if "=" in padded:
        with pytest.raises(ValueError, match="without padding"):
            decode(padded)


def test_critical_extensions_are_refused() -> None:
    """A header with ``crit`` names something that nobody here understands (RFC 7515 §4.1.11)."""
    with pytest.raises(ValueError, match="crit"):
        Jws.parse(_KEY.sign({}, crit=["exp"]))


@pytest.mark.parametrize("jwk", [{}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}, {"kty": "oct"}])
def test_misshapen_keys_are_refused(jwk: dict[str, object]) -> None:
    """A JWK that is none is a ValueError and nothing else."""
    with pytest.raises(ValueError):  # why differs from key to key
        Jws.parse(SigningKey().sign({})).verify(jwk, ALGORITHMS)
