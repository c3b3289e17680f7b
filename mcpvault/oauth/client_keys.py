"""
The keys of a client that proves itself by ``private_key_jwt``: a new one like the old, and what is published of them.

Decides the kind of a new key and the members of a JWK Set. Leaves signing to ``jwt``.

Spec: RFC 7517 §4 and §5, RFC 7518 §6, RFC 7638, RFC 8037 §2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from mcpvault.oauth.jwt import ClientKey, b64url, to_json
from mcpvault.secret import Secret

Jwk = dict[str, Any]
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_CURVES = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48), "secp521r1": ("P-521", 66)}


def new_key(like: Secret | None) -> Secret:
    """Return a new private key (PEM) of the kind and size of *like*; by default EC P-256."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    old: Any = ClientKey(like).key if like is not None else None
    key: Any
    if isinstance(old, rsa.RSAPrivateKey):
        key = rsa.generate_private_key(65537, max(2048, old.key_size))
    elif isinstance(old, ed25519.Ed25519PrivateKey):
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(old.curve if isinstance(old, ec.EllipticCurvePrivateKey) else ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(key.private_bytes(*form).decode("ascii"))


def public_jwk(pem: Secret, kid: str | None = None) -> Jwk:
    """
    Return the public half of a private key as a JWK; its ``kid`` is *kid*, or else its thumbprint (RFC 7638).

    Raises:
        ConfigurationError: It is no key that signs here.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    signer = ClientKey(pem)
    public: Any = signer.key.public_key()
    jwk: Jwk
    if isinstance(public, ec.EllipticCurvePublicKey):
        name, size = _CURVES[public.curve.name]
        point = public.public_numbers()
        jwk = {"kty": "EC", "crv": name, "x": _number(point.x, size), "y": _number(point.y, size)}
    elif isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        jwk = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    else:
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    return {**jwk, "use": "sig", "kid": kid or thumbprint(jwk)}


def jwk_set(keys: Iterable[Jwk]) -> bytes:
    """Return a JWK Set (RFC 7517 §5) as it is published; of keys with one ``kid`` the first stays."""
    by_kid: dict[str, Jwk] = {}
    for key in keys:
        by_kid.setdefault(key["kid"], key)
    return to_json({"keys": [*by_kid.values()]})


def thumbprint(jwk: Jwk) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638 §3)."""
    required = {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}
    return b64url(hashlib.sha256(to_json(required)).digest())


def _number(value: int, size: int | None = None) -> str:
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))
