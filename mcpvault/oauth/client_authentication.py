"""
How a client proves to a token endpoint who it is: one method, once, and only to its own issuer.

Decides which method is used and what it adds to a request. Leaves the grant's own members to ``grants``.

Spec: RFC 6749 §2.3, RFC 7523 §2.2 and §3, OpenID Connect Core §9, RFC 8414 §2; A7, A60–A62, A110–A114.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from urllib.parse import quote_plus

from mcpvault.errors import ConfigurationError, IssuerMismatchError
from mcpvault.oauth.jwt import ClientKey, b64url
from mcpvault.oauth.wire import Form
from mcpvault.quoting import quote
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration

METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Some servers refuse an assertion that lives longer than a minute.
_ASSERTION_LIFETIME = 60  # seconds
_OURS = frozenset({"client_id", "client_secret", "client_assertion", "client_assertion_type"})


def choose(server: AuthorizationServer, *, has_secret: bool, has_key: bool, override: str | None = None) -> str:
    """
    Return the ``token_endpoint_auth_method`` of a client that is registered without one.

    Args:
        server: Its ``token_endpoint_auth_methods_supported`` decides.
        has_secret: Whether the client has a secret.
        has_key: Whether it has a private key; a key is preferred to a secret.
        override: What the entry says; it decides even against the metadata, which is often incomplete.

    Raises:
        ConfigurationError: Client and server have no method in common, or the entry's needs what is not there.
    """
    needed = {"client_secret_basic": has_secret, "client_secret_post": has_secret, "private_key_jwt": has_key}
    if override is not None:
        if override not in METHODS:
            raise ConfigurationError(f"token_endpoint_auth_method: expected {', '.join(METHODS)}, got {override!r}")
        if not needed.get(override, True):
            what = "a private key" if override == "private_key_jwt" else "a client secret"
            raise ConfigurationError(f"token_endpoint_auth_method: {override} needs {what}, and there is none")
        return override
    if not has_secret and not has_key:
        return "none"
    able = [method for method in ("private_key_jwt", "client_secret_basic", "client_secret_post") if needed[method]]
    # "If omitted, the default is 'client_secret_basic'" -- RFC 8414 §2. Who was given a key uses it all the same.
    supported = server.token_endpoint_auth_methods_supported
    for method in able:
        if supported is None or method in supported:
            return method
    raise ConfigurationError(
        f"{server.issuer}: client authentication by {' or '.join(able)} is not among what it supports: "
        f"{quote(', '.join(supported or ())) or 'nothing'}",
        hint="set token_endpoint_auth_method, or give the client a credential of the kind that it supports",
    )


def apply(
    method: str,
    *,
    registration: Registration,
    form: Form,
    headers: dict[str, str | Secret],
    server: AuthorizationServer,
    now: float,
    key: ClientKey | None = None,
    audience: str | None = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> None:
    """
    Add client authentication to one request: call it again, with a fresh *form*, for every further request.

    Args:
        method: ``registration.token_endpoint_auth_method``, as a rule.
        registration: The client.
        form: Members of the request's body; added to.
        headers: Header fields of the request; added to.
        server: Where the request goes.
        now: Unix seconds.
        key: For ``private_key_jwt``.
        audience: The ``aud`` of the assertion; the issuer where None.
        random_bytes: Source of the assertion's ``jti``.

    Raises:
        IssuerMismatchError: The client is registered with another authorization server; nothing was added.
        ConfigurationError: The secret or the key that the method needs is not there.
        ValueError: The request is already authenticated. "The client MUST NOT use more than one authentication
            method in each request" (RFC 6749 §2.3).
    """
    check_issuer(registration, server)
    if not _OURS.isdisjoint(form) or any(name.lower() == "authorization" for name in headers):
        raise ValueError("the request already carries client authentication")
    if method == "none":
        form["client_id"] = registration.client_id
    elif method == "client_secret_basic":
        # RFC 6749 §3.2.1 allows it, and the MCP SDK's servers look the client up by it before they read the header.
        form["client_id"] = registration.client_id
        headers["Authorization"] = _basic(registration.client_id, _secret(registration, method))
    elif method == "client_secret_post":
        secret = _secret(registration, method)
        form.update(client_id=registration.client_id, client_secret=secret)
    elif method == "private_key_jwt":
        if key is None:
            raise ConfigurationError(f"client {registration.client_id!r}: private_key_jwt needs a private key")
        claims = {
            "iss": registration.client_id,
            "sub": registration.client_id,
            "aud": server.issuer if audience is None else audience,
            "jti": b64url(random_bytes(16)),
            "iat": int(now),
            "exp": int(now) + _ASSERTION_LIFETIME,
        }
        alg = key.algorithm(server.token_endpoint_auth_signing_alg_values_supported)
        form.update(client_assertion_type=_ASSERTION_TYPE, client_assertion=key.sign(claims, alg=alg))
    else:
        raise ConfigurationError(
            f"client {registration.client_id!r}: it is registered for {method!r}; known are {', '.join(METHODS)}"
        )


def check_issuer(registration: Registration, server: AuthorizationServer) -> None:
    """
    Refuse to take a client to another authorization server than its own.

    "Clients MUST maintain separate registration state (client credentials, tokens) per authorization server" -- MCP.
    A client ID metadata document is the exception (A63): its URL names the same client everywhere.

    Raises:
        IssuerMismatchError: The issuers differ; they are compared as strings.
    """
    portable = registration.source == "metadata_document" and registration.client_secret is None
    if registration.issuer != server.issuer and not portable:
        raise IssuerMismatchError(
            f"client {registration.client_id!r} is registered with {registration.issuer!r}, "
            f"the authorization server is {server.issuer!r}",
            hint="has the server moved to another authorization server? then register a client there",
        )


def _secret(registration: Registration, method: str) -> Secret:
    if not registration.client_secret:
        raise ConfigurationError(f"client {registration.client_id!r}: {method} needs a client secret")
    return registration.client_secret


def _basic(client_id: str, secret: Secret) -> Secret:
    """Return the value of ``Authorization``: both parts form-urlencoded before they are joined (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id, errors='replace')}:{quote_plus(secret.reveal(), errors='replace')}"
    return Secret("Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii"))
