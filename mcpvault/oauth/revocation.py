"""
Giving tokens back: what is asked of the revocation endpoint, and what came of it.

Decides the order and goes on where one fails: a token that could not be revoked is still to be forgotten.

Spec: RFC 7009; A129.
"""

from __future__ import annotations

from mcpvault.errors import IssuerMismatchError, McpVaultError
from mcpvault.oauth.flows import Client, authenticate, post
from mcpvault.oauth.token_response import error_of, failure
from mcpvault.oauth.wire import Answer, Flow, Form, json_object
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet
from vault_schema.record import Record


class Revocation(Record):
    """
    What became of one token: ``token_type_hint`` is ``refresh_token`` or ``access_token``.

    ``error`` says why it is not revoked; None where it is, or was no good already.
    """

    token_type_hint: str
    error: McpVaultError | None = None


def revocations(client: Client, tokens: TokenSet, *, now: float) -> Flow[tuple[Revocation, ...]]:
    """
    Revoke the refresh token, then the access token; best effort, nothing is raised for a token that is not revoked.

    Returns:
        One for each token, in order. Empty where the server has no ``revocation_endpoint``.

    Raises:
        IssuerMismatchError: The client is of another authorization server; nothing was sent.
    """
    endpoint = client.server.revocation_endpoint
    found: list[Revocation] = []
    # "If the particular token is a refresh token […], then the authorization server SHOULD also invalidate all access
    # tokens based on the same authorization grant" -- RFC 7009 §2.1. Many do not, so both are named.
    for hint, token in (("refresh_token", tokens.refresh_token), ("access_token", tokens.access_token)):
        if endpoint is not None and token is not None:
            error = yield from _revoke(client, endpoint, hint, token, now)
            found.append(Revocation(hint, error))
    return tuple(found)


def _revoke(client: Client, endpoint: str, hint: str, token: Secret, now: float) -> Flow[McpVaultError | None]:
    def ask(blank: Form) -> Flow[Answer]:
        form, headers = authenticate(client, {"token": token, "token_type_hint": hint}, now=now)
        return (yield from post(endpoint, {**blank, **form}, headers, purpose="token revocation"))

    try:
        answer = yield from ask({})
        if _misses_secret(answer):
            # The MCP SDK's servers want the member even from a client that has proved itself in the header, or is
            # public. "Parameters sent without a value MUST be treated as if they were omitted" -- RFC 6749 §3.2
            answer = yield from ask({"client_secret": ""})
    except IssuerMismatchError:
        raise
    except McpVaultError as error:
        return error
    # "The authorization server responds with HTTP status code 200 if the token has been revoked successfully or if the
    # client submitted an invalid token." -- RFC 7009 §2.2
    if 200 <= answer.status < 300:
        return None
    return failure(answer, server_name=client.name, purpose="token revocation")


def _misses_secret(answer: Answer) -> bool:
    told = json_object(answer.body) or {}
    return error_of(told) == "invalid_request" and "client_secret" in str(told.get("error_description"))
