"""
The authorization endpoint and its consent page.

Decides who consents: the policy at once, or a person in a browser. Leaves the request's judgement to
``authorization_request``.
"""

from __future__ import annotations

import html
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from mcpvault.testing.authorization.authorization_request import Asked, Unredirectable, addressed, check
from mcpvault.testing.authorization.grants_issued import Code, Grant
from mcpvault.testing.authorization.parameters import Parameters, form, query
from mcpvault.testing.authorization.reply import DECISION, OAuthRefusal, Reply, page
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

_COOKIE = "fake_session"


def answer(issuer: Issuer, request: Recorded) -> Reply:
    """Answer an authorization request: with a redirect, a page that asks, or a page that says no."""
    try:
        parameters = form(request) if request.method == "POST" else query(request)
        asked = addressed(issuer, parameters)
    except (OAuthRefusal, Unredirectable) as fault:
        return page("Wrong request", f"<p>{html.escape(str(fault))}</p>", 400)
    try:
        check(issuer, asked)
        if issuer.policy.consent == "page":
            return _ask(issuer, asked, parameters)
        if issuer.policy.consent == "deny":
            raise OAuthRefusal("access_denied", "the policy says no")
    except OAuthRefusal as refusal:
        return _denied(issuer, asked, refusal)
    return _agreed(issuer, asked, "user")


def decided(issuer: Issuer, request: Recorded) -> Reply:
    """Take what a person said on the page."""
    try:
        parameters = form(request)
        number = parameters.needed("request")
    except OAuthRefusal as fault:
        return page("Wrong request", f"<p>{html.escape(fault.description)}</p>", 400)
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        cookie = None
    asked = issuer.asked.get(number)
    if asked is None or cookie is None or cookie.value != number:
        return page("Too late", "<p>This page was answered before, or belongs to another browser.</p>", 400)
    del issuer.asked[number]
    # RFC 9700 §4.12: after a form with a name or password the redirect is a 303, so that nothing is posted on.
    if parameters.get("decision") != "allow":
        return _denied(issuer, asked, OAuthRefusal("access_denied", "the person said no"), 303)
    return _agreed(issuer, asked, parameters.get("user", "user"), 303)


def _ask(issuer: Issuer, asked: Asked, parameters: Parameters) -> Reply:
    if parameters.get("prompt") == "none":
        raise OAuthRefusal("interaction_required", "a person has to look at a page")
    number = secrets.token_urlsafe(16)
    issuer.asked[number] = asked
    wanted = html.escape(parameters.get("scope", "what it does by default"))
    return page(
        f"Allow {asked.client.name}?",
        f'<p>It asks for: <strong>{wanted}</strong></p><form method="post" action="{issuer.url("consent")}">'
        f'<input type="hidden" name="request" value="{number}">'
        f"{DECISION}</form>",
        Set_Cookie=f"{_COOKIE}={number}; Path=/; HttpOnly; SameSite=Lax",
    )


def _denied(issuer: Issuer, asked: Asked, refusal: OAuthRefusal, status: int = 302) -> Reply:
    return asked.back(issuer, {"error": refusal.error, "error_description": refusal.description}, status)


def _agreed(issuer: Issuer, asked: Asked, subject: str, status: int = 302) -> Reply:
    parameters = asked.parameters
    scope = issuer.scope_for(asked.client, parameters.scope())
    grant = Grant(
        asked.client.client_id, subject, scope, issuer.check_resources(parameters), parameters.get("dpop_jkt")
    )
    code = Code(
        grant=grant,
        redirect_uri=asked.redirect_uri,
        redirect_uri_given=asked.redirect_uri_given,
        challenge=parameters.get("code_challenge"),
        requested_scope=parameters.scope(),
        nonce=parameters.get("nonce"),
        expires_at=issuer.now() + issuer.policy.code_lifetime,
    )
    return asked.back(issuer, {"code": issuer.ledger.new_code(code)}, status)
