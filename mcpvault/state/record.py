"""
What is known of one credential on this host: its tokens, its client, its authorization server, and its journal.

Decides the shape, and what of it stands in clear. Leaves the file to ``token_file``, and what to do to ``refresh``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.secret import Secret
    from mcpvault.state.brake import Trouble
    from mcpvault.state.journal import Intent
    from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

# none: no grant yet, or no longer; refreshing: a redemption was begun; ambiguous: nobody knows how it ended;
# dead: only a login helps.
Status = Literal["none", "ok", "refreshing", "ambiguous", "dead"]
STATUSES = ("none", "ok", "refreshing", "ambiguous", "dead")
GIVEN_UP = "key_compromised"  # the reason for which a grant is dead after mcpvault rekey --compromised
ASLEEP = 86_400  # seconds: a token that was unused for less had hardly been forgotten
SUCCESSOR_LIVES = 3600  # seconds; a server that forgets its clients may have forgotten this one as well
_LATEST = 2**53
_NEVER = 253_402_300_800  # Unix seconds; the year 10000
NO_CLIENT = frozenset({"invalid_client", "unauthorized_client"})  # of the client, RFC 6749 §5.2


class KeptAnswer(Record):
    """An answer of a token endpoint as it came, kept before anybody parses it; ``asked_at`` in Unix seconds."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    asked_at: float = 0.0

    _unprinted = frozenset({"headers", "body"})


class Lifetime(Record):
    """
    What is known of a grant; None: not yet.

    ``begun`` is when a person logged in, ``ends`` when the refresh token ends, as the issuer said: both Unix seconds.
    ``extends`` tells whether a refresh has moved that end, ``rotates`` whether it brought another refresh token,
    ``forgives`` whether a token was taken a second time after the first answer was lost. ``idle`` and ``age`` are the
    seconds for which an earlier grant had been unused, and had lasted, when it was refused.
    """

    begun: int | None = None
    ends: int | None = None
    extends: bool | None = None
    rotates: bool | None = None
    forgives: bool | None = None
    idle: int | None = None
    age: int | None = None

    @property
    def learned(self) -> Lifetime:
        """What of it holds for the next grant of the same issuer."""
        return self.replaced(begun=None, ends=None)

    def needs_person(self) -> int | None:
        """Return when nothing but a login will help, as far as that is known."""
        if self.ends is not None:
            return None if self.extends else self.ends
        if self.begun is None or self.age is None or self.age < ASLEEP or self.needs_refresh(0) is not None:
            return None
        return self.begun + self.age

    def needs_refresh(self, used: float) -> int | None:
        """Return when the refresh token, last used at *used*, falls asleep unless it is used again before."""
        if self.ends is not None:
            return self.ends if self.extends else None
        return int(used) + self.idle if self.idle is not None and self.idle >= ASLEEP else None


class Facts(Record):
    """
    What a record says in clear, for ``status`` and for monitoring: no key is needed, and nothing is verified.

    Times are whole Unix seconds, None where unknown. ``client_ends``: when the secret of a client that registered
    itself ends; None: never. ``answered``: there is an answer that nobody has read; True or None.
    ``dpop``: whether the tokens are bound to a key; None: nobody has written that down, as older versions did not.
    """

    credential: str
    generation: int
    status: Status
    host: str
    host_name: str = ""
    origin: str | None = None
    kind: str | None = None
    issuer: str | None = None
    resource: str | None = None
    client_id: str | None = None
    client_ends: int | None = None
    issued_at: int | None = None
    expires_at: int | None = None
    refreshable: bool = False
    scope: str | None = None
    requested_scope: str | None = None
    entries: tuple[str, ...] = ()
    rejections: int = 0
    intent: Intent | None = None
    trouble: Trouble | None = None
    lifetime: Lifetime | None = None
    answered: bool | None = None
    dpop: bool | None = None

    def exhausted(self, host_name: str, now: float) -> bool:
        """Tell whether the refresh token was redeemed as often as it may be, and nobody has an answer or awaits one."""
        intent = self.intent
        if intent is None or not intent.is_last:
            return False
        cut = self.status == "refreshing" and not self.answered and not intent.goes_on(host_name, now)
        return cut or self.status == "ambiguous"

    @property
    def client_refused(self) -> bool:
        """Whether the authorization server did not believe the client when it was asked last."""
        return self.trouble is not None and self.trouble.reason in NO_CLIENT


class Bound(Record):
    """
    What the tokens of an entry are for, as the entry says it now; None: it does not say.

    ``path`` is that of the entry's URL: one origin may have many MCP servers, of different people. The tokens of
    ``other_clients``, those of a rotation that is open, are as good as the entry's own client's.
    """

    origin: str
    path: str | None = None
    kind: str | None = None
    issuer: str | None = None
    resource: str | None = None
    client_id: str | None = None
    other_clients: tuple[str, ...] = ()
    idp_issuer: str | None = None
    subject: str | None = None
    dpop: bool | None = None

    def difference(self, record: TokenRecord | Facts) -> str | None:
        """Return what *record* was made for instead, for a message; None where its tokens may be used."""
        held = {**record.fields(), "path": self.path if self.resource else _path_above(record.resource, self.path)}
        if isinstance(record, TokenRecord):
            held["client_id"] = record.registration.client_id if record.registration else record.client_id
            held["dpop"] = record.dpop_key is not None if record.tokens else None
        held["kind"] = record.kind or _kind_untold(record, held["client_id"])
        whole = self.kind is not None and record.kind is not None  # where no client is named, there was none
        for name, said in self.fields().items():
            there = held.get(name)
            if name == "client_id" and there in self.other_clients:
                continue
            if there != said and ((said is not None and there is not None) or (whole and name == "client_id")):
                if name == "dpop":
                    return f"token type {'DPoP' if there else 'Bearer'}"
                return name if name == "subject" else f"{name} {there}"
        return None


def _kind_untold(record: TokenRecord | Facts, client_id: str | None) -> str | None:
    """Return the kind of a grant that says none: a person's; or a machine's of old, whose client nobody can tell."""
    if client_id is not None or record.refreshable:
        return "oauth"
    has_tokens = record.tokens is not None if isinstance(record, TokenRecord) else record.issued_at is not None
    return "(untold)" if has_tokens else None


def _path_above(resource: str | None, path: str | None) -> str | None:
    """Return *path* where it lies in *resource*, or below; else the path of *resource*, None where it has none."""
    from urllib.parse import urlsplit

    above = urlsplit(resource).path if resource is not None else ""
    if path is None or f"{path.removesuffix('/')}/".startswith(f"{above.removesuffix('/')}/"):
        return path
    return above


class TokenRecord(Record):
    """
    The state of one credential; a new ``generation`` is a new access token.

    ``kind``, ``client_id``, ``idp_issuer`` and ``subject`` are a machine's: as whom it asked (SPEC §9.6).
    ``host`` says where refreshing is allowed, ``origin`` where the tokens may be sent, ``rejections`` counts refreshes
    in a row that were made because the server had refused a token, ``answer`` is what an authorization server said
    and nobody has read yet, ``shown`` the fingerprint of what the client proved itself with when it was refused last.
    ``successor`` was registered at ``successor_since`` in the place of a client that the server has forgotten, by a
    login that has not come to its end.
    """

    generation: int
    status: Status
    host: str
    host_name: str = ""
    origin: str | None = None
    issuer: str | None = None
    resource: str | None = None
    kind: str | None = None
    client_id: str | None = None
    idp_issuer: str | None = None
    subject: str | None = None
    entries: tuple[str, ...] = ()
    tokens: TokenSet | None = None
    registration: Registration | None = None
    server: AuthorizationServer | None = None
    dpop_key: Secret | None = None
    rejections: int = 0
    intent: Intent | None = None
    trouble: Trouble | None = None
    lifetime: Lifetime | None = None
    answer: KeptAnswer | None = None
    successor: Registration | None = None
    successor_since: int = 0  # Unix seconds
    shown: str | None = None

    @property
    def expires_at(self) -> float | None:
        """When the access token expires, None where the server did not say."""
        return self.tokens.expires_at if self.tokens else None

    @property
    def refreshable(self) -> bool:
        """Whether there is a refresh token."""
        return bool(self.tokens and self.tokens.refresh_token)

    @property
    def disowned(self) -> bool:
        """Whether the server has forgotten the client that registered itself there, as some do when they restart."""
        held, trouble = self.registration, self.trouble
        return held is not None and held.source == "dynamic" and trouble is not None and trouble.reason in NO_CLIENT

    def usable_client(self, now: float) -> Registration | None:
        """Return the client to log in with: the one that is known, or its successor, as long as that is new."""
        if not self.disowned:
            return self.registration
        return self.successor if 0 <= now - self.successor_since < SUCCESSOR_LIVES else None

    def alive(self, now: float) -> bool:
        """Tell whether there is an access token that has not expired at *now*."""
        return bool(self.tokens and self.tokens.access_token) and (self.expires_at is None or now < self.expires_at)

    def facts(self, credential: str) -> Facts:
        """Return what may be said in clear."""
        tokens = self.tokens
        return Facts(
            credential=credential,
            generation=self.generation,
            status=self.status,
            host=self.host,
            host_name=self.host_name,
            origin=self.origin,
            kind=self.kind,
            issuer=self.issuer,
            resource=self.resource,
            client_id=self.registration.client_id if self.registration else self.client_id,
            client_ends=_end(self.registration),
            issued_at=_whole(tokens.issued_at) if tokens else None,
            expires_at=_whole(tokens.expires_at) if tokens else None,
            refreshable=self.refreshable,
            scope=tokens.scope if tokens else None,
            requested_scope=tokens.requested_scope if tokens else None,
            entries=self.entries,
            rejections=self.rejections,
            intent=self.intent,
            trouble=self.trouble,
            lifetime=self.lifetime,
            answered=(self.answer is not None and self.status == "refreshing") or None,
            dpop=self.dpop_key is not None if tokens else None,
        )


def window_of(tokens: TokenSet | Facts) -> float:
    """
    Return for how many seconds before its end a token is worth replacing: a tenth of its life, 30 s to 5 min.

    It differs by up to a tenth from process to process, so that they do not all come at once.
    """
    if tokens.expires_at is None:
        return 0.0
    life = max(0.0, tokens.expires_at - tokens.issued_at) if tokens.issued_at else 3600.0
    jitter = 0.9 + 0.2 * (os.getpid() * 2654435761 % 2**32) / 2**32
    return min(max(30.0, min(300.0, life / 10)), life / 2) * jitter


def _end(registration: Registration | None) -> int | None:
    ends = registration.client_secret_expires_at if registration is not None else 0
    return ends if 0 < ends < _NEVER else None


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None or not math.isfinite(seconds) else int(max(-_LATEST, min(seconds, _LATEST)))
