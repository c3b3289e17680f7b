"""
Carries out what a flow of ``mcpvault.oauth`` asks for: one HTTP request, one answer.

Decides which hosts may be asked: those that the entry names, and public ones over https. Leaves
judging the answer to the flow.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Self
from urllib.parse import urlsplit

from requests import Request, Response

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConfigurationError,
    McpVaultError,
    MessageTooLargeError,
    OriginMismatchError,
    RemoteProtocolError,
    RequestLostError,
    ServerUnavailableError,
)
from mcpvault.http.policy import OriginPolicy, Timeouts, is_loopback, origin_of
from mcpvault.http.redirects import next_hop
from mcpvault.http.response import GuardedResponse
from mcpvault.http.session import GuardedSession, new_session
from mcpvault.oauth.wire import Answer, Ask

LARGEST = 1024 * 1024  # bytes of an answer
_CHUNK = 64 * 1024  # bytes
_NOTHING: Mapping[str, str] = {}


class Asker:
    """
    Sends the requests of flows; call it with an ``Ask``, it returns the ``Answer``, whatever its status.

    No cookies, no credential but what the flow put into the request. Only a ``GET`` is redirected, by 307 and
    308 within its origin; any other redirect is an answer like others.

    Args:
        server: The vault entry, for messages.
        deadline: For everything that is asked.
        named_hosts: Hosts that the entry itself names, by its url, issuer and the like. They may be private,
            and only they are sent the client certificate or, with *allow_http*, plain http.
        allow_private_hosts: Further hosts that may be private.
        allow_http: As in the entry.
        proxies: As in the entry.
        ca_file: As in the entry.
        client_cert: As in the entry.
        env: Where the proxy variables are looked up; None: nowhere.
        timeout: To be connected, and between two pieces of an answer.
        largest: The most bytes that the body of an answer may have.
    """

    def __init__(
        self,
        *,
        server: str,
        deadline: Deadline,
        named_hosts: Iterable[str] = (),
        allow_private_hosts: Iterable[str] = (),
        allow_http: bool = False,
        proxies: Mapping[str, str] = _NOTHING,
        ca_file: str | None = None,
        client_cert: tuple[str, str | None] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: Timeouts = Timeouts(),  # noqa: B008  # frozen
        largest: int = LARGEST,
    ) -> None:
        self.deadline = deadline
        self._server = server
        self._named = frozenset(host.lower() for host in named_hosts)
        self._allow_private_hosts = tuple(allow_private_hosts)
        self._allow_http = allow_http
        self._proxies = proxies
        self._ca_file = ca_file
        self._client_cert = client_cert
        self._env = env
        self._timeout = timeout
        self._largest = largest
        self._sessions: dict[tuple[str, bool], GuardedSession] = {}

    def __call__(self, ask: Ask) -> Answer:
        """
        Carry out *ask*.

        Raises:
            PrivateAddressError: A discovered URL leads into a private network; nothing was sent.
            ConfigurationError: The entry's own URL must not be asked; nothing was sent.
            TransportError: See ``GuardedAdapter.send``.
            RequestLostError: It may have been carried out; look before that is repeated. Not of a safe request.
            RemoteProtocolError: The URL is none to ask, or what came back is not HTTP, or too large.
        """
        outcome = self._outcome(ask)
        if isinstance(outcome, McpVaultError):
            raise outcome
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            session.close()

    def session(self, url: str, *, discovered: bool = True, purpose: str = "request") -> GuardedSession:
        """
        Return the guarded session for the origin of *url*; it is closed with this asker.

        Raises:
            RemoteProtocolError: A discovered URL is none to ask.
            ConfigurationError: The entry's own URL must not be asked.
        """
        origin = origin_of(url)
        if not origin:
            kind = RemoteProtocolError if discovered else ConfigurationError
            raise kind(f"{self._server}: {purpose}: not an http or https URL", server=self._server)
        host = urlsplit(origin).hostname or ""
        named = not discovered or host in self._named
        session = self._sessions.get((origin, named))
        if session is None:
            strange = not named and not self._is_near(host)
            session = self._sessions[origin, named] = self._new_session(origin, named, strange, purpose)
        return session

    def check_visit(self, url: str, *, purpose: str) -> None:
        """
        Refuse to send a person, or what they consented to, where a discovered request would not be sent either.

        A page that opens a router or a service of this machine is an attack as well. What is no address, and does
        not name this machine, is looked up when somebody goes there.

        Raises:
            PrivateAddressError: *url* leads into a private network.
            RemoteProtocolError: It is none to visit.
        """
        policy = self.session(url, purpose=purpose).policy
        address = "127.0.0.1" if is_loopback(policy.host) else policy.host
        if _address(address) and (error := policy.refuses(address)):
            raise error

    def _new_session(self, origin: str, named: bool, strange: bool, purpose: str) -> GuardedSession:
        policy = OriginPolicy(
            origin=origin,
            server=self._server,
            allow_http=self._allow_http and named,
            timeout=self._timeout,
            proxies=self._proxies,
            ca_file=self._ca_file,
            client_cert=self._client_cert if named else None,
            discovered=strange,
            allow_private_hosts=self._allow_private_hosts,
        )
        if not named and policy.scheme == "http" and not is_loopback(policy.host):
            raise RemoteProtocolError(
                f"{self._server}: {purpose}: {origin!r} is plain http, which would show secrets to the network",
                hint="the authorization server must use https",
                server=self._server,
            )
        return new_session(policy, env=self._env)

    def _is_near(self, host: str) -> bool:
        """Tell whether *host* is where the entry itself lives: on loopback, or in a private network."""
        if is_loopback(host):
            return any(is_loopback(named) for named in self._named)
        return _is_private(host) and any(_is_private(named) for named in self._named)

    def _outcome(self, ask: Ask) -> Answer | McpVaultError:
        response: Response | None = None
        try:
            session = self.session(ask.url, discovered=ask.discovered, purpose=ask.purpose)
            headers = {"Accept": "application/json", **ask.headers}
            request = session.prepare_request(Request(ask.method, ask.url, headers=headers, data=ask.body))
            hops = 0
            while True:
                response = session.send(
                    request, allow_redirects=False, stream=True, timeout=session.policy.until(self.deadline)
                )
                hop = None
                if ask.method == "GET":
                    hop = next_hop(
                        request, response.status_code, response.headers, hops, policy=session.policy, auth=None
                    )
                if hop is None or isinstance(hop, OriginMismatchError):
                    return answer_of(response, self._largest, f"{session.policy.origin}: {ask.purpose}", self._server)
                if isinstance(hop, McpVaultError):
                    return hop
                response.close()
                request = hop
                hops += 1
        except RequestLostError as e:
            if ask.safe or ask.method == "GET":
                return ServerUnavailableError(e.message, hint="try again later", server=self._server)
            return e.with_traceback(None)
        except McpVaultError as e:
            return e.with_traceback(None)
        finally:
            if response is not None:
                response.close()


def answer_of(response: Response, largest: int, place: str, server: str | None) -> Answer | MessageTooLargeError:
    """
    Return a streamed response as an ``Answer``, its body read.

    Args:
        response: The head, from a guarded session with ``stream=True``.
        largest: The most bytes that its body may have, decoded.
        place: What the error message begins with.
        server: The vault entry.

    Raises:
        McpVaultError: As ``GuardedAdapter.send``: reading did not work.
    """
    raw = response.raw
    assert isinstance(raw, GuardedResponse)  # noqa: S101  # the adapter's
    body = bytearray()
    while piece := raw.read1(_CHUNK, True):
        body += piece
        if len(body) > largest:
            raw.close()
            return MessageTooLargeError(f"{place}: the answer is larger than {largest} bytes", server=server)
    raw.finish()
    headers = {name.lower(): ", ".join(raw.headers.getlist(name)) for name in raw.headers}
    return Answer(status=raw.status, headers=headers, body=bytes(body))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_private(host: str) -> bool:
    """Tell whether *host* is an address (not a name) of a private network, loopback and link-local excepted."""
    ip = _address(host)
    return ip is not None and ip.is_private and not (ip.is_loopback or ip.is_link_local or ip.is_unspecified)
