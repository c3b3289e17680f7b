"""
JSON Web Signatures as a client makes them: the key of ``private_key_jwt``, and compact serialization.

Decides which algorithm a key signs with and how a signature is written. Leaves the claims to
``client_authentication`` and ``dpop``. Nothing here verifies: what others signed is never trusted, only hinted at.

Spec: RFC 7515, 7517, 7518, 7638 and 8037; RFC 9864 for the name ``Ed25519``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mcpvault.errors import ConfigurationError
from mcpvault.oauth.wire import json_object
from mcpvault.quoting import quote
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

# curve: (alg, bytes of R and of S) -- RFC 7518 §3.4
_CURVES = {"secp256r1": ("ES256", 32), "secp384r1": ("ES384", 48), "secp521r1": ("ES512", 66)}
_EDWARDS = ("EdDSA", "Ed25519")
_RSA = ("RS256", "PS256")
# "A key of size 2048 bits or larger MUST be used with these algorithms." -- RFC 7518 §3.3, §3.5
_SMALLEST_RSA = 2048  # bits


class ClientKey:
    """
    The private key that a client authenticates with (``private_key_jwt``).

    Args:
        pem: RSA, EC (P-256, P-384, P-521) or Ed25519, as PKCS#8, PKCS#1 or SEC 1, without a passphrase.
        alg: The algorithm that the client is registered with (``token_endpoint_auth_signing_alg``), or None.
        kid: The name of the public key in the client's JWK Set, or None.

    Raises:
        ConfigurationError: The key cannot be read, is of another kind, or cannot sign with *alg*.
    """

    __slots__ = ("algorithms", "key", "kid")

    def __init__(self, pem: Secret, *, alg: str | None = None, kid: str | None = None) -> None:
        self.key, able = _load(pem)
        if alg is not None and alg not in able:
            raise ConfigurationError(f"the private key signs with {' or '.join(able)}, not with {alg!r}")
        self.algorithms = able if alg is None else (alg,)
        self.kid = kid

    def __repr__(self) -> str:
        return f"ClientKey({'|'.join(self.algorithms)})"

    def algorithm(self, accepted: Iterable[str] | None) -> str:
        """
        Return the algorithm to sign with.

        Args:
            accepted: ``token_endpoint_auth_signing_alg_values_supported``, or None where the server does not say.

        Raises:
            ConfigurationError: The server accepts none that this key can do.
        """
        if accepted is None:
            return self.algorithms[0]
        offered = [*accepted]
        for name in self.algorithms:
            if name in offered:
                return name
        raise ConfigurationError(
            f"the private key signs with {' or '.join(self.algorithms)}, the authorization server accepts "
            f"{quote(', '.join(offered[:8])) or 'nothing'}",
            hint="register a key of a kind that the authorization server accepts",
        )

    def sign(self, claims: Mapping[str, Any], *, alg: str, header: Mapping[str, Any] | None = None) -> Secret:
        """Return *claims* as a signed JWT; *header* adds members to ``alg`` and ``kid``."""
        named = {} if self.kid is None else {"kid": self.kid}
        return Secret(compact(self.key, {"alg": alg, **named, **(header or {})}, to_json(claims)))


def compact(key: PrivateKey, header: Mapping[str, Any], payload: bytes) -> str:
    """Return the JWS Compact Serialization of *payload*, signed as ``header["alg"]`` says (RFC 7515 §3.1)."""
    signing_input = f"{b64url(to_json(header))}.{b64url(payload)}"
    return f"{signing_input}.{b64url(signature(key, header['alg'], signing_input.encode('ascii')))}"


def signature(key: PrivateKey, alg: str, data: bytes) -> bytes:
    """Return the signature over *data* in the form of RFC 7518 §3: for ECDSA that is R ‖ S and not DER."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    digests: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    digest = digests[alg[2:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = _CURVES[key.curve.name][1]
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if alg.startswith("PS"):
        # "The size of the salt value is the same size as the hash function output." -- RFC 7518 §3.5
        return key.sign(data, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
    return key.sign(data, padding.PKCS1v15(), digest)


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the SHA-256 thumbprint of a public EC key (RFC 7638 §3.2)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return b64url(hashlib.sha256(to_json(required)).digest())


def unverified_claims(token: Secret) -> dict[str, Any]:
    """
    Return what a JWT claims, **unverified**: for hints such as "it expired at …" and for no decision.

    Anything that is no JWT claims nothing.
    """
    parts = token.reveal().split(".")
    told = unb64url(parts[1]) if len(parts) == 3 else None
    return (json_object(told) or {}) if told is not None else {}


def to_json(value: Mapping[str, Any]) -> bytes:
    """Return *value* as JSON without spaces, in its own order."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def b64url(data: bytes) -> str:
    """Return *data* in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes | None:
    """Return the bytes behind unpadded base64url, or None if *text* is anything else."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None


def _load(pem: Secret) -> tuple[PrivateKey, tuple[str, ...]]:
    """Return the key and the algorithms that it can sign with, the usual one first."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    wrong = "no private key in PEM form"
    key: object = None
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), None)
    except TypeError:
        wrong = "encrypted; store it without a passphrase, the vault seals it"
    except (ValueError, UnsupportedAlgorithm):
        pass
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size >= _SMALLEST_RSA:
            return key, _RSA
        wrong = f"an RSA key of {key.key_size} bits; at least {_SMALLEST_RSA} are needed (RFC 7518 §3.3)"
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key, (_CURVES[key.curve.name][0],)
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        return key, _EDWARDS
    elif key is not None:
        wrong = "of a kind that signs no JWT here; use RSA, EC (P-256, P-384, P-521) or Ed25519"
    raise ConfigurationError(f"the private key is {wrong}")
