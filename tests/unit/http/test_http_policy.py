"""Origins, and addresses that may be connected to."""

from __future__ import annotations

from typing import Any

import pytest
from http_servers import serve

from mcpvault.errors import ConfigurationError, PrivateAddressError
from mcpvault.http import OriginPolicy
from mcpvault.http.policy import origin_of


@pytest.mark.parametrize(
    "url,origin",
    [
        ("https://Mcp.Example.com/x", "https://mcp.example.com:443"),
        ("http://mcp.example.com:8080", "http://mcp.example.com:8080"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
        ("https://a@b.example/", ""),
        ("mailto:x@example.com", ""),
        ("/relative", ""),
        ("https://", ""),
        ("https://h:99999/", ""),
        ("https://h.example/a#b", "https://h.example:443"),
        ("ftp://example.com/", ""),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str) -> None:
    """Scheme, host and port, the port spelt out; what no entry may use has none."""
    assert origin == origin_of(url)


_PRIVATE = ["10.0.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "fd00::1", "0.0.0.0"]
_DISGUISED = ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "100.64.0.1", "224.0.0.1"]


@pytest.mark.parametrize("address", _PRIVATE + _DISGUISED)
def test_a_discovered_url_does_not_lead_inside(address: str) -> None:
    """A name from somebody's answer must not lead to a private address, however that is written."""
    policy = OriginPolicy(origin="https://as.example:443", discovered=True)
    assert isinstance(policy.refuses(address), PrivateAddressError)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_discovered_url_may_lead_outside(address: str) -> None:
    """Public addresses are what discovery is for."""
    assert OriginPolicy(origin="https://as.example:443", discovered=True).refuses(address) is None


def test_what_the_entry_names_may_be_private() -> None:
    """The entry's own URL, and the hosts it allows, may be private."""
    assert OriginPolicy(origin="https://intra:443").refuses("10.0.0.1") is None
    allowed = OriginPolicy(origin="https://as.intra:443", discovered=True, allow_private_hosts=("as.intra",))
    assert allowed.refuses("10.0.0.1") is None


def test_a_private_address_is_not_connected_to(session_for: Any) -> None:
    """The rule is applied to the address, before the connection is made."""
    with serve() as server:
        with pytest.raises(PrivateAddressError) as caught:
            session_for(server, discovered=True, retries=2).get(server.url)

        assert (0, 8) == (server.connections, caught.value.exit_code)
        assert "allow_private_hosts" in (caught.value.hint or "")


def test_a_name_of_loopback_must_lead_to_loopback() -> None:
    """Plain http is allowed on loopback: on the address, and not on the name alone."""
    policy = OriginPolicy(origin="http://localhost:80")
    assert policy.refuses("127.0.0.1") is None
    assert isinstance(policy.refuses("192.0.2.1"), ConfigurationError)
