"""
DPoP: tokens that only the holder of a key can use.

Decides what a proof says and when a nonce was asked for. Leaves keeping the key, and the last nonce of each
server, to whoever sends. The algorithm is ES256 alone.

Spec: RFC 9449; RFC 7638 for the thumbprint; MCP extension ``io.modelcontextprotocol/auth/dpop``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mcpvault.errors import ConfigurationError
from mcpvault.oauth import challenge, jwt
from mcpvault.oauth.wire import json_object
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ALG = "ES256"
_COORDINATE = 32  # bytes of a P-256 coordinate, and of the private value
_NONCE = r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}"  # 1*NQCHAR -- RFC 9449 §8.1


class ProofKey:
    """
    The key pair that tokens are bound to.

    ``public_jwk`` goes into every proof, ``thumbprint`` is the ``jkt`` that a bound token names (RFC 9449 §6.1).
    """

    __slots__ = ("_key", "public_jwk", "thumbprint")

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key
        point = key.public_key().public_numbers()
        self.public_jwk = {"kty": "EC", "crv": "P-256", "x": _b64uint(point.x), "y": _b64uint(point.y)}
        self.thumbprint = jwt.thumbprint(self.public_jwk)

    def __repr__(self) -> str:
        return f"ProofKey({self.thumbprint})"

    @classmethod
    def generate(cls) -> ProofKey:
        """Return a new key."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_jwk(cls, jwk: Secret) -> ProofKey:
        """
        Return the key that ``jwk()`` wrote.

        Raises:
            ConfigurationError: It is no private P-256 key.
        """
        key = _read(jwk)
        if key is None:
            raise ConfigurationError("the DPoP key is no private P-256 key in JWK form (RFC 7518 §6.2)")
        return cls(key)

    def jwk(self) -> Secret:
        """Return the private key as a JWK: for sealing, and for nothing else."""
        private = self._key.private_numbers().private_value
        return Secret(jwt.to_json({**self.public_jwk, "d": _b64uint(private)}).decode("ascii"))

    def proof(
        self,
        *,
        method: str,
        url: str,
        now: float,
        nonce: str | None = None,
        access_token: Secret | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> str:
        """
        Return the ``DPoP`` header for one request: a new one for every request, every attempt (RFC 9449 §4.2).

        Args:
            method: The HTTP method.
            url: Where the request goes; query and fragment are left out of ``htu``.
            now: Unix seconds.
            nonce: What this server gave last, if it ever gave one.
            access_token: The token that the request carries; None at a token endpoint.
            random_bytes: Source of ``jti``.
        """
        claims: dict[str, str | int] = {
            "jti": jwt.b64url(random_bytes(16)),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(now),
        }
        if access_token is not None:
            claims["ath"] = jwt.b64url(hashlib.sha256(access_token.reveal().encode("ascii")).digest())
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": ALG, "jwk": self.public_jwk}
        return jwt.compact(self._key, header, jwt.to_json(claims))


def fresh_nonce(headers: Mapping[str, str]) -> str | None:
    """
    Return the nonce that an answer supplies for the next proof, whatever its status (RFC 9449 §8.2), or None.

    Args:
        headers: Names in lower case.
    """
    nonce = headers.get("dpop-nonce", "")
    return nonce if re.fullmatch(_NONCE, nonce) else None


def nonce_from(status: int, headers: Mapping[str, str], body: bytes = b"") -> str | None:
    """
    Return the nonce with which the request is to be sent again, or None where none was asked for.

    A token endpoint says ``use_dpop_nonce`` in its body (RFC 9449 §8), a resource server in its challenge (§9).
    The request was not carried out in either case.

    Args:
        status: Of the answer.
        headers: Its headers, names in lower case.
        body: Its body, where it comes from a token endpoint.
    """
    if status == 401:
        asked = challenge.dpop(headers.get("www-authenticate", ""))
        if asked is not None and asked.error == "use_dpop_nonce":
            return fresh_nonce(headers)
    if status in (400, 401) and (json_object(body) or {}).get("error") == "use_dpop_nonce":
        return fresh_nonce(headers)
    return None


def _b64uint(number: int) -> str:
    """Return a coordinate: "the length of this octet string MUST be the full size" (RFC 7518 §6.2.1.2)."""
    return jwt.b64url(number.to_bytes(_COORDINATE, "big"))


def _read(jwk: Secret) -> EllipticCurvePrivateKey | None:
    from cryptography.hazmat.primitives.asymmetric import ec

    told = json_object(jwk.reveal().encode()) or {}
    private = jwt.unb64url(told["d"]) if isinstance(told.get("d"), str) else None
    if (told.get("kty"), told.get("crv")) != ("EC", "P-256") or private is None:
        return None
    try:
        return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    except ValueError:
        return None
