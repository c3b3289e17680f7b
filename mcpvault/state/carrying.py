"""
What becomes of the token state of this host when its vault gets a new key.

Each record is taken over under the lock of its credential, so that no refresh is cut into. Leaves everybody else's
hosts to the retired keys of the vault: their next write takes their records over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mcpvault.errors import McpVaultError
from mcpvault.state.given_up import dead_for_its_key
from mcpvault.state.record import TokenRecord
from mcpvault.state.store import StateStore
from mcpvault.state.tokens import TokenStore, credentials, peek

_PATIENCE = 5.0  # seconds; whoever refreshes for longer takes its record over itself


def carry(
    store: StateStore, of: Callable[[str], TokenStore], *, compromised: bool
) -> Iterator[tuple[str, McpVaultError | None]]:
    """
    Seal every record again, or with *compromised* mark it dead; yield each credential, and what was in the way.

    Args:
        store: The state folder.
        of: Returns the store of a credential, sealing with the new key.
        compromised: Others may know the old key, and so the tokens.
    """
    for credential in credentials(store):
        problem = None
        try:
            _carried(store, of(credential), compromised=compromised)
        except McpVaultError as error:
            problem = error
        yield credential, problem


def _carried(store: StateStore, tokens: TokenStore, *, compromised: bool) -> None:
    with tokens.exclusive(timeout=_PATIENCE):
        facts, record = peek(store, tokens.credential), tokens.read()
        if record is None or facts is None:
            return
        after: TokenRecord = dead_for_its_key(facts, record) if compromised else record
        tokens.write(after)
