"""
Authorization for devices without a browser (RFC 8628): the request, the page for the person, the polls.

``approve`` and ``deny`` of the server play the person; the page is for real browsers.
"""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mcpvault.testing.authorization.client_judge import authenticated
from mcpvault.testing.authorization.clients import Client
from mcpvault.testing.authorization.grants_issued import Grant
from mcpvault.testing.authorization.parameters import Parameters, form, query
from mcpvault.testing.authorization.policy import DEVICE_CODE
from mcpvault.testing.authorization.reply import DECISION, NO_STORE, Json, OAuthRefusal, Reply, json_reply, page
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 §6.1
SLOWER = 5  # seconds that slow_down adds (RFC 8628 §3.5)


@dataclass(slots=True)
class Device:
    """A device that waits; ``state`` is what the person has said."""

    user_code: str
    client_id: str
    scope: str
    requested_scope: str | None
    resources: tuple[str, ...]
    expires_at: float
    interval: int
    polled_at: float | None = None
    state: Literal["pending", "approved", "denied", "redeemed"] = "pending"
    subject: str = ""


def answer(issuer: Issuer, request: Recorded) -> Reply:
    """Answer a device authorization request."""
    policy, parameters = issuer.policy, form(request)
    client = authenticated(issuer, request, parameters)
    issuer.check_grant_type(client, DEVICE_CODE)
    asked = parameters.scope()
    code, letters = f"device-{secrets.token_urlsafe(24)}", [secrets.choice(_LETTERS) for _ in range(8)]
    user_code = f"{''.join(letters[:4])}-{''.join(letters[4:])}"
    issuer.devices[code] = Device(
        user_code=user_code,
        client_id=client.client_id,
        scope=issuer.scope_for(client, asked),
        requested_scope=asked,
        resources=issuer.check_resources(parameters),
        expires_at=issuer.now() + policy.device_lifetime,
        interval=policy.device_interval,
    )
    told: Json = {
        "device_code": code,
        "user_code": user_code,
        "verification_uri": issuer.url("verify"),
        "expires_in": int(policy.device_lifetime),
        "interval": policy.device_interval,
    }
    if policy.device_complete_uri:
        told["verification_uri_complete"] = f"{issuer.url('verify')}?user_code={user_code}"
    return json_reply(told).adding(NO_STORE)


def redeem(issuer: Issuer, client: Client, parameters: Parameters, jkt: str | None) -> Json:
    """Answer a poll of the token endpoint (RFC 8628 §3.4, §3.5)."""
    device = issuer.devices.get(parameters.needed("device_code"))
    if device is None or device.client_id != client.client_id or device.state == "redeemed":
        raise OAuthRefusal("invalid_grant", "no such device code, another client's, or one that was redeemed")
    now, before = issuer.now(), device.polled_at
    device.polled_at = now
    if now >= device.expires_at:
        raise OAuthRefusal("expired_token", "the device code has expired")
    if device.state == "denied":
        raise OAuthRefusal("access_denied", "the person said no")
    if before is not None and now - before < device.interval:
        device.interval += SLOWER
        raise OAuthRefusal("slow_down", f"wait {device.interval} seconds between polls")
    if device.state == "pending":
        raise OAuthRefusal("authorization_pending", "the person has not decided yet")
    resources = issuer.check_resources(parameters, device.resources)
    device.state = "redeemed"
    grant = Grant(client.client_id, device.subject, device.scope, resources, jkt)
    issuer.ledger.begin(grant)
    told = issuer.access(grant, device.scope, device.requested_scope, resources, jkt)
    return told | (
        {"refresh_token": issuer.ledger.new_refresh(grant)} if issuer.gives_refresh(client, grant.scope) else {}
    )


def decide(issuer: Issuer, user_code: str | None, state: Literal["approved", "denied"], subject: str) -> None:
    """
    Decide for the person: about the device with *user_code*, or about the one that waits.

    Raises:
        LookupError: There is no such device, or None was given and not exactly one waits.
    """
    typed = None if user_code is None else _plain(user_code)
    waiting = [
        device
        for device in issuer.devices.values()
        if device.state == "pending" and issuer.now() < device.expires_at and typed in (None, _plain(device.user_code))
    ]
    if len(waiting) != 1:
        raise LookupError(f"{len(waiting)} devices wait for a decision about {user_code or 'any code'}")
    waiting[0].state, waiting[0].subject = state, subject


def _plain(user_code: str) -> str:
    """RFC 8628 §6.1: case and punctuation of a typed code do not count."""
    return "".join(letter for letter in user_code.upper() if letter.isalnum())


def verify(issuer: Issuer, request: Recorded) -> Reply:
    """Show the page on which a person types the code, or take what was typed."""
    if request.method == "GET":
        typed = html.escape(query(request).get("user_code", ""))
        return page(
            "Connect a device",
            '<form method="post"><label>Code <input name="user_code" autocomplete="off" required '
            f'value="{typed}"></label> '
            f"{DECISION}</form>",
        )
    parameters = form(request)
    allowed = parameters.get("decision") == "allow"
    try:
        decide(
            issuer,
            parameters.needed("user_code"),
            "approved" if allowed else "denied",
            parameters.get("user", "user"),
        )
    except LookupError:
        return page("Unknown code", "<p>No device waits for it.</p>", 400)
    return page("Device connected" if allowed else "Device refused", "<p>You may close this page.</p>")
