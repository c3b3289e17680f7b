"""
Whether a DPoP proof proves anything: the twelve checks of RFC 9449 §4.3, and nonces.

Used by the authorization server for token requests and by the MCP server for requests with a token.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence

from mcpvault.testing.authorization.jose import Jws, encode, is_private, thumbprint
from mcpvault.testing.authorization.reply import OAuthRefusal

WINDOW = 60  # seconds by which ``iat`` may differ from the server's clock


class ProofJudge:
    """Judges proofs and remembers each ``jti``; ``nonce`` is the one that proofs must hold where they need one."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: set[str] = set()
        self.nonce = ""
        self.renew_nonce()

    def renew_nonce(self) -> None:
        """Make another nonce; proofs with the old one are refused from now on."""
        self.nonce = secrets.token_urlsafe(12)

    def thumbprint(
        self,
        proof: str | None,
        *,
        method: str,
        url: str,
        algorithms: Sequence[str],
        nonce_needed: bool,
        access_token: str | None = None,
    ) -> str:
        """Return the thumbprint of the key that made *proof* for this very request, or refuse."""
        if not proof:
            raise _bad("the DPoP header is missing")
        try:
            jws = Jws.parse(proof)
            jwk = jws.header.get("jwk")
            if jws.header.get("typ") != "dpop+jwt":
                raise ValueError("typ is to be dpop+jwt")
            if not isinstance(jwk, dict) or is_private(jwk):
                raise ValueError("jwk is to be a public key and nothing more")
            jws.verify(jwk, algorithms)
        except ValueError as error:
            raise _bad(str(error)) from None
        claims = jws.claims
        if claims.get("htm") != method:
            raise _bad(f"htm is {claims.get('htm')!r}, the method is {method}")
        if claims.get("htu") != url:
            raise _bad(f"htu is {claims.get('htu')!r}, the URL is {url}")
        if nonce_needed and claims.get("nonce") != self.nonce:
            raise OAuthRefusal("use_dpop_nonce", "the proof needs this nonce", headers={"DPoP-Nonce": self.nonce})
        issued, jti = claims.get("iat"), claims.get("jti")
        if not isinstance(issued, int | float) or isinstance(issued, bool) or abs(self._now() - issued) > WINDOW:
            raise _bad("iat is missing or too far from now")
        if access_token is not None and claims.get("ath") != encode(hashlib.sha256(access_token.encode()).digest()):
            raise _bad("ath is not the hash of the access token")
        if not isinstance(jti, str) or not jti or jti in self._seen:
            raise _bad("jti is missing or was used before")
        self._seen.add(jti)
        return thumbprint(jwk)


def _bad(why: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_dpop_proof", why)
