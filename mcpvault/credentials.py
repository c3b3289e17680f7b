"""
What a vault entry becomes: one frozen value, bound to the origin that it is for.

Decides which header carries a static credential and what a header may hold.
Leaves sending, and the check of the origin at send time, to ``mcpvault.http``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType

from mcpvault.errors import ConfigurationError, HeaderRefusedError
from mcpvault.secret import Secret
from vault_schema.record import Record

_IN_NAMES = frozenset(
    "!#$%&'*+.^_`|~-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)  # RFC 9110 §5.6.2
_LONGEST_VALUE = 16 * 1024  # bytes
# Set by the transport, or able to change where a request ends: never an entry's business.
FORBIDDEN_HEADERS = frozenset(
    "accept-encoding connection content-length expect host keep-alive mcp-method mcp-name mcp-protocol-version "
    "mcp-session-id proxy-authorization te trailer transfer-encoding upgrade".split()
)


class Credential(Record):
    """
    A static credential: the headers that prove who we are, for one origin.

    ``origin`` is canonical (``https://mcp.example.com:443``); ``headers`` maps a
    header name to its whole value. Empty for kind ``none``.
    """

    kind: str
    origin: str
    headers: Mapping[str, Secret] = MappingProxyType({})


def bearer(token: Secret, *, origin: str, header: str = "Authorization", scheme: str = "Bearer") -> Credential:
    """
    Return the credential that sends ``<header>: <scheme> <token>`` (RFC 6750 §2.1).

    An empty *scheme* sends the token alone, as API keys want it.

    Raises:
        ConfigurationError: The token already begins with the scheme; store it without.
        HeaderRefusedError: The token cannot stand in a header.
    """
    check_scheme(token, scheme)
    value = Secret(f"{scheme} {token.reveal()}", of=[token]) if scheme else token
    check_header(header, value)
    return Credential(kind="bearer", origin=origin, headers=MappingProxyType({header: value}))


def check_scheme(token: Secret, scheme: str) -> None:
    """
    Refuse a token that says *scheme* itself: it would be sent twice.

    Raises:
        ConfigurationError: It does.
    """
    if scheme and token.reveal()[: len(scheme) + 1].lower() == f"{scheme.lower()} ":
        raise ConfigurationError(
            f"the token already begins with {scheme!r}, which is added when it is sent",
            hint="store the token alone, without its scheme",
        )


def header(value: Secret, *, origin: str, name: str) -> Credential:
    """Return the credential that sends ``<name>: <value>``, whatever the scheme in the value."""
    check_header(name, value)
    return Credential(kind="header", origin=origin, headers=MappingProxyType({name: value}))


def basic(username: str, password: Secret, *, origin: str) -> Credential:
    """
    Return the credential for HTTP Basic authentication (RFC 7617 §2).

    Raises:
        ConfigurationError: The user name holds a colon, which Basic cannot carry.
    """
    if ":" in username:
        raise ConfigurationError("auth.username: a user name for HTTP Basic cannot hold ':'")
    spelled = base64.b64encode(f"{username}:{password.reveal()}".encode()).decode("ascii")
    value = Secret(f"Basic {spelled}", of=[password])
    return Credential(kind="basic", origin=origin, headers=MappingProxyType({"Authorization": value}))


def is_field_value(text: str) -> bool:
    """Tell whether a header can say *text*: RFC 9110 §5.5, in visible ASCII, with spaces and tabs between."""
    spaced = text.replace("\t", " ")
    return bool(text) and text.isascii() and spaced.isprintable() and spaced == spaced.strip(" ")


def check_header(name: str, value: str | Secret) -> None:
    """
    Refuse a header that must not be sent.

    Raises:
        HeaderRefusedError: The name is no token or is the transport's own; the value holds
            a control or non-ASCII character, surrounding space, or an unresolved ``${``.
    """
    if not name or not _IN_NAMES.issuperset(name):
        raise HeaderRefusedError(f"header {name!r}: not a header name (RFC 9110 §5.1)")
    if name.lower() in FORBIDDEN_HEADERS:
        raise HeaderRefusedError(f"header {name!r}: set by the transport, an entry cannot carry it")
    shown = value.reveal if isinstance(value, Secret) else value.__str__
    if "${" in shown():
        raise HeaderRefusedError(f"header {name!r}: still holds an unresolved reference")
    if len(shown()) > _LONGEST_VALUE:
        raise HeaderRefusedError(f"header {name!r}: longer than {_LONGEST_VALUE} bytes")
    if not is_field_value(shown()):
        raise HeaderRefusedError(
            f"header {name!r}: empty, or holds a control, non-ASCII or surrounding space character",
            hint="was the value pasted with a line break?",
        )
