"""
The rows about rotation: when a secret is due and how it is made anew, and the journal of doing so.

Spec: SPEC §10.1, §10.4.
"""

from __future__ import annotations

from typing import Final

from vault_schema.fieldspec import field

STEPS: Final = (
    *("planned", "minted", "stored", "verified", "promoted", "grace", "revoked"),
    *("done", "aborted"),
)

ROTATION_FIELDS: Final = (
    field("policy.max_age", "text", "age at which a secret is due", form="duration"),
    field("policy.warn", "text", "how long before that to warn", form="duration"),
    field("policy.grace", "text", "how long an old secret stays good after its rotation", form="duration"),
    field("policy.rotator", "text", "what makes its new secrets", form="name"),
    field("policy.command", "texts", "the program and arguments of the rotator exec"),
    field("policy.probe_tool", "text", "a tool that is called with a new secret before it is used"),
    field("policy.jwks_file", "text", "where the public keys of private_key are published", form="absolute path"),
    field("rotation.id", "text", "which rotation it is", form="16 bytes", required=True),
    field("rotation.field", "text", "the secret that is rotated", form="secret field", required=True),
    field("rotation.rotator", "text", "what makes the new one", form="name", required=True),
    field("rotation.step", "text", "how far it has come", choices=STEPS, required=True),
    field("rotation.attempt", "integer", "how often the next step was begun", minimum=0, required=True),
    field("rotation.started", "text", "when it began", form="time", required=True),
    field("rotation.updated", "text", "when this was written", form="time", required=True),
    field("rotation.by", "text", "who wrote this, and on which host", required=True),
    field("rotation.host", "text", "the host whose state has the tokens that are rotated"),
    field("rotation.grace", "text", "how long the old one stays good", form="duration"),
    field("rotation.until", "text", "when that ends", form="time"),
    field("rotation.ended", "text", "when the old secret was ended", form="time"),
    field("rotation.undo", "boolean", "true: it is being given up"),
    field("rotation.problem", "text", "what went wrong last"),
    field("rotation.command", "texts", "the program and arguments of the rotator exec"),
    field("rotation.pending_client_id", "text", "the client_id that the new secret belongs to", form="client id"),
    field("rotation.previous_client_id", "text", "the client_id that the old secret belongs to", form="client id"),
    field("rotation.pending_client_uri", "text", "the registration_client_uri of the new client", form="issuer"),
    field("rotation.previous_client_uri", "text", "the registration_client_uri of the old client", form="issuer"),
    field("rotation.pending_key_id", "text", "the key_id of the new key"),
    field("rotation.previous_key_id", "text", "the key_id of the old key"),
)  # fmt: skip
