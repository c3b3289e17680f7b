"""
The device flow: the person enters a short code on another device while we ask, and ask again.

Decides what is asked and how often. Leaves showing the code, and waiting, to whoever carries the steps out.

Spec: RFC 8628; RFC 8707 for ``resource``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RemoteProtocolError,
    RequestLostError,
)
from mcpvault.oauth import grants, urls
from mcpvault.oauth.flows import Client, authenticate, post, token_request
from mcpvault.oauth.scope import permitted
from mcpvault.oauth.token_response import classify, error_of, failure, read_token, seconds
from mcpvault.oauth.wire import Answer, Ask, ShowCode, Wait, json_object, retry_after
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet

DeviceFlow = Generator[Ask | ShowCode | Wait, Answer | None, TokenSet]

_INTERVAL = 5.0  # seconds: "If no value is provided, clients MUST use 5 as the default." -- RFC 8628 §3.2
_SLOWER = 5.0  # seconds: "the interval MUST be increased by 5 seconds for this and all subsequent requests" -- §3.5
_SHORTEST = 1.0  # seconds, whatever the server says
_LONGEST_BACKOFF = 60.0  # seconds
_LIFETIME = 600.0  # seconds, where the server does not say
_USER_CODE = r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?"


def device_flow(client: Client, *, scope: str | None, resource: str | None, clock: Callable[[], float]) -> DeviceFlow:
    """
    Get a token with a code that a person enters elsewhere.

    Args:
        client: Who asks; its server must have a ``device_authorization_endpoint``.
        scope: What is wanted; what of it the client may ask for is sent. None: nothing.
        resource: Sent with both requests (A90).
        clock: Returns Unix seconds. The one flow that reads it: it lasts as long as the person takes.

    Raises:
        ConfigurationError: The server has no device flow.
        AuthorizationFailedError: The person or the server refused, or the code was not entered in time.
        RemoteProtocolError: The server's answer cannot be shown to a person.
    """
    endpoint = client.server.device_authorization_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{client.server.issuer}: its metadata names no device_authorization_endpoint",
            hint=f"run: mcpvault login {client.name} --method paste",
            server=client.name,
        )
    asked = permitted(scope, client.registration)
    form, headers = authenticate(client, grants.device_authorization(scope=asked, resource=resource), now=clock())
    answer = yield from post(endpoint, form, headers, purpose="device authorization")
    code, shown, interval = _accept(client, answer)
    ends = clock() + shown.expires_in
    yield shown
    while True:
        yield Wait(interval)
        now = clock()
        if now >= ends:
            raise AuthorizationFailedError(
                f"{client.name}: nobody entered the code within {shown.expires_in:.0f} s",
                error="expired_token",
                hint="log in again",
                server=client.name,
            )
        try:
            answer = yield from token_request(client, grants.device_code(code, resource=resource), now=now)
        except (
            ConnectFailedError,
            DeadlineExceededError,
            RequestLostError,
        ):
            # "On encountering a connection timeout, clients MUST unilaterally reduce their polling frequency before
            # retrying. The use of an exponential backoff algorithm to achieve this, such as doubling the polling
            # interval on each such connection timeout, is RECOMMENDED." -- RFC 8628 §3.5
            interval = _backed_off(interval)
            continue
        pause = _pause(answer, interval)
        if pause is None:
            tokens = read_token(
                answer,
                requested_scope=asked,
                now=now,
                expected_type=client.token_type,
                server_name=client.name,
            )
            return tokens.replaced(requested_scope=scope)
        interval = pause


def _pause(answer: Answer, interval: float) -> float | None:
    """Return the seconds until the next request, or None where this answer is the last."""
    error = error_of(json_object(answer.body))
    if error == "authorization_pending":
        return interval
    if error == "slow_down":
        return interval + _SLOWER
    if classify(answer) == "transient":
        return max(_backed_off(interval), retry_after(answer) or 0.0)
    return None


def _backed_off(interval: float) -> float:
    return max(interval, min(2 * interval, _LONGEST_BACKOFF))


def _accept(client: Client, answer: Answer) -> tuple[Secret, ShowCode, float]:
    """Return the device code, what the person is shown, and the interval."""
    verdict = _judge(client, answer)
    if isinstance(verdict, McpVaultError):
        raise verdict
    return verdict


def _judge(client: Client, answer: Answer) -> tuple[Secret, ShowCode, float] | McpVaultError:
    told = json_object(answer.body) or {}
    code = told.get("device_code")
    if not 200 <= answer.status < 300 or error_of(told) is not None or not isinstance(code, str) or not code:
        return failure(answer, server_name=client.name, purpose="device authorization")
    uri, user_code = told.get("verification_uri"), told.get("user_code")
    # Both are put before a person, on a terminal: nothing else than a link and a short word may be in them.
    if not isinstance(uri, str) or urls.flaw(uri) is not None:
        wrong = "verification_uri"
    elif not isinstance(user_code, str) or not re.fullmatch(_USER_CODE, user_code):
        wrong = "user_code"
    else:
        complete = told.get("verification_uri_complete")
        usable = isinstance(complete, str) and urls.flaw(complete) is None
        shown = ShowCode(
            verification_uri=uri,
            user_code=user_code,
            expires_in=seconds(told.get("expires_in")) or _LIFETIME,
            verification_uri_complete=complete if usable else None,
        )
        return Secret(code), shown, max(seconds(told.get("interval")) or _INTERVAL, _SHORTEST)
    return RemoteProtocolError(
        f"{client.name}: device authorization: the authorization server's {wrong} cannot be shown to a person",
        server=client.name,
    )
