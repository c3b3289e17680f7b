"""
``Issuer``: what all endpoints of an authorization server share, and the rules that more than one of them asks.

Opens no socket; ``FakeAuthorizationServer`` is one that listens.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from functools import cached_property

from mcpvault.testing.authorization.authorization_request import Asked
from mcpvault.testing.authorization.clients import Client, Clients
from mcpvault.testing.authorization.device_endpoint import Device
from mcpvault.testing.authorization.dpop_judge import ProofJudge
from mcpvault.testing.authorization.grants_issued import AccessToken, Grant, Ledger
from mcpvault.testing.authorization.jose import SigningKey
from mcpvault.testing.authorization.parameters import Parameters, absolute
from mcpvault.testing.authorization.policy import REFRESH_TOKEN, Policy
from mcpvault.testing.authorization.reply import Json, OAuthRefusal

PATHS = {
    "authorize": "/authorize",
    "consent": "/consent",
    "token": "/token",
    "register": "/register",
    "revoke": "/revoke",
    "introspect": "/introspect",
    "device": "/device_authorization",
    "verify": "/device",
    "jwks": "/jwks.json",
}


class Issuer:
    """
    An authorization server without its listener.

    Attributes:
        policy: How it is; see ``Policy``.
        clients: The clients that it knows.
        ledger: The tokens that it issued.
        resources: The resource indicators that it knows; empty means all.
        trusted: Public keys (JWK) of the issuers whose assertions it takes, by ``iss``.
        elsewhere: Its client ids as other authorization servers know them, for an ID-JAG.
        documents: JSON documents that it serves besides, by path.
        proofs: The judge of DPoP proofs.
        lock: Held while a request is carried out, so that each one happens wholly before or after another.
    """

    def __init__(self, path: str, policy: Policy, clock: Callable[[], float]) -> None:
        self.path, self.policy, self._clock = path.rstrip("/"), policy, clock
        self.origin = ""
        self.shift = 0.0
        self.lock = threading.RLock()
        self.clients = Clients(policy)
        self.ledger = Ledger(policy, self.now)
        self.proofs = ProofJudge(self.now)
        self.resources: set[str] = set()
        self.trusted: dict[str, list[Json]] = {}
        self.elsewhere: dict[str, str] = {}
        self.documents: dict[str, Json] = {}
        self.devices: dict[str, Device] = {}
        self.asked: dict[str, Asked] = {}
        self._spent: set[str] = set()

    @property
    def issuer(self) -> str:
        """Its identifier."""
        return self.origin + self.path

    @cached_property
    def key(self) -> SigningKey:
        """The key that it signs with."""
        return SigningKey("ES256", kid="fake-1")

    def url(self, endpoint: str) -> str:
        """Return the URL of an endpoint, a key of ``PATHS``."""
        return self.issuer + PATHS[endpoint]

    def now(self) -> float:
        """Return the time that it believes it is."""
        return self._clock() + self.shift

    # Rules that several endpoints share

    def check_resources(self, parameters: Parameters, granted: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the resources that a request is about, or refuse (RFC 8707 §2)."""
        asked = parameters.resources
        for resource in asked:
            if not absolute(resource):
                raise OAuthRefusal("invalid_target", "a resource is an absolute URI without fragment")
            if self.resources and resource not in self.resources:
                raise OAuthRefusal("invalid_target", f"unknown resource {resource!r}")
            if granted and resource not in granted:
                raise OAuthRefusal("invalid_target", f"resource {resource!r} was not part of the grant")
        if not asked and self.policy.resource_required:
            raise OAuthRefusal("invalid_target", "resource is missing")
        return asked or granted

    def scope_for(self, client: Client, asked: str | None) -> str:
        """Return the scope to grant where *asked* was asked for, or refuse."""
        policy = self.policy
        if asked is None:
            wanted = (client.scope or " ".join(policy.scopes or ())).split()
        else:
            wanted = [*dict.fromkeys(asked.split())]
        own = client.scope.split() if client.scope and policy.registered_scope_binds else None
        bounds = [bound for bound in (policy.scopes, own) if bound is not None]
        unknown = [token for token in wanted if any(token not in bound for bound in bounds)]
        if unknown and not policy.drop_unknown_scopes:
            raise OAuthRefusal("invalid_scope", f"unknown scope {' '.join(unknown)}, or none of this client's")
        if policy.granted_scope is not None:
            return policy.granted_scope
        return " ".join(token for token in wanted if token not in unknown)

    def narrowed(self, granted: str, asked: str | None) -> str:
        """Return the scope of a refreshed token: never more than was granted (RFC 6749 §6)."""
        held = granted.split()
        wanted = held if asked is None else asked.split()
        if not set(wanted) <= set(held):
            raise OAuthRefusal("invalid_scope", "a refresh cannot widen the scope")
        if self.policy.granted_scope is not None:
            wanted = [token for token in wanted if token in self.policy.granted_scope.split()]
        return " ".join(wanted)

    def spend(self, jti: str) -> bool:
        """Tell whether an assertion's id comes for the first time."""
        fresh = bool(jti) and jti not in self._spent
        self._spent.add(jti)
        return fresh

    def check_grant_type(self, client: Client, grant_type: str) -> None:
        """Refuse a grant that the client is not registered for."""
        if grant_type not in client.grant_types:
            raise OAuthRefusal("unauthorized_client", f"this client is not registered for {grant_type}")

    def gives_refresh(self, client: Client, scope: str) -> bool:
        """Tell whether this client gets a refresh token with this scope."""
        policy = self.policy
        if REFRESH_TOKEN not in policy.grant_types or REFRESH_TOKEN not in client.grant_types:
            return False
        if policy.refresh_tokens == "offline_access":
            return "offline_access" in scope.split()
        return policy.refresh_tokens == "always"

    def access(
        self, grant: Grant, scope: str, asked: str | None, resources: Iterable[str], jkt: str | None = None
    ) -> Json:
        """Issue an access token and return the answer that tells of it (RFC 6749 §5.1)."""
        told: Json = {
            "access_token": self._new_access(grant, scope, tuple(resources), jkt),
            "token_type": "DPoP" if jkt else "Bearer",
            "expires_in": int(self.policy.access_lifetime),
        }
        # RFC 6749 §5.1: scope is "OPTIONAL, if identical to the scope requested by the client; otherwise, REQUIRED".
        if scope and (self.policy.say_scope or scope != asked):
            told["scope"] = scope
        return told

    def _new_access(self, grant: Grant, scope: str, aimed: tuple[str, ...], jkt: str | None) -> str:
        now = self.now()
        token = AccessToken(grant, scope, aimed, now, now + self.policy.access_lifetime, jkt)
        value = f"access-{secrets.token_urlsafe(24)}"
        if self.policy.access_token_jwt:
            claims = {
                "iss": self.issuer,
                "sub": grant.subject,
                "aud": aimed[0] if len(aimed) == 1 else [*aimed],
                "client_id": grant.client_id,
                "scope": scope,
                "iat": int(now),
                "exp": int(token.expires_at),
                "jti": secrets.token_urlsafe(12),
                **({"cnf": {"jkt": jkt}} if jkt else {}),
            }
            value = self.key.sign(claims, typ="at+jwt")
        return self.ledger.add_access(value, token)

    def id_token(self, subject: str, client_id: str, nonce: str | None = None, lifetime: float = 300) -> str:
        """Return an ID token (OpenID Connect Core §2)."""
        now = int(self.now())
        claims = {"iss": self.issuer, "sub": subject, "aud": client_id, "iat": now, "exp": now + int(lifetime)}
        return self.key.sign(claims | ({"nonce": nonce} if nonce else {}))
