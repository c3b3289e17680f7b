"""Which requests go through a proxy, and what the proxy sees."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from http_servers import CANARY, Authority, Seen, answer, read_request, serve

from mcpvault.errors import ConfigurationError, ConnectFailedError
from mcpvault.http.proxies import choose_proxy


def _chosen(
    env: dict[str, str], configured: dict[str, str] | None = None, url: str = "https mcp.example.com 443"
) -> Any:
    scheme, host, port = url.split()
    proxy = choose_proxy(scheme, host, int(port), configured=configured or {}, env=env)
    if isinstance(proxy, ConfigurationError):
        raise proxy
    return None if proxy is None else f"{proxy.scheme}://{proxy.host}:{proxy.port}"


@pytest.mark.parametrize(
    "env,configured,expected",
    [
        ({}, {}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, {}, "http://p:3128"),
        ({"https_proxy": "http://small:1", "HTTPS_PROXY": "http://great:1"}, {}, "http://small:1"),
        ({"HTTPS_PROXY": "p:3128"}, {}, "http://p:3128"),
        ({"HTTPS_PROXY": "https://p"}, {}, "https://p:443"),
        ({"HTTP_PROXY": "http://p:3128"}, {}, None),
        ({"ALL_PROXY": "http://p:3128"}, {}, "http://p:3128"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://p:1"}, {}, None),
        ({"HTTPS_PROXY": "http://p:1"}, {"https": "http://q:2"}, "http://q:2"),
        ({"HTTPS_PROXY": "http://p:1"}, {"https": ""}, None),
        ({"HTTPS_PROXY": "http://p:1"}, {"http": "http://q:2"}, None),
        ({}, {"all": "http://q:2"}, "http://q:2"),
        ({}, {"all": "http://q:2", "no_proxy": "example.com"}, None),
        ({"NO_PROXY": "example.com"}, {"all": "http://q:2"}, "http://q:2"),
    ],
)
def test_where_a_proxy_comes_from(env: dict[str, str], configured: dict[str, str], expected: str | None) -> None:
    """The entry's proxies, if it has any; else the environment's, small letters first."""
    assert expected == _chosen(env, configured)


@pytest.mark.parametrize(
    "exceptions,url,proxied",
    [
        ("*", "https mcp.example.com 443", False),
        ("example.com", "https mcp.example.com 443", False),
        (".example.com", "https mcp.example.com 443", False),
        ("*.example.com", "https mcp.example.com 443", False),
        ("other.com, mcp.example.com", "https mcp.example.com 443", False),
        ("ample.com", "https mcp.example.com 443", True),
        ("mcp.example.com:8443", "https mcp.example.com 443", True),
        ("mcp.example.com:443", "https mcp.example.com 443", False),
        ("10.0.0.0/8", "https 10.1.2.3 443", False),
        ("10.0.0.0/8", "https 11.1.2.3 443", True),
        ("fd00::/8", "https fd00::1 443", False),
        ("[fd00::1]:443", "https fd00::1 443", False),
        ("fd00::1", "https fd00::1 443", False),
        ("", "https mcp.example.com 443", True),
        (" , ,", "https mcp.example.com 443", True),
    ],
)
def test_no_proxy(exceptions: str, url: str, proxied: bool) -> None:
    """Names with their subdomains, ports, addresses and networks are excepted."""
    assert ("http://p:1" if proxied else None) == _chosen({"ALL_PROXY": "http://p:1", "NO_PROXY": exceptions}, url=url)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_is_never_proxied(host: str) -> None:
    """Whatever is configured, a request to this machine stays on it."""
    assert _chosen({"ALL_PROXY": "http://p:1"}, {"all": "http://p:1"}, f"http {host} 80") is None


def test_a_cgi_request_cannot_set_the_proxy() -> None:
    """In a CGI program HTTP_PROXY is a request header (httpoxy)."""
    env = {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}
    assert _chosen(env, url="http mcp.example.com 80") is None
    assert "http://p:1" == _chosen({**env, "http_proxy": "http://p:1"}, url="http mcp.example.com 80")


@pytest.mark.parametrize("url", ["socks5://p:1080", "http://", "http://p:port", "ftp://p"])
def test_a_proxy_of_another_kind_is_refused(url: str) -> None:
    """What cannot be used is said so when the session is made, without the URL, which may hold a password."""
    with pytest.raises(ConfigurationError, match="^HTTPS_PROXY: "):
        _chosen({"HTTPS_PROXY": url})


@contextmanager
def _proxy(target_port: int, context: Any = None, refuse: bytes = b"") -> Iterator[Any]:
    """Run a proxy that leads every CONNECT to one port of loopback, and answers other requests itself."""
    connects: list[Seen] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def handle(connection: socket.socket) -> None:
        seen, _ = read_request(connection)
        assert seen is not None
        connects.append(seen)
        if refuse:
            connection.sendall(refuse)
            connection.shutdown(socket.SHUT_WR)
        elif seen.head.startswith("CONNECT"):
            with socket.create_connection(("127.0.0.1", target_port)) as onwards:
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=pump, args=(onwards, connection), daemon=True)
                back.start()
                pump(connection, onwards)
                back.join(5)
        else:
            answer(connection)

    with serve(greet=handle, context=context) as server:
        server.seen = connects
        yield server


@pytest.mark.parametrize("proxy_over_tls", [False, True])
def test_https_goes_through_a_tunnel(session_for: Any, authority: Authority, proxy_over_tls: bool) -> None:
    """The proxy sees where to, and its own credential; the rest is between client and server."""
    context = authority.server_context()
    with serve(context=context) as server, _proxy(server.port, context if proxy_over_tls else None) as proxy:
        # "server" is a name in the certificate, and resolves nowhere: only the proxy gets there.
        session = session_for(
            f"https://server:{server.port}",
            ca_file=authority.file,
            proxies={"https": f"{proxy.scheme}://me:pass@127.0.0.1:{proxy.port}"},
        )
        for _ in range(2):
            assert 200 == session.post(f"https://server:{server.port}/mcp", data=b"x" * 100_000).status_code

        assert 1 == len(proxy.seen)
        assert (f"server:{server.port}", "Basic bWU6cGFzcw==", None) == (
            proxy.seen[0].target,
            proxy.seen[0].header("Proxy-Authorization"),
            proxy.seen[0].header("Authorization"),
        )
        for seen in server.seen:
            assert (f"Bearer {CANARY}", None) == (seen.header("Authorization"), seen.header("Proxy-Authorization"))
            assert f"server:{server.port}" == seen.header("Host")


def test_the_environment_of_the_caller_counts(
    session_for: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is looked up in the mapping that was passed, and not in the process's environment."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with serve(context=authority.server_context()) as server, _proxy(server.port) as proxy:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        session = session_for(f"https://server:{server.port}", ca_file=authority.file, env=env)
        session.get(f"https://server:{server.port}/")

        assert 1 == len(proxy.seen)
        assert 200 == session_for(server, ca_file=authority.file).get(server.url).status_code


def test_plain_http_is_forwarded(session_for: Any) -> None:
    """Where plain http is allowed, the proxy gets the whole URL."""
    with _proxy(0) as proxy:
        url = f"http://u:p@127.0.0.1:{proxy.port}"
        session = session_for("http://mcp.example.com:80", allow_http=True, proxies={"http": url})
        session.get("http://mcp.example.com/a?b=c")

        seen = proxy.seen[0]
        assert "http://mcp.example.com:80/a?b=c" == seen.target
        assert "mcp.example.com:80" == seen.header("Host")
        assert "Basic dTpw" == seen.header("Proxy-Authorization")


def test_a_proxy_that_refuses_is_named(session_for: Any) -> None:
    """The error tells the proxy from the server, and does not hold the proxy's password."""
    with _proxy(0, refuse=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        session = session_for("https://mcp.example.com:443", proxies={"all": f"http://me:pass@127.0.0.1:{proxy.port}"})
        with pytest.raises(ConnectFailedError) as caught:
            session.get("https://mcp.example.com/")

        assert (
            f"https://mcp.example.com:443 through the proxy 127.0.0.1:{proxy.port}: the proxy answered 407"
            == caught.value.message
        )
