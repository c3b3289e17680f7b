"""
Which addresses are the Internet's: those that a URL may lead to although nobody of ours has written it.

Decides more strictly than ``ipaddress``, whose ``is_global`` differs from one Python to the next.
"""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: the last 32 bits are an IPv4 address
_ASSIGNED = ipaddress.IPv4Network("192.0.0.0/24")  # RFC 6890; before 3.12.4 Python took most of it for global
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has handed out of the Internet's addresses


def is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether *ip*, or what it stands for, is an address of the Internet."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if ip not in _UNICAST:
            return False  # site-local, IPv4-compatible, local NAT64, … : Python calls some of them global
    return ip.is_global and not ip.is_multicast and ip not in _ASSIGNED
