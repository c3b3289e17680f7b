"""
What is kept of a grant that a machine has obtained: the tokens, and as whom.

Decides what of it a later run compares with its entry. Leaves obtaining it to ``grants``.
"""

from __future__ import annotations

from mcpvault.grants import Grant
from mcpvault.oauth_entry import who_asks
from mcpvault.state.record import TokenRecord
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import Settings


def machines(store: TokenStore, known: TokenRecord | None, grant: Grant, settings: Settings) -> TokenRecord:
    """
    Return the record of *grant*, and let *store* go by *settings* from now on: who asks may be another than it was.

    The client is the one that was believed: in a rotation it may be another than that of *settings*.
    """
    who = who_asks(settings)
    store.follow(**who)
    return (known or TokenRecord(generation=0, status="none", host=store.host)).replaced(
        kind=settings.kind,
        client_id=grant.registration.client_id if grant.registration else None,
        idp_issuer=settings.idp_issuer,
        subject=who["subject"],
        issuer=grant.server.issuer,
        resource=grant.resource,
        tokens=grant.tokens,
        registration=None,
        server=grant.server,
        dpop_key=grant.proof_key.jwk() if grant.proof_key else None,
    )
