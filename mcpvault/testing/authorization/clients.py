"""
The clients that an authorization server knows, and how they came to be known.

Decides what a client's metadata must be (RFC 7591 §2, client ID metadata documents). Leaves
registering over HTTP to ``registration`` and proving to be one to ``client_judge``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mcpvault.testing.authorization.parameters import absolute
from mcpvault.testing.authorization.policy import AUTHORIZATION_CODE, Policy
from mcpvault.testing.authorization.reply import Json, OAuthRefusal

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(slots=True)
class Client:
    """One client; ``metadata`` is as registered, ``source`` as in ``mcpvault.tokens.Registration``."""

    client_id: str
    metadata: Json
    source: str = "preregistered"
    secret: str | None = None
    secret_expires_at: float = 0  # Unix seconds; 0: never
    old_secret: str | None = None  # good until old_secret_ends_at
    old_secret_ends_at: float = 0  # Unix seconds
    access_token: str | None = None  # RFC 7592
    used_jti: set[str] = field(default_factory=set)
    fetched: list[Json] = field(default_factory=list)  # its keys, believed until fetched_until
    fetched_until: float = 0  # Unix seconds

    @property
    def auth_method(self) -> str:
        """How it authenticates; RFC 7591 §2 has the default."""
        return str(self.metadata.get("token_endpoint_auth_method", "client_secret_basic"))

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """Where it may be redirected to."""
        return tuple(self.metadata.get("redirect_uris", ()))

    @property
    def grant_types(self) -> tuple[str, ...]:
        """The grants it may use; RFC 7591 §2 has the default."""
        return tuple(self.metadata.get("grant_types", (AUTHORIZATION_CODE,)))

    @property
    def scope(self) -> str | None:
        """The scope it is registered for, if any."""
        return self.metadata.get("scope")

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.metadata.get("client_name", self.client_id))

    @property
    def keys(self) -> list[Json]:
        """Its public keys, as they are published just now where ``jwks_uri`` names a place on this host."""
        uri = urlsplit(str(self.metadata.get("jwks_uri", "")))
        if uri.hostname in LOOPBACK:
            found = _fetch(uri)
            return list(found.get("keys", ())) if isinstance(found, dict) else []
        return list(self.metadata.get("jwks", {}).get("keys", ()))


class Clients:
    """All of them; ``documents`` are metadata documents by their URL, as if they had been fetched."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[str, Client] = {}
        self.documents: dict[str, Json] = {}

    def __getitem__(self, client_id: str) -> Client:
        return self._known[client_id]

    def __iter__(self) -> Iterator[Client]:
        return iter([*self._known.values()])

    def __len__(self) -> int:
        return len(self._known)

    def add(self, client: Client) -> Client:
        """Make *client* known."""
        self._known[client.client_id] = client
        return client

    def remove(self, client_id: str) -> None:
        """Forget a client."""
        self._known.pop(client_id, None)

    def find(self, client_id: str) -> Client | None:
        """Return the client, if need be from its metadata document."""
        if client_id in self._known:
            return self._known[client_id]
        if self._policy.client_id_metadata and "://" in client_id:
            return self._known.setdefault(client_id, self._from_document(client_id))
        return None

    def _from_document(self, url: str) -> Client:
        if not absolute(url):
            raise OAuthRefusal("invalid_client", "a client_id URL is absolute and has no fragment")
        parts = urlsplit(url)
        near = parts.scheme == "http" and parts.hostname in LOOPBACK
        if not (parts.scheme == "https" or near) or parts.path in ("", "/") or "@" in parts.netloc:
            raise OAuthRefusal("invalid_client", "a client_id URL is https and has a path and no user")
        document = self.documents.get(url) or (_fetch(parts) if near else None)
        if not isinstance(document, dict) or document.get("client_id") != url:
            raise OAuthRefusal("invalid_client", "there is no metadata document whose client_id is its own URL")
        for member in ("client_name", "redirect_uris"):
            if not document.get(member):
                raise OAuthRefusal("invalid_client", f"the metadata document lacks {member}")
        metadata = {"token_endpoint_auth_method": "none", **document}
        if metadata["token_endpoint_auth_method"] in SECRET_METHODS or "client_secret" in metadata:
            raise OAuthRefusal("invalid_client", "a metadata document holds and needs no secret")
        return Client(url, metadata, source="metadata_document")


def new_secret() -> str:
    """Return a secret with every letter that needs form-urlencoding before Basic (RFC 6749 §2.3.1)."""
    return f"s+{secrets.token_urlsafe(24)}/%2B:&="


def redirect_uri_fault(uri: str, application_type: str) -> str | None:
    """Return what is wrong with a redirect URI, or None (RFC 8252 §8.4, OpenID Connect Registration §2)."""
    if not absolute(uri):
        return "a redirect URI is absolute and has no fragment"
    parts = urlsplit(uri)
    near = parts.hostname in LOOPBACK
    if application_type == "web" and (parts.scheme != "https" or near):
        return "redirect URIs of a web client are https and not on this host; a native one says application_type"
    if application_type == "native" and parts.scheme == "http" and not near:
        return "http redirect URIs of a native client are on its own host"
    if parts.scheme in ("javascript", "data", "file", "vbscript"):
        return "no such scheme"
    return None


def redirect_uri_matches(given: str, registered: str, *, any_port: bool) -> bool:
    """Compare as strings; with *any_port* the port of a loopback address does not count (RFC 8252 §7.3)."""
    if given == registered:
        return True
    one, other = urlsplit(given), urlsplit(registered)
    near = one.scheme == "http" and one.hostname in ("127.0.0.1", "::1")
    return any_port and near and one._replace(netloc="") == other._replace(netloc="") and one.hostname == other.hostname


def _fetch(parts: SplitResult) -> Any:
    try:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    except ValueError:
        return None
    try:
        connection.request("GET", parts.path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return json.loads(answer.read(65536)) if answer.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


def told(client: Client) -> Mapping[str, Any]:
    """Return what a registration answer says of a client's credentials."""
    found: Json = {"client_id": client.client_id}
    if client.secret is not None:
        # RFC 7591 §3.2.1: client_secret_expires_at is "REQUIRED if "client_secret" is issued".
        found |= {"client_secret": client.secret, "client_secret_expires_at": int(client.secret_expires_at)}
    return found
