"""
JSON Web Signatures for the fake servers: sign, and verify with every check (RFC 7515, 7517, 7518, 7638, 8037).

Written from the RFCs and not from ``mcpvault.oauth``: each would otherwise forgive the other's faults.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Self

Json = dict[str, Any]

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class SigningKey:
    """
    A private key that signs: the test's workload, client or identity provider.

    Args:
        algorithm: ``ES256``, ``RS256``, ``PS256`` or ``EdDSA``.
        pem: An unencrypted PKCS #8 key to use instead of a fresh one.
        kid: The key id that goes into headers and the JWK, or None.
    """

    def __init__(self, algorithm: str = "ES256", *, pem: str | None = None, kid: str | None = None) -> None:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
        self.algorithm, self.kid = algorithm, kid
        self._key = _generate(algorithm) if pem is None else _load(pem)

    @property
    def pem(self) -> str:
        """The private key as PKCS #8 PEM."""
        from cryptography.hazmat.primitives import serialization as s

        return str(self._key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode())

    @property
    def jwk(self) -> Json:
        """The public key as JWK, with ``alg`` and, if it has one, ``kid``."""
        return {**_public_jwk(self._key.public_key()), "alg": self.algorithm} | ({"kid": self.kid} if self.kid else {})

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return the claims as a compact JWS; *header* adds to ``alg`` and ``kid`` or replaces them."""
        head = {"alg": self.algorithm, **({"kid": self.kid} if self.kid else {}), **header}
        signed = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(claims).encode())}"
        return f"{signed}.{encode(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        if self.algorithm == "ES256":
            r, s = utils.decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
            return bytes(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return bytes(self._key.sign(signed, *_rsa_scheme(self.algorithm)))


class Jws:
    """
    A compact JWS taken apart: ``header`` and ``claims`` are not yet trusted.

    Raises:
        ValueError: It is not one.
    """

    def __init__(self, header: Json, claims: Json, signed: bytes, signature: bytes) -> None:
        self.header, self.claims, self._signed, self._signature = header, claims, signed, signature

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take *text* apart."""
        parts = text.split(".")
        if len(parts) != 3:
            raise ValueError("a compact JWS has three parts")
        header, claims = (json.loads(decode(part), parse_constant=_no_number) for part in parts[:2])
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("header and claims are JSON objects")
        if "crit" in header:
            raise ValueError("crit names an extension that nobody here knows")
        return cls(header, claims, f"{parts[0]}.{parts[1]}".encode(), decode(parts[2]))

    def verify(self, jwk: Mapping[str, Any], algorithms: Collection[str]) -> None:
        """Raise ValueError unless *jwk* made the signature with one of *algorithms*."""
        algorithm = self.header.get("alg")
        if algorithm not in algorithms or algorithm not in ALGORITHMS:
            raise ValueError(f"alg {algorithm!r} is not accepted")
        if jwk.get("alg", algorithm) != algorithm:
            raise ValueError("the key is for another alg")
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        key, signature = _public_key(jwk, algorithm), self._signature
        try:
            if algorithm == "ES256":
                if len(signature) != 64:
                    raise ValueError("an ES256 signature is r and s, 32 bytes each (RFC 7518 §3.4)")
                pair = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
                key.verify(utils.encode_dss_signature(*pair), self._signed, ec.ECDSA(hashes.SHA256()))
            else:
                key.verify(signature, self._signed, *_rsa_scheme(algorithm))
        except InvalidSignature:
            raise ValueError("the signature does not hold") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read base64url; padding and other letters are a ValueError (RFC 7515 §2)."""
    if not text.isascii() or set(text) & set("=+/ \n"):
        raise ValueError("not base64url without padding")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638)."""
    required = {name: jwk[name] for name in _MEMBERS[str(jwk["kty"])]}
    return encode(hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest())


def is_private(jwk: Mapping[str, Any]) -> bool:
    """Tell whether a JWK gives a private or symmetric key away."""
    return bool(_PRIVATE & jwk.keys())


def _generate(algorithm: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def _load(pem: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem.encode(), None)


def _rsa_scheme(algorithm: str) -> tuple[Any, ...]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    if algorithm == "EdDSA":
        return ()
    if algorithm == "PS256":
        return padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    return padding.PKCS1v15(), hashes.SHA256()


def _public_jwk(key: Any) -> Json:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _integer(point.x, 32), "y": _integer(point.y, 32)}
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def _public_key(jwk: Mapping[str, Any], algorithm: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        kind = (jwk["kty"], jwk.get("crv"))
        if algorithm == "ES256" and kind == ("EC", "P-256"):
            x, y = (int.from_bytes(decode(jwk[name]), "big") for name in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if algorithm == "EdDSA" and kind == ("OKP", "Ed25519"):
            return ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
        if algorithm in ("RS256", "PS256") and kind[0] == "RSA":
            n, e = (int.from_bytes(decode(jwk[name]), "big") for name in ("n", "e"))
            return rsa.RSAPublicNumbers(e, n).public_key()
    except (KeyError, TypeError, AttributeError):
        raise ValueError("the JWK lacks a member or has one of the wrong type") from None
    raise ValueError(f"a {kind[0]} key is not for {algorithm}")


def _integer(value: int, size: int | None = None) -> str:
    return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))
