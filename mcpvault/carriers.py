"""
What carries requests to a concrete entry: a guarded session over HTTP, or a child process.

Decides what of the entry each of them is given. Leaves sending to ``mcpvault.http`` and ``mcpvault.transports``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcpvault.errors import ConfigurationError
from mcpvault.startup import Loading

if TYPE_CHECKING:
    from mcpvault.entries import Concrete
    from mcpvault.http import AuthBase
    from mcpvault.http.session import GuardedSession
    from mcpvault.http.token_source import TokenSource
    from mcpvault.mcp.wire import HttpExchange, Transport, VerdictStore
    from mcpvault.state.files import StateDirectory

_MIB = 1024 * 1024


def http_session(
    entry: Concrete,
    *,
    env: Mapping[str, str],
    state: StateDirectory | None = None,
    auth: AuthBase | None = None,
    tokens: TokenSource | None = None,
) -> GuardedSession:
    """
    Return the guarded ``requests.Session`` of an HTTP entry.

    Args:
        entry: The entry.
        env: Where the proxy variables are looked up.
        state: Where the processes of this host share the entry's ``rate_limit``; None: they do not.
        auth: A caller's own authentication, in the credential's place.
        tokens: Signs each request when it is sent, in the place of both.

    Raises:
        ConfigurationError: The entry wants the caller's own authentication and none was given.
    """
    with Loading():
        from mcpvault.http.auth import auth_for
        from mcpvault.http.policy import OriginPolicy, Timeouts
        from mcpvault.http.session import new_session

    if entry.custom and auth is None:
        from mcpvault.providers import GROUP, custom_auth

        auth = custom_auth(entry.name)
        if auth is None:
            raise ConfigurationError(
                f"servers.{entry.name}.auth: kind 'custom' means the caller's own, and none was given",
                hint=f"pass auth=… to session() or connect(), or install an entry point of {GROUP!r}",
                server=entry.name,
            )
    cert = entry.tls.client_cert_file
    policy = OriginPolicy(
        origin=entry.credential.origin,
        server=entry.name,
        allow_http=entry.allow_http,
        timeout=Timeouts(entry.timeout.connect, entry.timeout.read, entry.timeout.total),
        retries=entry.retries,
        proxies=entry.proxies,
        ca_file=entry.tls.ca_file,
        client_cert=(cert, entry.tls.client_key_file) if cert else None,
        allow_private_hosts=entry.allow_private_hosts,
    )
    static = None if auth is not None or tokens is not None else entry.credential
    headers = entry.headers
    if tokens is not None and entry.oauth is None:
        auth_for(policy, entry.credential, headers=headers, auth=None)  # judged as what does not change is
        headers = {}  # the source has them: one of them may be what is rotated
    pace = None
    if entry.rate_limit is not None:
        from mcpvault.state.rate import RateLimit

        pace = RateLimit(entry.rate_limit, server=entry.name, directory=state).wait
    return new_session(policy, static, headers=headers, auth=auth, tokens=tokens, env=env, pace=pace)


def transport(
    entry: Concrete,
    *,
    env: Mapping[str, str],
    state: StateDirectory | None,
    auth: AuthBase | None = None,
    tokens: TokenSource | None = None,
) -> Transport:
    """
    Return the carrier for an entry: a child process, Streamable HTTP, or HTTP+SSE where the entry says so.

    Raises:
        ConfigurationError: As ``http_session``.
    """
    verdicts = None
    if state is not None:
        from mcpvault.state.verdicts import FileVerdicts

        verdicts = FileVerdicts(state)
    if entry.kind == "stdio":
        from mcpvault.transports.stdio import StdioTransport

        return StdioTransport(
            entry.command,
            entry.args,
            env=env,
            given=entry.env,
            cwd=entry.cwd,
            server=entry.name,
            era=entry.era,
            verdicts=verdicts,
            largest=entry.max_message * _MIB,
        )
    with Loading():
        from mcpvault.http.exchange import RequestsExchange

    exchange = RequestsExchange(http_session(entry, env=env, state=state, auth=auth, tokens=tokens), entry.url)
    return over_http(exchange, entry, verdicts=verdicts)


def over_http(exchange: HttpExchange, entry: Concrete, *, verdicts: VerdictStore | None) -> Transport:
    """Return the carrier for an HTTP entry over *exchange*: Streamable HTTP, or HTTP+SSE where the entry says so."""
    with Loading():
        from mcpvault.transports.streamable_http import StreamableHttpTransport

    largest = entry.max_message * _MIB
    newer = StreamableHttpTransport(exchange, server=entry.name, era=entry.era, verdicts=verdicts, largest=largest)
    if entry.transport == "http":
        return newer
    from mcpvault.transports.either import EitherTransport
    from mcpvault.transports.legacy_sse import LegacySseTransport

    older = LegacySseTransport(exchange, server=entry.name, largest=largest)
    if entry.transport == "sse":
        return older
    return EitherTransport(newer, older, server=entry.name, url=entry.url, verdicts=verdicts)
