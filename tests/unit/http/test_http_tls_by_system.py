"""A TLS context that the operating system judges, under our connections: the same trust, the same deadlines."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from http_servers import Authority, Server, serve
from test_http_deadline import _body_in_drops, _silence

from mcpvault.errors import ConnectFailedError, DeadlineExceededError
from mcpvault.http.failures import Failure
from mcpvault.http.policy import OriginPolicy
from mcpvault.http.pool import Pool
from mcpvault.http.response import GuardedResponse
from mcpvault.http.tls import judged_by_system

LIMIT, SLACK = 0.3, 3.0  # seconds


@pytest.fixture
def judge(authority: Authority) -> ssl.SSLContext:
    """A context of truststore that also trusts the authority, as an entry's ``ca_file`` makes it."""
    context = judged_by_system()
    assert context is not None, "there is no truststore: run scripts/environment"
    context.load_verify_locations(cafile=authority.file)
    return context


@contextmanager
def pool_for(server: Server, context: ssl.SSLContext) -> Iterator[tuple[Pool, OriginPolicy]]:
    """Open a pool for the server's origin, and close it."""
    policy = OriginPolicy(origin=server.origin)
    pool = Pool(policy, proxy=None, context=lambda: context, proxy_context=None)
    yield pool, policy
    pool.close()


def asked(pool: Pool, policy: OriginPolicy, timeout: float = 20) -> GuardedResponse | Failure:
    """Send a request."""
    return pool.exchange("GET", "/", {"Host": "127.0.0.1"}, None, policy.allowance(timeout))


def test_requests_go_over_it(judge: ssl.SSLContext, authority: Authority) -> None:
    """Two requests go over one connection."""
    with serve(context=authority.server_context()) as server, pool_for(server, judge) as (pool, policy):
        for _ in range(2):
            response = asked(pool, policy)
            assert isinstance(response, GuardedResponse)
            assert (200, True) == (response.status, len(response.read()) > 0)
        assert (1, 2) == (server.connections, len(server.seen))


def test_whom_it_does_not_trust_it_refuses(judge: ssl.SSLContext, authority: Authority) -> None:
    """An authority of nobody known, and a certificate for another name: nothing of a request is sent."""
    stranger = judged_by_system()
    assert stranger is not None
    for near, context in ((True, stranger), (False, judge)):
        with serve(context=authority.server_context(near=near)) as server, pool_for(server, context) as (pool, policy):
            outcome = asked(pool, policy)
            assert isinstance(outcome, Failure)
            assert (ConnectFailedError, False) == (type(outcome.error), outcome.sent)
            assert "certificate refused" in outcome.error.message
            assert (1, []) == (server.connections, server.seen)


@pytest.mark.parametrize("handle", [_silence, _body_in_drops])
def test_deadlines_hold(judge: ssl.SSLContext, authority: Authority, handle: object) -> None:
    """A server that is silent or drips is left when the time is over."""
    with (
        serve(handle, context=authority.server_context()) as server,  # type: ignore[arg-type]
        pool_for(server, judge) as (pool, policy),
    ):
        begun = time.monotonic()
        outcome = asked(pool, policy, LIMIT)
        if isinstance(outcome, GuardedResponse):
            with pytest.raises(DeadlineExceededError):
                outcome.read()
        else:
            assert "deadline_exceeded" == outcome.error.kind
        assert time.monotonic() - begun < LIMIT + SLACK
