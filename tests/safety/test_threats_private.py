"""
Attack: make a client ask servers that only it can reach (SSRF): on its own machine, behind its firewall, in its cloud.

The victim's entry is for a public name, so that whatever is named in its answers has to be public as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from threat_house import Person, Victim, naming

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, PrivateAddressError, RemoteProtocolError
from mcpvault.http import Asker
from mcpvault.oauth.wire import Ask
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

Fake = FakeAuthorizationServer
Method = str | None


@pytest.fixture
def inner() -> Iterator[Fake]:
    """A server that nobody outside should have asked anything."""
    with FakeAuthorizationServer() as made:
        yield made
        assert [] == made.requests


def at(public: str, url: str) -> str:
    """Return *url* as the world knows it."""
    return url.replace("127.0.0.1", public)


def published(victim: Victim, issuer: Fake, server: FakeMcpServer, public: str, **metadata: str) -> None:
    """Let the world know server and issuer by their public name; *metadata* is what the issuer says besides."""
    endpoints = {
        f"{name}_endpoint": at(public, issuer.url(place))
        for name, place in {
            "token": "token",
            "registration": "register",
            "revocation": "revoke",
            "device_authorization": "device",
        }.items()
    }
    own = at(public, issuer.issuer)
    endpoints["authorization_endpoint"] = at(public, issuer.url("authorize")).replace("http:", "https:")
    issuer.policy.metadata = {"issuer": own, **endpoints, **metadata}
    issuer.policy.iss = own
    naming(server, issuer, own, announced=False, resource=at(public, server.url))
    victim.add(at(public, server.url), issuer=own, entry={"allow_http": True})


def test_the_world_is_as_the_tests_below_take_it(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str
) -> None:
    """With nothing but public names a login comes about, so that what fails below fails for what is private in it."""
    published(victim, good, server, public)

    victim.log_in()

    assert 6 == len(victim.session().list_tools())


@pytest.mark.parametrize("place", ["{inner}", "http://localhost:{port}", "https://inner.example.com:{port}"])
def test_metadata_does_not_name_an_inner_issuer(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake, place: str
) -> None:
    """An issuer on this machine, by address, by name, or by a public name that leads here, is not asked."""
    named = place.format(inner=inner.issuer, port=inner.port)
    naming(server, good, named, announced=False, resource=at(public, server.url))
    victim.add(at(public, server.url), entry={"allow_http": True})

    with pytest.raises(PrivateAddressError, match=r"leads to (127\.0\.0\.1|::1), a private address"):
        victim.session(auth=Person()).authenticate()


def test_a_challenge_does_not_lead_inside(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake
) -> None:
    """``resource_metadata`` of a 401 is a URL like any other that somebody else names."""
    naming(server, good, challenge=f'Bearer resource_metadata="{inner.issuer}/admin?delete=all"')
    victim.add(at(public, server.url), entry={"allow_http": True})

    with pytest.raises(PrivateAddressError):
        victim.session(auth=Person()).list_tools()


@pytest.mark.parametrize(
    ("endpoint", "method"),
    [
        ("registration_endpoint", None),
        ("token_endpoint", None),
        ("device_authorization_endpoint", "device"),
    ],
)
def test_endpoints_do_not_lead_inside(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake, endpoint: str, method: Method
) -> None:
    """A public issuer whose endpoints are inside has nothing sent there: no registration, no code, no client."""
    published(victim, good, server, public, **{endpoint: f"{inner.issuer}/run"})

    with pytest.raises(PrivateAddressError):
        victim.session(auth=Person()).authenticate(method)


@pytest.mark.parametrize(
    "place",
    [
        *("{inner}/shutdown", "http://localhost:{port}/", "https://127.0.0.1:{port}/", "https://192.168.1.1/reboot"),
        *("https://169.254.169.254/", "https://[fd00::1]/", "https://[::1]:{port}/"),
    ],
)
def test_a_persons_browser_is_not_sent_inside(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake, place: str
) -> None:
    """A public issuer opens no page of this machine, of a router or of the cloud; not for an application either."""
    published(victim, good, server, public, authorization_endpoint=place.format(inner=inner.issuer, port=inner.port))
    person = Person()

    with pytest.raises(PrivateAddressError, match="a private address"):
        victim.session(auth=person).authenticate()
    with pytest.raises(PrivateAddressError, match="a private address"):
        victim.session().authorization_url(redirect_uri=Person.redirect_uri)

    assert [] == person.visited


@pytest.mark.parametrize("member", ["verification_uri", "verification_uri_complete"])
def test_a_device_is_not_sent_inside(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, member: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A public issuer has no person visit a router either: the address of the code is not shown."""
    published(victim, good, server, public)
    good.misbehave("members", on="device", **{member: "https://192.168.1.1/reboot?now=1"})

    with pytest.raises(PrivateAddressError, match="a private address"):
        victim.session().authenticate("device", timeout=5)

    assert "192.168.1.1" not in capsys.readouterr().err


@pytest.mark.parametrize("endpoint", ["token_endpoint", "revocation_endpoint"])
def test_endpoints_do_not_lead_inside_later(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake, endpoint: str
) -> None:
    """What a login has stored is judged again by every refresh and logout: names may lead elsewhere by then."""
    published(victim, good, server, public)
    victim.log_in()
    authorization = victim.vault.authorization("x")
    with authorization.store.exclusive():
        record = authorization.store.read()
        assert record is not None and record.server is not None
        moved = record.server.replaced(**{endpoint: f"{inner.issuer}/run"})
        authorization.store.write(record.replaced(server=moved))

    if endpoint == "token_endpoint":
        with pytest.raises(PrivateAddressError):
            victim.vault.authorization("x").renew(expiring=None, adopt=False, timeout=10)
        assert victim.vault.authorization("x").has_grant()
    else:
        outcomes = victim.vault.authorization("x").logout(timeout=10)
        assert all("a private address" in each.outcome for each in outcomes)
        assert 2 == len(outcomes)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_elsewhere(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, inner: Fake, status: int
) -> None:
    """Metadata that redirects to another origin is not there; neither the address nor what it answers is looked at."""
    published(victim, good, server, public)
    good.misbehave("redirect", on="metadata", to=f"{inner.issuer}/.well-known/openid-configuration", status=status)

    with pytest.raises(RemoteProtocolError, match=f"the server answered {status}"):
        victim.session(auth=Person()).authenticate()


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.0.0.1.", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "me@127.0.0.1", "[fe80::1%25lo]", "127。0。0。1", "127.0.0.1\\@mcp.example.com"),
    ],
)
def test_a_disguised_address_is_no_url(
    victim: Victim, good: Fake, server: FakeMcpServer, public: str, host: str
) -> None:
    """An address that is not written as people read it makes the whole document unusable."""
    published(victim, good, server, public, token_endpoint=f"https://{host}:9/token")

    with pytest.raises(RemoteProtocolError, match="token_endpoint"):
        victim.session(auth=Person()).authenticate()


PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.0.0.8", "224.0.0.1"),
    *("::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "::7f00:1", "ff02::1", "2002:7f00:1::"),
    *("64:ff9b::a00:1", "64:ff9b:1::a00:1", "::ffff:0:a00:1", "2001::1", "5f00::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_every_private_address_is_refused(address: str) -> None:
    """Loopback, private, shared, link-local, multicast, translated and reserved ones, in both families."""
    host = f"[{address}]" if ":" in address else address
    asker = Asker(server="x", deadline=Deadline(5), named_hosts={"mcp.example.com"})

    with pytest.raises(PrivateAddressError):
        asker(Ask(method="GET", url=f"https://{host}/latest/meta-data", purpose="metadata"))


@contextmanager
def recording_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """Run a proxy that refuses everything; yield its URL and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096).split(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_proxy_is_not_asked_to_go_inside() -> None:
    """An address is judged before a proxy is asked to connect to it; a name is the proxy's to judge."""
    with recording_proxy() as (proxy, asked):
        asker = Asker(server="x", deadline=Deadline(9), named_hosts={"mcp.example.com"}, env={"HTTPS_PROXY": proxy})
        for host in ("10.0.0.1", "169.254.169.254", "[fd00::1]", "localhost"):
            with pytest.raises(PrivateAddressError):
                asker(Ask(method="GET", url=f"https://{host}/", purpose="metadata"))
        with pytest.raises(McpVaultError, match="the proxy answered 502"):
            asker(Ask(method="GET", url="https://as.example.com/", purpose="metadata"))

    assert [b"CONNECT as.example.com:443 HTTP/1.0"] == asked


@pytest.mark.parametrize(("named", "sibling"), [("10.1.2.3", "10.9.9.9"), ("127.0.0.1", "localhost")])
def test_a_neighbour_is_not_shown_who_we_are(named: str, sibling: str) -> None:
    """A private server may name its neighbours; client certificate and plain http stay with hosts of the entry."""
    asker = Asker(
        server="x",
        deadline=Deadline(5),
        named_hosts={named},
        allow_http=True,
        client_cert=("/etc/ssl/me.pem", None),
    )
    policies: Callable[[str], object] = lambda host: asker.session(f"https://{host}/").policy  # noqa: E731
    theirs, ours = policies(sibling), policies(named)

    assert (None, False) == (theirs.client_cert, theirs.allow_http)  # type: ignore[attr-defined]
    assert (("/etc/ssl/me.pem", None), True) == (ours.client_cert, ours.allow_http)  # type: ignore[attr-defined]
