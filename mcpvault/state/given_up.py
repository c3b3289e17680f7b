"""What is left of a grant that was sealed with a key which others may know: nobody uses it any more."""

from __future__ import annotations

import re
import time

from mcpvault.secret import Secret
from mcpvault.state.brake import Trouble
from mcpvault.state.record import GIVEN_UP, Facts, TokenRecord
from mcpvault.state.store import StateStore
from mcpvault.state.tokens import file_of


def dead_for_its_key(facts: Facts, record: TokenRecord | None) -> TokenRecord:
    """
    Return the record of a grant that nobody may use any more, because others may know the key that it was sealed with.

    Of the *record*, where it can be read, the refresh token stays, so that a logout can revoke it.
    """
    tokens = record.tokens if record else None
    if tokens is not None:
        tokens = tokens.replaced(access_token=Secret("")) if tokens.refresh_token else None
    now = int(time.time())
    return TokenRecord(
        generation=facts.generation,
        status="dead" if facts.status != "none" else "none",
        host=facts.host,
        host_name=facts.host_name,
        origin=facts.origin,
        issuer=facts.issuer,
        resource=facts.resource,
        entries=facts.entries,
        tokens=tokens,
        registration=record.registration if record else None,
        server=record.server if record else None,
        dpop_key=record.dpop_key if record else None,
        trouble=Trouble(failures=1, since=now, until=now, reason=GIVEN_UP),
    )


def sealed_in(store: StateStore, credential: str) -> int | None:
    """
    Return the epoch of the vault in which the record of *credential* was sealed, None where that is not to be seen.

    Raises:
        PermissionsError: It cannot be read.
    """
    found = re.search(rb'^sealed = "mv1\.([1-9][0-9]{0,9})\.', store.read(file_of(credential)) or b"", re.MULTILINE)
    return int(found[1]) if found else None
