"""
As which client an entry asks an authorization server: the entry's own, or one that has registered itself.

Decides whether what is held is good for that server and this login, and which keys go with it. Leaves registering to
``mcpvault.oauth.registration`` and the order of things to ``grants``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.oauth import client_authentication, registration
from mcpvault.oauth.flows import Client
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, Settings

if TYPE_CHECKING:
    from mcpvault.oauth.dpop import ProofKey

_SOON = 14 * 86_400  # seconds


def preregistered(
    settings: Settings, server: AuthorizationServer, redirect_uris: tuple[str, ...] = ()
) -> Registration | None:
    """Return the client that the entry names, None where it names none."""
    if settings.client_id is None:
        return None
    return Registration(
        issuer=settings.issuer or server.issuer,
        client_id=settings.client_id,
        source="preregistered",
        token_endpoint_auth_method=client_authentication.choose(
            server,
            has_secret=settings.client_secret is not None,
            has_key=settings.private_key is not None,
            override=settings.token_endpoint_auth_method,
        ),
        client_secret=settings.client_secret,
        redirect_uris=redirect_uris,
    )


def still_good(
    settings: Settings, held: Registration, server: AuthorizationServer, redirect_uris: tuple[str, ...], now: float
) -> bool:
    """
    Tell whether what was registered before is good for this server and these URIs (A60, A61); none: a device.

    A secret that ends soon is not: who logs in because ``forecast`` says so is to be rid of it.
    """
    return (
        (settings.client_id, held.issuer, held.source) == (None, server.issuer, "dynamic")
        and not registration.expired(held, now + _SOON)
        and {*redirect_uris} <= {*held.redirect_uris}
        and bool(redirect_uris) is bool(held.redirect_uris)  # else registered for another grant
    )


def with_keys(
    settings: Settings, server: AuthorizationServer, held: Registration | None, proof_key: ProofKey | None
) -> Client:
    """Return the client with the keys of the entry; where it wants DPoP, with *proof_key* or a new one."""
    key = None
    if settings.private_key is not None:
        from mcpvault.oauth.jwt import ClientKey

        key = ClientKey(settings.private_key, alg=settings.signing_alg, kid=settings.key_id)
    if settings.dpop and proof_key is None:
        from mcpvault.oauth.dpop import ProofKey

        proof_key = ProofKey.generate()
    return Client(
        name=settings.server,
        server=server,
        registration=held,
        key=key,
        audience=settings.assertion_audience,
        proof_key=proof_key if settings.dpop else None,
    )


def is_own(settings: Settings, server: AuthorizationServer, held: Registration | None) -> bool:
    """Tell whether the client *held* at *server* is still the one that the entry has, with its secret and its keys."""
    if settings.issuer not in (None, server.issuer):
        return False
    if held is None or settings.client_id == held.client_id:
        return True
    return settings.client_id is None and held.source != "preregistered"


def granted_to(
    settings: Settings, server: AuthorizationServer, held: Registration | None, proof_key: ProofKey | None
) -> Client:
    """
    Return the client that tokens were given to, whatever the entry says now: to give them back.

    Secrets and keys of another client, or for another issuer, have no business there.

    Raises:
        ConfigurationError: The entry's client cannot prove itself as it is set up.
    """
    if is_own(settings, server, held):
        return with_keys(settings, server, preregistered(settings, server) or held, proof_key)
    return Client(name=settings.server, server=server, registration=held, proof_key=proof_key)


def proof_of(settings: Settings, held: Registration | None) -> str:
    """
    Return the fingerprint of what is shown to an authorization server, and what it may refuse: the client, what it
    proves itself with, scope and resource; a workload's JWT, which is new each time, apart.
    """
    from mcpvault.state.journal import fingerprint

    own = held.client_secret if held is not None else None
    proofs = (settings.client_secret, settings.private_key, settings.idp_client_secret, own)
    texts = (each.reveal() if each is not None else None for each in proofs)
    told = (settings.issuer, settings.client_id, settings.key_id, settings.signing_alg)
    asked = (settings.token_endpoint_auth_method, settings.assertion_audience, settings.scope, settings.resource)
    return fingerprint(Secret("\0".join(each or "" for each in (*told, *asked, *texts))))
