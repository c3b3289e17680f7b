"""An OAuth client of a few lines, so that the fake servers are tested with something else than what they test."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import requests

from mcpvault.testing import FakeAuthorizationServer, SigningKey
from mcpvault.testing.authorization.jose import encode, thumbprint

MCP = "https://mcp.example/mcp"
REDIRECT = "http://127.0.0.1:8765/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def authorization_url(server: FakeAuthorizationServer, **changes: Any) -> str:
    """Return a proper authorization URL; *changes* replace parameters, None leaves one out."""
    parameters = {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "state": "state-0123456789",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "resource": MCP,
        **changes,
    }
    told = {name: value for name, value in parameters.items() if value is not None}
    return f"{server.url('authorize')}?{urlencode(told, doseq=True)}"


def redirected(server: FakeAuthorizationServer, **changes: Any) -> dict[str, str]:
    """Return the parameters that the client is called back with."""
    return dict(parse_qsl(urlsplit(server.follow(authorization_url(server, **changes))).query))


def code_of(server: FakeAuthorizationServer, **changes: Any) -> str:
    """Return an authorization code."""
    return redirected(server, **changes)["code"]


def post(
    server: FakeAuthorizationServer, endpoint: str = "token", headers: dict[str, str] | None = None, **form: Any
) -> requests.Response:
    """Post a form; None leaves a field out."""
    told = {name: value for name, value in form.items() if value is not None}
    return requests.post(server.url(endpoint), data=told, headers=headers, timeout=10, allow_redirects=False)


def redeem(server: FakeAuthorizationServer, code: str, **changes: Any) -> requests.Response:
    """Redeem a code as client-1, which is public."""
    form = {
        "grant_type": "authorization_code",
        "client_id": "client-1",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        "resource": MCP,
        **changes,
    }
    return post(server, **form)


def refresh(server: FakeAuthorizationServer, token: str, **changes: Any) -> requests.Response:
    """Redeem a refresh token as client-1."""
    form = {"grant_type": "refresh_token", "client_id": "client-1", "refresh_token": token, "resource": MCP, **changes}
    return post(server, **form)


def basic(client_id: str, secret: str) -> dict[str, str]:
    """Return the Authorization header as RFC 6749 §2.3.1 wants it."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def proof(key: SigningKey, server: FakeAuthorizationServer, **changes: Any) -> dict[str, str]:
    """Return the header with a proper DPoP proof for the token endpoint; *changes* replace claims."""
    claims = {
        "htm": "POST",
        "htu": server.url("token"),
        "iat": int(server.now()),
        "jti": secrets.token_urlsafe(),
        **changes,
    }
    told = {name: value for name, value in claims.items() if value is not None}
    jwk = {name: value for name, value in key.jwk.items() if name != "alg"}
    return {"DPoP": key.sign(told, typ="dpop+jwt", jwk=jwk)}


def ath(token: str) -> str:
    """Return the hash of an access token for a proof."""
    return encode(hashlib.sha256(token.encode()).digest())


def jkt(key: SigningKey) -> str:
    """Return the thumbprint of a key."""
    return thumbprint(key.jwk)
