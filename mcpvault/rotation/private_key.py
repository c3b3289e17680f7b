"""
The rotator ``private-key``: a new key made here, both public keys published, the old one taken away in the end.

Nothing secret leaves this host, and at every step at least one published key is ours: whenever it is cut off, the
client can still prove itself. The JWK Set is written to ``policy.jwks_file``, which a web server shows, and given to
``policy.command`` as ``{"action": "publish", "jwks"}`` where there is one.
"""

from __future__ import annotations

import json
from pathlib import Path

from mcpvault import public_file
from mcpvault.deadline import Deadline
from mcpvault.oauth.client_keys import jwk_set, new_key, public_jwk
from mcpvault.rotation import program
from mcpvault.rotation.rotator import Case, Minted, Plan


class PrivateKey:
    """Makes and publishes keys of a client that uses ``private_key_jwt``."""

    def plan(self, case: Case) -> Plan:
        """Say where the keys are published."""
        where = [case.entry.policy.jwks_file] if case.entry.policy.jwks_file else []
        where += [f"by {case.command[0]!r}"] if case.command else []
        needs = program.needs(case) if case.command else ()
        return Plan(
            keeps_old=True,
            settles=True,
            steps=(
                "a key is made here; it never leaves the vault",
                f"both public keys are published: {' and '.join(where) or 'nowhere yet'}",
                "the old public key is taken away, when the grace is over",
            ),
            needs=needs if where else ("a place for the public keys: policy.jwks_file, or policy.command",),
        )

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """Make a key of the old one's kind; its ``kid`` is its thumbprint."""
        key = new_key(case.secrets.get("current"))
        return Minted(secret=key, key_id=public_jwk(key)["kid"])

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Show both public keys."""
        _publish(case, ("current", "pending"), deadline)

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """Show only the key that is in use."""
        _publish(case, ("current",), deadline)
        return None

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """Show only the key that stays in use."""
        _publish(case, ("current",), deadline)
        return None


def _publish(case: Case, stages: tuple[str, ...], deadline: Deadline) -> None:
    journal = case.entry.rotation
    kids = {"current": case.entry.auth.key_id, "pending": journal.pending_key_id if journal else None}
    shown = jwk_set(public_jwk(case.secrets[stage], kids[stage]) for stage in stages if stage in case.secrets)
    if case.entry.policy.jwks_file is not None:
        where = case.entry.policy.jwks_file
        public_file.replace(Path(where), shown, what=f"policy.jwks_file: {where}")
    if case.command:
        program.run(case.replaced(secrets={}), "publish", deadline, jwks=json.loads(shown))
