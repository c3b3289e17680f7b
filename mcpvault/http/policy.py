"""
What one origin may be asked, and under which conditions.

Decides: which URL belongs to an origin, which connected address is acceptable,
how long a request may take. Leaves enforcing it to ``connection`` and ``adapter``.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import vault_schema
from mcpvault.deadline import Deadline, deadline_in
from mcpvault.errors import ConfigurationError, McpVaultError, PrivateAddressError
from vault_schema.record import Record

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Timeouts(Record):
    """Limits of one request, in seconds: to be connected, between two pieces of an answer, altogether."""

    connect: float = 10
    read: float = 60
    total: float = 300


class Allowance:
    """
    The time that one request still has.

    It travels as requests' ``timeout=``, so that whoever repeats a request from a
    response hook spends the same time again and not fresh time.
    """

    __slots__ = ("connect", "deadline", "late", "leaving", "meanwhile", "read")

    def __init__(
        self,
        deadline: Deadline,
        *,
        connect: float,
        read: float,
        meanwhile: Callable[..., bool] | None = None,
        late: int = 0,
        leaving: Callable[[], None] | None = None,
    ) -> None:
        self.deadline = deadline
        self.connect = connect
        self.read = read
        self.meanwhile = meanwhile  # waits for a socket in our place: (socket, seconds) -> whether anything happened
        self.late = late  # bytes that are taken after the deadline, if they need not be waited for
        self.leaving = leaving  # called when a connection stands, and the request is about to leave

    def step(self) -> float | None:
        """
        Return the seconds that one blocking call may take; None without any limit.

        Raises:
            TimeoutError: No time is left.
        """
        left = min(self.deadline.remaining(), self.read)
        if left <= 0:
            raise TimeoutError
        return None if left == math.inf else left

    def connecting(self) -> Allowance:
        """Return what may be spent until the connection stands: addresses, tunnel and TLS together."""
        return Allowance(self.deadline.within(self.connect), connect=self.connect, read=math.inf)


class OriginPolicy(Record):
    """
    One origin and the conditions under which requests go there.

    Args:
        origin: Canonical, ``https://mcp.example.com:443``.
        server: The vault entry, for messages.
        allow_http: Plain http is accepted for a host other than loopback.
        timeout: Used where a caller names none.
        retries: How often a request is repeated at most.
        proxies: Proxy per scheme, in place of the environment's; an empty text means none.
        ca_file: Certificates trusted in addition to the system's.
        client_cert: Certificate file and key file (or None, when one file holds both).
        discovered: The URL came from somebody's answer and not from the entry.
        allow_private_hosts: Hosts that a discovered URL may name although they are private.
    """

    origin: str
    server: str | None = None
    allow_http: bool = False
    timeout: Timeouts = Timeouts()
    retries: int = 2
    proxies: Mapping[str, str] = MappingProxyType({})
    ca_file: str | None = None
    client_cert: tuple[str, str | None] | None = None
    discovered: bool = False
    allow_private_hosts: tuple[str, ...] = ()

    _unprinted = frozenset({"proxies"})

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self.origin.partition(":")[0]

    @property
    def host(self) -> str:
        """The host, an IPv6 address without its brackets."""
        return urlsplit(self.origin).hostname or ""

    @property
    def port(self) -> int:
        """The port, the default one spelt out."""
        return urlsplit(self.origin).port or _DEFAULT_PORTS[self.scheme]

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What a URL of this origin begins with, in requests' spelling: a shortcut past parsing it."""
        # The slash ends the authority, so that "https://host:443@elsewhere/" does not pass.
        default = f":{_DEFAULT_PORTS[self.scheme]}"
        return (f"{self.origin}/", f"{self.origin.removesuffix(default)}/")

    def check(self) -> None:
        """
        Refuse an origin that must not be talked to at all.

        Raises:
            ConfigurationError: It is plain http to another machine; use https, or allow it.
        """
        if self.scheme not in _DEFAULT_PORTS:
            raise ConfigurationError(f"{self.origin!r}: expected an https URL", server=self.server)
        if self.scheme == "http" and not self.allow_http and not is_loopback(self.host):
            raise ConfigurationError(
                f"{self.origin!r}: plain http would show the credential to the network",
                hint="use https, or set allow_http = true for this server",
                server=self.server,
            )

    def allowance(self, timeout: object = None) -> Allowance:
        """
        Return the time for one request.

        Args:
            timeout: As requests takes it. None: this policy's. A number: the whole request
                may take that long. A pair: to be connected, and between two pieces; the
                policy's total stays. An ``Allowance``: that one.
        """
        if isinstance(timeout, Allowance):
            return timeout
        connect, read, total = self.timeout.connect, self.timeout.read, self.timeout.total
        if isinstance(timeout, (int, float)):
            connect = read = total = float(timeout)
        elif isinstance(timeout, tuple) and len(timeout) == 2:
            connect, read = (math.inf if part is None else float(part) for part in timeout)
        elif timeout is not None:
            raise TypeError("timeout: expected a number or a pair of numbers (connect, read)")
        return Allowance(deadline_in(total), connect=connect, read=read)

    def until(self, deadline: Deadline, meanwhile: Callable[..., bool] | None = None, **more: Any) -> Allowance:
        """Return the time for one request that somebody else limits; *more* as for ``Allowance``."""
        connect, read = self.timeout.connect, self.timeout.read
        return Allowance(deadline, connect=connect, read=read, meanwhile=meanwhile, **more)

    def refuses(self, address: str) -> McpVaultError | None:
        """Return the error that forbids to talk to *address*, or None. It is asked before connecting."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        if self.scheme == "http" and not self.allow_http and not ip.is_loopback:
            return ConfigurationError(
                f"{self.origin!r}: the name leads to {ip}, which is not loopback, and http is not allowed elsewhere",
                hint="use https, or set allow_http = true for this server",
                server=self.server,
            )
        if self.discovered and self.host not in self.allow_private_hosts:
            from mcpvault.http.public_addresses import is_public

            if not is_public(ip):
                return PrivateAddressError(
                    f"{self.origin!r}: leads to {ip}, a private address",
                    hint=f"if that is right, add {self.host!r} to allow_private_hosts of this server",
                    server=self.server,
                )
        return None


def origin_of(url: str) -> str:
    """Return the canonical origin of *url*; empty if it has none, or is written in a way that no entry may use."""
    try:
        return vault_schema.origin_of(url.partition("#")[0])
    except vault_schema.SchemaError:
        return ""


def is_loopback(host: str) -> bool:
    """Tell whether *host* names this machine: an address, or a name that RFC 6761 §6.3 reserves for it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
