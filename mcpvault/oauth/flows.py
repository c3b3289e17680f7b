"""
Whole ways to a token that need nobody at a screen: each a generator that asks for its requests.

Decides their order, and what is tried again: only what the server did not carry out because it wants a nonce.
Leaves the members of a request to ``grants`` and the meaning of an answer to ``token_response``.

Spec: RFC 6749 §4.1.3 and §4.4, RFC 7523 §2.1, RFC 8693, RFC 9449 §8; the MCP extensions for client credentials,
enterprise-managed authorization and workload identity federation; C1–C5, E1–E5.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mcpvault.errors import ConfigurationError, IssuerMismatchError
from mcpvault.oauth import client_authentication, dpop, grants, jwt
from mcpvault.oauth.authorization import Pending
from mcpvault.oauth.jwt import ClientKey
from mcpvault.oauth.scope import permitted
from mcpvault.oauth.token_response import read_id_jag, read_token
from mcpvault.oauth.wire import Answer, Flow, Form
from mcpvault.quoting import quote
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet
from vault_schema.record import Record

ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


class Client(Record):
    """
    Who asks which token endpoint, and with which keys: what the flows of one entry have in common.

    ``name`` is the entry, for messages. ``registration`` is None where no client is known at all, which only
    workload identity federation allows. ``audience`` is the ``aud`` of a client assertion, where it is not the
    issuer. With a ``proof_key`` every token is DPoP-bound, and one that is not is refused.
    """

    name: str
    server: AuthorizationServer
    registration: Registration | None = None
    key: ClientKey | None = None
    audience: str | None = None
    proof_key: dpop.ProofKey | None = None
    random_bytes: Callable[[int], bytes] = os.urandom

    @property
    def token_type(self) -> str:
        """The type that a token of this client has."""
        return "Bearer" if self.proof_key is None else "DPoP"


def exchange_code_flow(client: Client, pending: Pending, code: Secret, *, now: float) -> Flow[TokenSet]:
    """
    Spend an authorization code.

    Raises:
        IssuerMismatchError: *pending* is of another authorization server or client; nothing was sent (A84).
        AuthorizationFailedError: The code is not good any more. Begin again.
    """
    if (pending.issuer, pending.client_id) != (client.server.issuer, _client_id(client)):
        raise IssuerMismatchError(
            f"{client.name}: the code is of client {pending.client_id!r} at {pending.issuer!r}, "
            f"not of {_client_id(client)!r} at {client.server.issuer!r}",
            server=client.name,
        )
    form = grants.authorization_code(
        code, code_verifier=pending.code_verifier, redirect_uri=pending.redirect_uri, resource=pending.resource
    )
    answer = yield from token_request(client, form, now=now)
    tokens = read_token(
        answer,
        requested_scope=permitted(pending.scope, client.registration),
        now=now,
        expected_type=client.token_type,
        server_name=client.name,
    )
    return tokens.replaced(requested_scope=pending.scope)


def client_credentials_flow(client: Client, *, scope: str | None, resource: str | None, now: float) -> Flow[TokenSet]:
    """
    Get a token in the client's own name (C1–C5); a refresh token that comes with it is dropped.

    Raises:
        ConfigurationError: The client is public. "The client credentials grant type MUST only be used by
            confidential clients" (RFC 6749 §4.4).
        AuthorizationFailedError: The authorization server refused.
    """
    if client.registration is None or client.registration.token_endpoint_auth_method == "none":  # noqa: S105
        raise ConfigurationError(
            f"{client.name}: client credentials need a client secret or a private key", server=client.name
        )
    answer = yield from token_request(client, grants.client_credentials(scope=scope, resource=resource), now=now)
    return _own(client, answer, scope, now)


def jwt_bearer_flow(
    client: Client, assertion: Secret, *, scope: str | None, resource: str | None, now: float
) -> Flow[TokenSet]:
    """
    Trade a JWT that somebody else signed for a token: workload identity federation (RFC 7523 §2.1).

    One request, whatever comes back: a rejected assertion is neither sent again nor replaced by another grant.

    Raises:
        AuthorizationFailedError: The authorization server refused the assertion.
    """
    form = grants.jwt_bearer(assertion, scope=scope, resource=resource)
    answer = yield from token_request(client, form, now=now)
    return _own(client, answer, scope, now, hint=_about(assertion, "the assertion", now, client.server))


def id_jag_flow(
    idp: Client,
    client: Client,
    *,
    subject_token: Secret,
    subject_token_type: str,
    scope: str | None,
    resource: str | None,
    now: float,
) -> Flow[TokenSet]:
    """
    Get a token by what the person's identity provider says: enterprise-managed authorization (E1–E5).

    The identity provider issues an ID-JAG for the authorization server, which takes it for a token. An ID-JAG is
    used once: every token has its own.

    Args:
        idp: The client at the identity provider; its server is configuration, never something discovered.
        client: The client at the MCP server's authorization server.
        subject_token: What the identity provider gave the person.
        subject_token_type: ``id_token``, ``refresh_token``, ``saml2``, or a URN.
        scope: For the token.
        resource: The MCP server's resource identifier, for both requests.
        now: Unix seconds.

    Raises:
        AuthorizationFailedError: One of the two refused; the message says which.
    """
    form = grants.token_exchange(
        subject_token, subject_token_type, audience=client.server.issuer, resource=resource, scope=scope
    )
    answer = yield from token_request(idp, form, now=now, purpose="token exchange")
    expired = _about(subject_token, "the subject token", now, None)
    id_jag = read_id_jag(answer, server_name=client.name, hint=expired)
    form = grants.jwt_bearer(id_jag, scope=scope, resource=resource)
    answer = yield from token_request(client, form, now=now)
    return _own(client, answer, scope, now)


def offers_id_jag(server: AuthorizationServer) -> bool:
    """Tell whether the metadata declares enterprise-managed authorization (E4); some servers forget to."""
    return ID_JAG_PROFILE in server.authorization_grant_profiles_supported


def token_request(client: Client, grant: Form, *, now: float, purpose: str = "token request") -> Flow[Answer]:
    """
    Send *grant* with client authentication and, where there is a key, a DPoP proof; return the last answer.

    A server that wants a nonce says so before it looks at the grant: the request is sent once more, with all of its
    JWTs made anew (RFC 9449 §8). Nothing else is tried again.
    """
    endpoint, nonce = client.server.token_endpoint, None
    while True:
        form, headers = authenticate(client, grant, now=now)
        if client.proof_key is not None:
            headers["DPoP"] = client.proof_key.proof(
                method="POST", url=endpoint, now=now, nonce=nonce, random_bytes=client.random_bytes
            )
        answer = yield from post(endpoint, form, headers, purpose=purpose)
        if client.proof_key is None or nonce is not None:
            return answer
        nonce = dpop.nonce_from(answer.status, answer.headers, answer.body)
        if nonce is None:
            return answer


def authenticate(client: Client, form: Form, *, now: float) -> tuple[Form, dict[str, str | Secret]]:
    """Return *form*, with what proves who the client is, and the headers that belong to it: for one request."""
    members, headers = dict(form), dict[str, str | Secret]()
    if client.registration is not None:
        client_authentication.apply(
            client.registration.token_endpoint_auth_method,
            registration=client.registration,
            form=members,
            headers=headers,
            server=client.server,
            now=now,
            key=client.key,
            audience=client.audience,
            random_bytes=client.random_bytes,
        )
    return members, headers


def post(url: str, form: Form, headers: Mapping[str, str | Secret], *, purpose: str) -> Flow[Answer]:
    """Ask for one POST and return its answer."""
    return (yield grants.post(url, form, headers, purpose=purpose))


def _own(client: Client, answer: Answer, scope: str | None, now: float, *, hint: str | None = None) -> TokenSet:
    """Return the tokens of a grant that can be repeated: it is repeated, a refresh token would only be in the way."""
    tokens = read_token(
        answer,
        requested_scope=scope,
        now=now,
        expected_type=client.token_type,
        server_name=client.name,
        hint=hint,
    )
    return tokens.replaced(refresh_token=None)


def _client_id(client: Client) -> str | None:
    return client.registration.client_id if client.registration is not None else None


def _about(token: Secret, name: str, now: float, server: AuthorizationServer | None) -> str | None:
    """Return what is plainly wrong with a JWT that was refused: a hint, for the judgement is the server's."""
    claims = jwt.unverified_claims(token)
    exp, aud = claims.get("exp"), claims.get("aud")
    if isinstance(exp, (int, float)) and exp <= now:
        return f"{name} expired {now - exp:.0f} s ago; get a fresh one"
    audiences = aud if isinstance(aud, list) else [aud]
    named = {each for each in audiences if isinstance(each, str)}
    if server is not None and named.isdisjoint({server.issuer, server.token_endpoint}):
        shown = quote(", ".join(sorted(named))) or "nobody"
        return f"{name} is made out to {shown}, the token endpoint is {server.token_endpoint}"
    return None
