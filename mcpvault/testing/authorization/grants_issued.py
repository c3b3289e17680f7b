"""
What was granted and is still good: codes, access tokens, refresh tokens and the families they belong to.

Decides rotation, reuse and revocation. A family is one act of granting (RFC 9700 §4.14.2: the
authorization server "revokes the active refresh token as well as the access authorization grant").
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mcpvault.testing.authorization.policy import Policy
from mcpvault.testing.authorization.reply import OAuthRefusal


@dataclass(slots=True, eq=False)
class Grant:
    """A family: who was granted what, for whom; ``jkt`` binds it to a DPoP key."""

    client_id: str
    subject: str
    scope: str
    resources: tuple[str, ...] = ()
    jkt: str | None = None
    revoked: bool = False


@dataclass(slots=True)
class Code:
    """An authorization code and what its redemption must repeat."""

    grant: Grant
    redirect_uri: str
    redirect_uri_given: bool
    challenge: str | None
    requested_scope: str | None
    nonce: str | None
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class AccessToken:
    """An access token."""

    grant: Grant
    scope: str
    resources: tuple[str, ...]
    issued_at: float
    expires_at: float
    jkt: str | None
    revoked: bool = False


@dataclass(slots=True)
class RefreshToken:
    """A refresh token; ``rotated_at`` is when a successor took its place."""

    grant: Grant
    expires_at: float | None
    rotated_at: float | None = None


@dataclass(slots=True)
class Ledger:
    """
    Everything that was issued, by its value, and the counters that tests ask for.

    Attributes:
        redeemed: How often each refresh token was redeemed.
        reuse_detected: How often a rotated refresh token came again.
        families_revoked: How many families a reuse (of a token or a code) has ended.
    """

    policy: Policy
    now: Callable[[], float]
    codes: dict[str, Code] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    redeemed: Counter[str] = field(default_factory=Counter)
    reuse_detected: int = 0
    families_revoked: int = 0

    def new_code(self, code: Code) -> str:
        """Issue an authorization code."""
        value = f"code-{secrets.token_urlsafe(24)}"
        self.codes[value] = code
        return value

    def code(self, value: str, client_id: str) -> Code:
        """Return the code if it is this client's and unused; a used one ends its family (RFC 6749 §4.1.2)."""
        code = self.codes.get(value)
        if code is None or code.grant.client_id != client_id:
            raise OAuthRefusal("invalid_grant", "no such code, or another client's")
        if code.used:
            self._end(code.grant)
            raise OAuthRefusal("invalid_grant", "the code was used before")
        if code.grant.revoked or self.now() >= code.expires_at:
            raise OAuthRefusal("invalid_grant", "the code has expired or its grant was revoked")
        return code

    def add_access(self, value: str, token: AccessToken) -> str:
        """Keep an access token."""
        self.access[value] = token
        return value

    def new_refresh(self, grant: Grant) -> str:
        """Issue a refresh token."""
        lifetime = self.policy.refresh_lifetime
        value = f"refresh-{secrets.token_urlsafe(24)}"
        self.refresh[value] = RefreshToken(grant, None if lifetime is None else self.now() + lifetime)
        return value

    def redeemable(self, value: str, client_id: str) -> RefreshToken:
        """Return the refresh token if it may be redeemed; notice reuse."""
        token = self.refresh.get(value)
        if token is None or token.grant.client_id != client_id:
            raise OAuthRefusal("invalid_grant", "no such refresh token, or another client's")
        at = token.rotated_at
        if at is not None and self.policy.reuse != "ignore" and not 0 <= self.now() - at < self.policy.grace:
            self.reuse_detected += 1
            if self.policy.reuse == "revoke":
                self._end(token.grant)
            raise OAuthRefusal("invalid_grant", "the refresh token was rotated away")
        if token.grant.revoked:
            raise OAuthRefusal("invalid_grant", "the grant was revoked")
        if token.expires_at is not None and self.now() >= token.expires_at:
            raise OAuthRefusal("invalid_grant", "the refresh token has expired")
        return token

    def redeem(self, value: str) -> str | None:
        """Redeem a refresh token; return its successor if there is rotation."""
        token = self.refresh[value]
        self.redeemed[value] += 1
        if not self.policy.rotation:
            return None
        token.rotated_at = self.now() if token.rotated_at is None else token.rotated_at
        return self.new_refresh(token.grant)

    def active(self, value: str) -> AccessToken | None:
        """Return the access token if it is good just now."""
        token = self.access.get(value)
        if token is None or token.revoked or token.grant.revoked or self.now() >= token.expires_at:
            return None
        return token

    def revoke(self, value: str, client_id: str) -> None:
        """Revoke a token of this client: an access token alone, a refresh token with its family (RFC 7009 §2.1)."""
        held: AccessToken | RefreshToken | None = self.access.get(value) or self.refresh.get(value)
        if held is None:
            return
        if held.grant.client_id != client_id:
            raise OAuthRefusal("invalid_grant", "that is another client's token")
        if isinstance(held, AccessToken):
            held.revoked = True
        else:
            held.grant.revoked = True

    def revoke_client(self, client_id: str) -> None:
        """Revoke all that a client was granted."""
        kept: list[Mapping[str, Code] | Mapping[str, AccessToken] | Mapping[str, RefreshToken]]
        kept = [self.codes, self.access, self.refresh]
        for grant in [held.grant for one in kept for held in one.values()]:
            grant.revoked |= grant.client_id == client_id

    def begin(self, grant: Grant) -> None:
        """Let a person's grant begin, which may be the end of the client's others for that person."""
        if not self.policy.one_grant:
            return
        for other in [*(held.grant for held in self.access.values()), *(held.grant for held in self.refresh.values())]:
            if other is not grant and (other.client_id, other.subject) == (grant.client_id, grant.subject):
                other.revoked = True

    def _end(self, grant: Grant) -> None:
        self.families_revoked += not grant.revoked
        grant.revoked = True
