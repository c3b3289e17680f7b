"""
What each grant sends to the token endpoint.

Decides the members of every token request but a refresh, which is requests-oauthlib's (``mcpvault.http.tokens``).
Leaves client authentication to ``client_authentication``, the order of requests to ``flows`` and ``device``, and the
meaning of answers to ``token_response``.

Spec: RFC 6749 §4, RFC 7523 §2.1, RFC 7636 §4.5, RFC 8628 §3.4, RFC 8693 §2.1, RFC 8707 §2.2; A90, C2, E1, E3.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcpvault.oauth.wire import Ask, Form, form_encoded
from mcpvault.secret import Secret

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  a name, no secret
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"  # noqa: S105  RFC 8693 §3; what it begins with
ID_JAG = TOKEN_TYPE + "id-jag"


def authorization_code(code: Secret, *, code_verifier: Secret, redirect_uri: str, resource: str | None) -> Form:
    """Return the members of RFC 6749 §4.1.3 with RFC 7636 §4.5."""
    return _with_resource(
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        },
        resource,
    )


def client_credentials(*, scope: str | None, resource: str | None) -> Form:
    """Return the members of RFC 6749 §4.4.2."""
    return _with_resource(_with_scope({"grant_type": "client_credentials"}, scope), resource)


def jwt_bearer(assertion: Secret, *, scope: str | None, resource: str | None) -> Form:
    """Return the members of RFC 7523 §2.1: a workload's own JWT, or an ID-JAG."""
    return _with_resource(_with_scope({"grant_type": JWT_BEARER, "assertion": assertion}, scope), resource)


def device_authorization(*, scope: str | None, resource: str | None) -> Form:
    """Return the members of RFC 8628 §3.1, to which client authentication adds ``client_id``."""
    return _with_resource(_with_scope({}, scope), resource)


def device_code(code: Secret, *, resource: str | None) -> Form:
    """Return the members of RFC 8628 §3.4."""
    return _with_resource({"grant_type": DEVICE_CODE, "device_code": code}, resource)


def token_exchange(
    subject_token: Secret,
    subject_token_type: str,
    *,
    audience: str,
    resource: str | None,
    scope: str | None,
    requested_token_type: str = ID_JAG,
) -> Form:
    """
    Return the members of RFC 8693 §2.1 that ask an identity provider for an ID-JAG (E1).

    ``subject_token_type`` may be short for its URN: ``id_token``, ``refresh_token``, ``saml2``.
    """
    long_type = subject_token_type if ":" in subject_token_type else TOKEN_TYPE + subject_token_type
    form: Form = {
        "grant_type": TOKEN_EXCHANGE,
        "requested_token_type": requested_token_type,
        "audience": audience,
        "subject_token": subject_token,
        "subject_token_type": long_type,
    }
    return _with_resource(_with_scope(form, scope), resource)


def post(url: str, form: Form, headers: Mapping[str, str | Secret], *, purpose: str) -> Ask:
    """Return the POST of a form, its secrets revealed into what an ``Ask`` does not print."""
    shown = {name: value.reveal() if isinstance(value, Secret) else value for name, value in headers.items()}
    return Ask(
        method="POST",
        url=url,
        purpose=purpose,
        headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", **shown},
        body=form_encoded(form),
    )


def _with_scope(form: Form, scope: str | None) -> Form:
    return form if scope is None else {**form, "scope": scope}


def _with_resource(form: Form, resource: str | None) -> Form:
    # "MCP clients MUST send this parameter regardless of whether authorization servers support it." -- A90.
    # None is for servers of revision 2025-03-26, which did not know it.
    return form if resource is None else {**form, "resource": resource}
