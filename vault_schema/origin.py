"""
What a URL's origin is, which URLs an entry may name at all, and what a secret of an entry is bound to.

Spec: SPEC §11.1 (URLs), §12 (bindings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vault_schema.errors import SchemaError

if TYPE_CHECKING:
    from vault_schema.forms import FieldSpec

_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")
_NOT_PLAIN = frozenset(' "#\\@')
_URL = r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)"
_AUTHORITY = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?\Z"
_DOTTED_QUAD = r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}\Z"
_VISIBLE = r"[\x21-\x7e]+\Z"
_PORTS = {"http": "80", "https": "443"}


@lru_cache(maxsize=4096)
def origin_of(url: str) -> str:
    """
    Return the canonical origin of *url*, ``scheme://host:port``, the port always written.

    Raises:
        SchemaError: Not an absolute http or https URL, or with user information, a fragment,
            or a reference before the path. The message does not quote the URL.

    Spec: SPEC §12.
    """
    scheme, _, rest = url.partition("://")
    host, colon, port = rest.partition("/")[0].partition("?")[0].partition(":")
    if (
        scheme in _PORTS
        and _plain(host)
        and (not colon or (len(port) < 6 and port.isdigit() and port[0] != "0" and int(port) < 65536))
        and url.isascii() and url.isprintable() and _NOT_PLAIN.isdisjoint(url)
    ):  # fmt: skip
        return f"{scheme}://{host}:{port or _PORTS[scheme]}"
    return _origin(url)


def _plain(host: str) -> bool:
    """Tell whether *host* is written as most are; what is not is looked at closely."""
    if host in ("127.0.0.1", "localhost"):
        return True
    _, dot, last = host.rpartition(".")
    words = dot and last.isalpha() and _IN_NAMES.issuperset(host) and ".." not in host and host[0] != "."
    return bool(words) and len(host) < 254


def _origin(url: str) -> str:
    head = re.match(_URL, url)
    if head is None:
        if "${" in url.partition("/")[0]:
            raise SchemaError("a URL's scheme and host cannot hold a reference")
        raise SchemaError("expected an absolute http or https URL")
    scheme, authority = head[1].lower(), head[2]
    if scheme not in _PORTS:
        raise SchemaError(f"expected an http or https URL, got scheme {scheme!r}")
    if "${" in authority:
        raise SchemaError("a URL's scheme and host cannot hold a reference")
    if "@" in authority:
        raise SchemaError("a URL cannot hold a user name or password", literal_secret=True)
    if "#" in url:
        raise SchemaError("a URL cannot hold a fragment")
    if not url.isascii():
        raise SchemaError("expected an ASCII URL: write an international host name in its xn-- form, escape the rest")
    if not re.match(_VISIBLE, url) or "\\" in url:
        raise SchemaError("a URL cannot hold spaces, control characters or backslashes")
    parts = re.match(_AUTHORITY, authority)
    if parts is None:
        raise SchemaError("a URL needs a host, and a port from 1 to 65535 if any")
    port = int(parts[2] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise SchemaError("a URL needs a host, and a port from 1 to 65535 if any")
    return f"{scheme}://{_host(parts[1].lower())}:{port}"


def _host(host: str) -> str:
    if host.startswith("["):
        import ipaddress

        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            address = None
        # An IPv4-mapped address has two spellings, and Python changed from one to the other.
        if address is None or address.ipv4_mapped is not None:
            raise SchemaError("expected an IPv6 address, not an IPv4-mapped one, between the brackets of the URL")
        return f"[{address.compressed}]"
    labels = host.split(".")
    if "" in labels or len(host) > 253:
        raise SchemaError("expected a host name without empty labels in the URL")
    # "127.1", "0x7f.1" and the like reach addresses that nobody reads in them.
    if re.match(r"(?:[0-9]+|0x[0-9a-f]*)\Z", labels[-1]) and not re.match(_DOTTED_QUAD, host):
        raise SchemaError("expected an IPv4 address of four decimal numbers in the URL")
    return host


def binding_for(entry: Mapping[str, Any], spec: FieldSpec) -> tuple[str, ...]:
    """
    Return what a secret of *entry* is bound to now: ``("url.origin", …)``, ``("command", argv…)`` and the like.

    Args:
        entry: The entry's table, as TOML gave it.
        spec: The secret's row of ``FIELDS``.

    Raises:
        SchemaError: The entry lacks the field that the secret is bound to.

    Spec: SPEC §12.
    """
    if spec.bound_to == "url.origin":
        if not isinstance(entry.get("url"), str):
            raise SchemaError(f"{spec.path}: is bound to the entry's url, and there is none", path=spec.path)
        return ("url.origin", origin_of(entry["url"]))
    if spec.bound_to == "command":
        if not isinstance(entry.get("command"), str):
            raise SchemaError(f"{spec.path}: is bound to the entry's command, and there is none", path=spec.path)
        return ("command", entry["command"], *entry.get("args", ()))
    if spec.bound_to is not None:
        table, _, leaf = spec.bound_to.partition(".")
        issuer = entry.get(table, {}).get(leaf)
        if not isinstance(issuer, str):
            raise SchemaError(f"{spec.path}: is bound to {spec.bound_to}, and there is none", path=spec.path)
        return (spec.bound_to, issuer)
    return ()
