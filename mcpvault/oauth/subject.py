"""
Whom the word of a platform or an identity provider is about: one person's token is not another's.

Decides which words are about the same one. It is what they claim: nothing is verified, and nothing is granted by it.
"""

from __future__ import annotations

import hashlib
import json

from mcpvault.oauth.jwt import unverified_claims
from mcpvault.secret import Secret


def subject_of(word: Secret) -> str:
    """
    Return the fingerprint of whom *word* is about, 32 hexadecimal digits.

    A JWT is new each time: its issuer and subject count (RFC 7519 §4.1). Of anything else the whole text does.
    """
    claims = unverified_claims(word)
    who = [claims.get("iss"), claims.get("sub")]
    told = json.dumps(who) if all(isinstance(each, str) for each in who) else word.reveal()
    return hashlib.sha256(b"mcpvault/1/subject\0" + told.encode("utf-8", "replace")).hexdigest()[:32]
