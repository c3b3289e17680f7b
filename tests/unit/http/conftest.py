"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_servers import CANARY, Authority, Server

from mcpvault.credentials import bearer
from mcpvault.deadline import Deadline
from mcpvault.http import Asker, GuardedSession, OriginPolicy, TokenSource, new_session
from mcpvault.secret import Secret


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts."""
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def session_for() -> Iterator[Any]:
    """Return a function that makes a guarded session for a server, with the canary as its bearer token."""
    sessions: list[GuardedSession] = []

    def make(server: Server | str, *, headers: Any = None, auth: Any = None, env: Any = None, **policy: Any) -> Any:
        origin = server if isinstance(server, str) else server.origin
        policy.setdefault("retries", 0)
        credential = None if auth else bearer(Secret(CANARY), origin=origin)
        session = new_session(OriginPolicy(origin=origin, **policy), credential, headers=headers, auth=auth, env=env)
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def session_to() -> Iterator[Callable[..., GuardedSession]]:
    """Return a function that makes a guarded session for an origin, without a credential."""
    made: list[GuardedSession] = []

    def make(origin: str, **policy: Any) -> GuardedSession:
        made.append(new_session(OriginPolicy(origin=origin, **policy)))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session_of() -> Iterator[Callable[..., GuardedSession]]:
    """Return a function that makes a session whose tokens come from a source."""
    made: list[GuardedSession] = []

    def session_for(origin: str, source: TokenSource, headers: Any = None, **policy: Any) -> GuardedSession:
        policy.setdefault("retries", 0)
        made.append(new_session(OriginPolicy(origin=origin, **policy), headers=headers, tokens=source))
        return made[-1]

    yield session_for
    for session in made:
        session.close()


@pytest.fixture
def asker_for() -> Iterator[Callable[..., Asker]]:
    """Return a function that makes an asker for an entry on loopback."""
    made: list[Asker] = []

    def make(*, deadline: float = 20, named_hosts: Any = ("127.0.0.1",), **options: Any) -> Asker:
        made.append(Asker(server="linear", deadline=Deadline(deadline), named_hosts=named_hosts, **options))
        return made[-1]

    yield make
    for asker in made:
        asker.close()
