"""
An authorization request, judged (RFC 6749 §4.1.1, 7636 §4.3, 8707 §2, 9207, 9449 §10).

Decides whether the request stands, and where its answer goes. Leaves asking a person to ``authorization_endpoint``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcpvault.testing.authorization.clients import Client, redirect_uri_matches
from mcpvault.testing.authorization.parameters import Parameters, absolute
from mcpvault.testing.authorization.policy import AUTHORIZATION_CODE
from mcpvault.testing.authorization.reply import OAuthRefusal, Reply, redirect

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of a SHA-256 (RFC 7636 §4.2)
_SHORTEST_STATE = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for, once it is known where the answer goes."""

    client: Client
    redirect_uri: str
    redirect_uri_given: bool
    state: str | None
    parameters: Parameters

    def back(self, issuer: Issuer, told: Mapping[str, str], status: int = 302) -> Reply:
        """Send the user-agent back with *told*, the state and, as the policy says, ``iss``."""
        policy, state = issuer.policy, {} if self.state is None else {"state": self.state}
        iss = {"iss": policy.iss or issuer.issuer} if policy.send_iss else {}
        return redirect(self.redirect_uri, {**told, **state, **iss}, status)


class Unredirectable(Exception):
    """The request is wrong in a way that forbids to redirect (RFC 6749 §4.1.2.1)."""


def addressed(issuer: Issuer, parameters: Parameters) -> Asked:
    """Return the request if its client and redirect URI hold, else raise Unredirectable."""
    try:
        client = issuer.clients.find(parameters.needed("client_id"))
    except OAuthRefusal as refusal:
        raise Unredirectable(refusal.description) from None
    if client is None:
        raise Unredirectable("no such client")
    given = parameters.get("redirect_uri")
    registered = client.redirect_uris
    if given is None:
        if len(registered) != 1:
            raise Unredirectable("redirect_uri is missing")
        return Asked(client, registered[0], False, parameters.get("state"), parameters)
    any_port = issuer.policy.any_loopback_port
    if not absolute(given) or not any(redirect_uri_matches(given, uri, any_port=any_port) for uri in registered):
        raise Unredirectable(f"redirect_uri {given!r} is not registered")
    return Asked(client, given, True, parameters.get("state"), parameters)


def check(issuer: Issuer, asked: Asked) -> None:
    """Refuse what goes back to the client as an error."""
    policy, parameters = issuer.policy, asked.parameters
    if parameters.needed("response_type") != "code":
        raise OAuthRefusal("unsupported_response_type", "response_type is code")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthRefusal("invalid_request", "response_mode is query")
    if AUTHORIZATION_CODE not in policy.grant_types:
        raise OAuthRefusal("unauthorized_client", "this server gives no codes")
    issuer.check_grant_type(asked.client, AUTHORIZATION_CODE)
    if policy.state_required and len(asked.state or "") < _SHORTEST_STATE:
        raise OAuthRefusal("invalid_request", f"state is missing or shorter than {_SHORTEST_STATE}")
    challenge = parameters.get("code_challenge")
    if challenge is None and policy.pkce:
        # RFC 7636 §4.4.1.
        raise OAuthRefusal("invalid_request", "code challenge required")
    if challenge is not None:
        # RFC 7636 §4.3: the method "defaults to "plain" if not present", and plain is not enough.
        if parameters.get("code_challenge_method", "plain") != "S256":
            raise OAuthRefusal("invalid_request", "transform algorithm not supported: use S256")
        if not _CHALLENGE.fullmatch(challenge):
            raise OAuthRefusal("invalid_request", "code_challenge is no base64url of a SHA-256")
    issuer.scope_for(asked.client, parameters.scope())
    issuer.check_resources(parameters)
