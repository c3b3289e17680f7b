"""Which endpoint a path means, and with which methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcpvault.testing.authorization import (
    authorization_endpoint,
    device_endpoint,
    published_metadata,
    registration,
    token_endpoint,
    token_status,
)
from mcpvault.testing.authorization.issuer import PATHS, Issuer
from mcpvault.testing.authorization.reply import OAuthRefusal, Reply, json_reply
from mcpvault.testing.listener import Recorded

_ENDPOINTS: Mapping[str, tuple[str, Callable[[Issuer, Recorded], Reply]]] = {
    "authorize": ("GET POST", authorization_endpoint.answer),
    "consent": ("POST", authorization_endpoint.decided),
    "token": ("POST", token_endpoint.answer),
    "register": ("POST", registration.register),
    "registration": ("GET PUT DELETE", registration.manage),
    "revoke": ("POST", token_status.revoke),
    "introspect": ("POST", token_status.introspect),
    "device": ("POST", device_endpoint.answer),
    "verify": ("GET POST", device_endpoint.verify),
    "jwks": ("GET", lambda issuer, _: json_reply({"keys": [issuer.key.jwk]})),
    "metadata": ("GET", lambda issuer, _: json_reply(published_metadata.document(issuer))),
    "document": ("GET", lambda issuer, request: json_reply(issuer.documents[request.place])),
}


def endpoint(issuer: Issuer, place: str) -> str | None:
    """Return the endpoint that is at the path *place*, or None."""
    if place in issuer.documents:
        return "document"
    if place in published_metadata.places(issuer):
        return "metadata"
    if place.startswith(f"{issuer.path}{PATHS['register']}/"):
        return "registration" if issuer.policy.registration_management else None
    for name, path in PATHS.items():
        if place == issuer.path + path:
            return None if name == "register" and not issuer.policy.registration else name
    return None


def answer(issuer: Issuer, request: Recorded) -> Reply:
    """Carry a request out, and return the answer."""
    name = endpoint(issuer, request.place)
    if name is None:
        return Reply(404, b"not found", {"Content-Type": "text/plain"})
    methods, carry_out = _ENDPOINTS[name]
    if request.method not in methods.split():
        return Reply(405, b"", {"Allow": methods.replace(" ", ", ")})
    if name in ("document", "metadata"):
        # Without the lock: a client's metadata document may lie here and be fetched while the lock is held.
        return carry_out(issuer, request)
    with issuer.lock:
        try:
            return carry_out(issuer, request)
        except OAuthRefusal as refusal:
            return refusal.reply()
