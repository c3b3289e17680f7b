"""
Which proxy a request to an origin takes, if any.

Decides from what the entry says, else from the usual environment variables,
which the caller passes in. Loopback is never proxied.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from mcpvault.errors import ConfigurationError
from mcpvault.http.policy import is_loopback
from mcpvault.secret import Secret
from vault_schema.record import Record

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(Record):
    """Where to connect instead, and what the proxy wants to see."""

    scheme: str
    host: str
    port: int
    authorization: Secret | None = None


def choose_proxy(
    scheme: str, host: str, port: int, *, configured: Mapping[str, str], env: Mapping[str, str]
) -> Proxy | ConfigurationError | None:
    """
    Return the proxy for an origin, or None, or the error that its URL is.

    The error is not raised here, where the environment and the proxy's password are at hand.

    Args:
        scheme: Of the origin.
        host: Of the origin.
        port: Of the origin.
        configured: The entry's ``proxies`` (keys ``https``, ``http``, ``all``, ``no_proxy``). If it
            holds anything, *env* is not looked at; an empty text means: no proxy.
        env: The environment.
    """
    if is_loopback(host):
        return None
    if configured:
        place, url = "proxies", configured.get(scheme, configured.get("all", ""))
        exceptions = configured.get("no_proxy", "")
    else:
        place, url = _from_environment(scheme, env)
        exceptions = env.get("no_proxy") or env.get("NO_PROXY", "")
    if not url or _is_excepted(host, port, exceptions):
        return None
    return _parse(url, place)


def _from_environment(scheme: str, env: Mapping[str, str]) -> tuple[str, str]:
    names = [f"{scheme}_proxy", f"{scheme}_PROXY".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in env:
        # In a CGI program HTTP_PROXY is the request's "Proxy" header, which anybody may send (httpoxy).
        names.remove("HTTP_PROXY") if scheme == "http" else None
    return next(((name, env[name]) for name in names if name in env), ("", ""))


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    for item in exceptions.replace(" ", ",").lower().split(","):
        pattern, colon, wanted = item.rpartition(":")
        if colon and wanted.isdigit() and not pattern.endswith(":") and "]" not in wanted:
            if int(wanted) != port:
                continue
            item = pattern
        item = item.strip("[]").removeprefix("*.").lstrip(".")
        if item == "*" or (item and (host == item or host.endswith("." + item) or _in_network(host, item))):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parse(url: str, place: str) -> Proxy | ConfigurationError:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1:
        return ConfigurationError(f"{place}: not the URL of a proxy", hint="expected http://host:port")
    if parts.scheme not in _DEFAULT_PORTS:
        return ConfigurationError(
            f"{place}: a {parts.scheme!r} proxy is not supported", hint="expected http://host:port"
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = Secret("Basic " + base64.b64encode(pair.encode()).decode("ascii"))
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[parts.scheme],
        authorization=authorization,
    )
