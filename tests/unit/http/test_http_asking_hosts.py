"""Which hosts are asked, and what is shown to them: those that the entry names, and public ones over https."""

from __future__ import annotations

from typing import Any

import pytest
from asks import get, post
from http_servers import Authority, serve

from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    McpVaultError,
    PrivateAddressError,
    RemoteProtocolError,
)
from mcpvault.http import was_sent


def test_a_discovered_private_host_is_not_asked(asker_for: Any) -> None:
    """A public server cannot make us ask hosts behind our firewall; the hint names the field that allows it."""
    with serve() as server:
        with pytest.raises(PrivateAddressError) as caught:
            asker_for(named_hosts={"mcp.example.com"})(get(server.url))

        assert [] == server.seen
        assert "if that is right, add '127.0.0.1' to allow_private_hosts of this server" == caught.value.hint
        assert not was_sent(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"named_hosts": {"mcp.example.com", "127.0.0.1"}},
        {"named_hosts": {"mcp.example.com"}, "allow_private_hosts": ["127.0.0.1"]},
        {"named_hosts": {"localhost"}},
    ],
    ids=["named", "allowed", "at home"],
)
def test_a_private_host_is_asked_when_the_entry_says_so(asker_for: Any, options: Any) -> None:
    """It names the host, or allows it, or is itself on this machine."""
    with serve() as server:
        assert 200 == asker_for(**options)(get(server.url)).status


def test_what_the_entry_names_is_not_discovered(asker_for: Any) -> None:
    """A URL that the entry itself holds may lead anywhere."""
    with serve() as server:
        assert 200 == asker_for(named_hosts=())(get(server.url, discovered=False)).status


@pytest.mark.parametrize("named", ["10.1.2.3", "fd00::1", "169.254.1.1"])
def test_a_private_server_does_not_lead_to_this_machine(asker_for: Any, named: str) -> None:
    """An entry on a private network may send us around in it, and not to what listens on loopback."""
    with serve() as server:
        with pytest.raises(PrivateAddressError):
            asker_for(named_hosts={named})(get(server.url))

        assert [] == server.seen


@pytest.mark.parametrize(
    "host, asked", [("10.9.9.9", True), ("192.168.1.1", True), ("169.254.169.254", False), ("8.8.8.8", True)]
)
def test_a_private_server_leads_within_its_kind(asker_for: Any, host: str, asked: bool) -> None:
    """Addresses of private networks are in reach of a server that has one; link-local ones never are."""
    policy = asker_for(named_hosts={"10.1.2.3"}).session(f"https://{host}/").policy

    assert asked == (policy.refuses(host) is None)


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_does_not_lead_into_the_network(asker_for: Any, named: str) -> None:
    """What listens on loopback may be a tunnel to somebody else; it sends us to loopback and to public hosts only."""
    policy = asker_for(named_hosts={named}).session("https://10.9.9.9/").policy

    assert isinstance(policy.refuses("10.9.9.9"), PrivateAddressError)


def test_a_discovered_url_is_https(asker_for: Any) -> None:
    """Plain http to another machine is refused; the entry may allow it for hosts that it names, and only for those."""
    asker = asker_for(allow_http=True, named_hosts={"as.internal"})
    with pytest.raises(RemoteProtocolError, match=r"linear: token request: 'http://evil\.example:80' is plain http"):
        asker(post("http://evil.example/token"))
    assert asker.session("http://as.internal/token").policy.allow_http
    with pytest.raises(ConfigurationError, match="plain http"):
        asker_for()(get("http://as.internal/", discovered=False))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://me@host/", "https://", "x"])
def test_what_is_no_url_is_not_asked(asker_for: Any, url: str) -> None:
    """It is the remote's fault if it was discovered, the entry's if not."""
    with pytest.raises(RemoteProtocolError, match="not an http or https URL"):
        asker_for()(get(url))
    with pytest.raises(ConfigurationError, match="not an http or https URL"):
        asker_for()(get(url, discovered=False))


def test_the_entrys_tls_is_used(asker_for: Any, authority: Authority) -> None:
    """An authority of one's own vouches for the authorization server as well."""
    with serve(context=authority.server_context()) as server:
        assert 200 == asker_for(ca_file=authority.file)(get(server.url)).status
        with pytest.raises(ConnectFailedError, match="certificate refused"):
            asker_for()(get(server.url))


def test_the_client_certificate_is_for_named_hosts(asker_for: Any, authority: Authority) -> None:
    """It proves who we are, so a host that somebody else has named does not get to see it."""
    options = {"ca_file": authority.file, "client_cert": authority.issue("me")}
    with serve(context=authority.server_context(ask_client=True)) as server:
        assert 200 == asker_for(**options)(get(server.url)).status
        strange = asker_for(named_hosts={"mcp.example.com"}, allow_private_hosts=["127.0.0.1"], **options)
        with pytest.raises(McpVaultError):
            strange(get(server.url))

        assert 1 == len(server.seen)
