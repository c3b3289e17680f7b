"""
``Protection``: how ``FakeMcpServer`` guards itself with the tokens of a ``FakeAuthorizationServer``.

Decides RFC 6750 and 9449 §7 (which token opens what), and what it says of itself (RFC 9728). Asks the
authorization server in this process, as introspection would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcpvault.testing.authorization.dpop_judge import ProofJudge
from mcpvault.testing.authorization.grants_issued import AccessToken
from mcpvault.testing.authorization.reply import OAuthRefusal
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

Refused = tuple[int, dict[str, str]]
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(slots=True, kw_only=True)
class Protection:
    """
    What the server demands and what it tells; every field may be changed while it runs.

    Attributes:
        issuer: The authorization server whose tokens it takes.
        url: The MCP endpoint.
        resource: What the metadata calls the server and the tokens must be for; None is ``url``.
        authorization_servers: The issuers that the metadata names; None is the one of ``issuer``.
        scopes: ``scopes_supported`` of the metadata, or None.
        metadata: Members that replace those of the metadata; None leaves a member out.
        metadata_at: Where the metadata is: ``"path"`` (well-known, with the endpoint's path), ``"root"``
            (well-known alone), a path of its own, or None: nowhere.
        announced: Whether the challenge has ``resource_metadata``.
        challenge_scope: ``scope`` of the 401 challenge, or None.
        challenge: The whole header instead; empty means none.
        required_scope: What every request needs.
        tool_scopes: What calling a tool needs besides, by its name.
        audience_checked: Whether a token for another resource is refused.
        dpop_nonce: Whether proofs need a nonce of this server; ``proofs.renew_nonce()`` makes another.
        proofs: The judge of proofs.
    """

    issuer: Issuer
    url: str
    resource: str | None = None
    authorization_servers: Sequence[str] | None = None
    scopes: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metadata_at: str | None = "path"
    announced: bool = True
    challenge_scope: str | None = None
    challenge: str | None = None
    required_scope: str = ""
    tool_scopes: Mapping[str, str] = field(default_factory=dict)
    audience_checked: bool = True
    dpop_nonce: bool = False
    proofs: ProofJudge = field(init=False)

    def __post_init__(self) -> None:
        self.proofs = ProofJudge(self.issuer.now)
        self.issuer.resources.add(self.identifier)

    @property
    def identifier(self) -> str:
        """The resource identifier."""
        return self.url if self.resource is None else self.resource

    @property
    def place(self) -> str | None:
        """The path of the metadata."""
        path = urlsplit(self.url).path
        return {"path": WELL_KNOWN + path, "root": WELL_KNOWN}.get(self.metadata_at or "", self.metadata_at)

    def document(self) -> dict[str, Any]:
        """Return the metadata (RFC 9728 §2)."""
        issuer, dpop = self.issuer, self.issuer.policy.dpop
        named = self.authorization_servers
        told = {
            "resource": self.identifier,
            "authorization_servers": [issuer.issuer] if named is None else [*named],
            "scopes_supported": None if self.scopes is None else [*self.scopes],
            "bearer_methods_supported": ["header"],
            "dpop_bound_access_tokens_required": True if dpop == "required" else None,
            "dpop_signing_alg_values_supported": None if dpop == "off" else [*issuer.policy.dpop_algorithms],
            **self.metadata,
        }
        return {name: value for name, value in told.items() if value is not None}

    def refused(self, request: Recorded) -> Refused | None:
        """Return status and headers of the refusal, or None where the token is good for *request*."""
        header = request.headers.get("authorization")
        if "access_token" in request.query:
            # MCP: "Access tokens MUST NOT be included in the URI query string".
            return 400, self._challenges("invalid_request", "a token does not belong into the query")
        if header is None:
            # RFC 6750 §3.1: without authentication information the challenge has no error.
            return 401, self._challenges(None, scope=self.challenge_scope)
        scheme, _, value = header.partition(" ")
        with self.issuer.lock:
            token = self.issuer.ledger.active(value)
        if token is None:
            return 401, self._challenges("invalid_token", "unknown, expired or revoked", self.challenge_scope)
        if self.audience_checked and self.identifier not in token.resources:
            return 401, self._challenges("invalid_token", "the token is for another resource", self.challenge_scope)
        return self._wrong_scheme(scheme.lower(), value, token, request) or self._too_narrow(token, request)

    def _wrong_scheme(self, scheme: str, value: str, token: AccessToken, request: Recorded) -> Refused | None:
        # RFC 9449 §7.1: a bound token is no bearer token, and the other way round.
        if scheme != ("bearer" if token.jkt is None else "dpop"):
            return 401, self._challenges("invalid_token", f"the scheme {scheme} is not for this token")
        if token.jkt is None:
            return None
        try:
            jkt = self.proofs.thumbprint(
                request.headers.get("dpop"),
                method=request.method,
                url=self._origin + request.place,
                algorithms=self.issuer.policy.dpop_algorithms,
                nonce_needed=self.dpop_nonce,
                access_token=value,
            )
        except OAuthRefusal as refusal:
            return 401, {**self._challenges(refusal.error, refusal.description), **refusal.headers}
        if jkt != token.jkt:
            return 401, self._challenges("invalid_token", "the token is bound to another key")
        return None

    def _too_narrow(self, token: AccessToken, request: Recorded) -> Refused | None:
        needed = self.required_scope.split()
        if request.rpc_method == "tools/call":
            params = request.message.get("params")
            name = params.get("name") if isinstance(params, dict) else None
            needed += self.tool_scopes.get(str(name), "").split()
        if set(needed) <= set(token.scope.split()):
            return None
        return 403, self._challenges("insufficient_scope", "more scope is needed", " ".join(dict.fromkeys(needed)))

    @property
    def _origin(self) -> str:
        return self.url.removesuffix(urlsplit(self.url).path)

    def _challenges(self, error: str | None, description: str = "", scope: str | None = None) -> dict[str, str]:
        if self.challenge is not None:
            return {"WWW-Authenticate": self.challenge} if self.challenge else {}
        said = {"error": error, "error_description": description or None, "scope": scope}
        if self.announced and self.place is not None:
            said["resource_metadata"] = self._origin + self.place
        parameters = ", ".join(f'{name}="{value}"' for name, value in said.items() if value is not None)
        dpop = self.issuer.policy.dpop
        algorithms = " ".join(self.issuer.policy.dpop_algorithms)
        bearer = f'Bearer realm="fake", {parameters}'.removesuffix(", ")
        proof = f'DPoP algs="{algorithms}", {parameters}'.removesuffix(", ")
        found = {"off": [bearer], "accepted": [proof, bearer], "required": [proof]}[dpop]
        return {"WWW-Authenticate": ", ".join(found)}
