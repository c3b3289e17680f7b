"""A caller's deadline, wherever a call waits: for a refresh, a lock, another thread, a command."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from library_house import Consenting, House, until

from mcpvault import Session, Vault
from mcpvault.deadline import Deadline
from mcpvault.errors import BusyError, DeadlineExceededError, McpVaultError

PAGE = "http://127.0.0.1:8200/oauth/done"
_SLACK = 8.0  # seconds; what does not hold takes 20 or 60
SLEEPS = f'${{cmd:["{sys.executable}", "-c", "import time; time.sleep(30)"]}}'


def echo(session: Session, timeout: float) -> str:
    """Call a tool."""
    return session.call_tool("echo", {"message": "a"}, timeout=timeout).text()


def ended(act: Callable[[], object]) -> McpVaultError:
    """Return how *act* failed, which it did soon."""
    began = time.monotonic()
    with pytest.raises(McpVaultError) as caught:
        act()
    assert time.monotonic() - began < _SLACK
    return caught.value


@contextmanager
def silent() -> Iterator[int]:
    """Yield a port where connections are taken and nobody says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextmanager
def busy(house: House) -> Iterator[None]:
    """Have somebody else hold the lock of the entry's tokens."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with Vault.open(env=house.env).authorization("x").store.exclusive():
            held.set()
            done.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    try:
        yield
    finally:
        done.set()
        other.join()


def test_a_call_with_little_time_uses_the_token_at_hand(house: House) -> None:
    """An early refresh could hang for 20 s: it is left to calls that have twice that, and to a token's last seconds."""
    house.log_in()
    house.age(3400)
    house.issuer.misbehave("hang-before-headers", on="refresh_token")

    assert "a" == echo(house.session(), 3)
    assert [] == house.issuer.called("refresh_token")

    house.issuer.behave()
    assert "a" == echo(house.session(), 60)
    assert 1 == house.issuer.redemptions


def test_a_refresh_that_was_sent_outlasts_its_caller(house: House) -> None:
    """The call is over in time for its deadline to be told, and the tokens that come late are kept for the next."""
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("late", on="refresh_token", seconds=1.5)
    before = house.record().generation

    error = ended(lambda: echo(house.session(), 0.5))

    assert isinstance(error, DeadlineExceededError)
    assert (1, before + 1, "ok") == (house.issuer.redemptions, house.record().generation, house.record().status)
    assert "a" == echo(house.session(), 5)
    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


def test_until_it_is_sent_a_refresh_has_the_callers_time(house: House) -> None:
    """A server that does not get as far as a TLS connection holds nobody, and is not blamed for the hurry."""
    house.log_in()
    house.age(3600)
    with silent() as port:
        house.move_token_endpoint(f"https://127.0.0.1:{port}/token")
        error = ended(lambda: echo(house.session(), 0.5))

    assert isinstance(error, DeadlineExceededError)
    assert not error.sent
    record = house.record()
    assert ("ok", None, None) == (record.status, record.trouble, record.intent)


def test_a_thread_waits_for_another_no_longer_than_it_may(house: House) -> None:
    """One thread refreshes and waits; the other has half a second, says so, and has sent nothing."""
    house.log_in()
    house.age(3600)
    tokens = Vault.open(env=house.env).authorization("x")
    house.issuer.misbehave("late", on="refresh_token", seconds=3)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(tokens.access_token, Deadline(30))
        until(lambda: house.issuer.called("refresh_token"))
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError, match="x: its token: another thread was at it") as caught:
            tokens.access_token(Deadline(0.5))
        assert time.monotonic() - began < 2.5
        assert not caught.value.sent
        assert first.result()


def test_a_thread_does_not_wait_while_the_token_works(house: House) -> None:
    """Another thread of the session replaces the token early; all others send the one that is there."""
    house.log_in()
    house.age(3400)
    tokens = Vault.open(env=house.env).authorization("x")
    at_hand = tokens.tokens().access_token
    house.issuer.misbehave("late", on="refresh_token", seconds=3)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(tokens.access_token, Deadline(60))
        until(lambda: house.issuer.called("refresh_token"))
        assert at_hand == tokens.access_token(Deadline(60))
        assert not first.done()
        assert at_hand != first.result()
    assert 1 == house.issuer.redemptions


ACTS: dict[str, Callable[[House], Any]] = {
    "begin": lambda house: house.session().authorization_url(PAGE, timeout=0.5),
    "log in": lambda house: house.session(auth=Consenting()).authenticate(timeout=2),
    "log out": lambda house: Vault.open(env=house.env).authorization("x").logout(timeout=0.5),
    "adopt": lambda house: Vault.open(env=house.env).authorization("x").renew(expiring=60, adopt=True, timeout=0.5),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_lock_is_awaited_no_longer_than_the_caller_may(house: House, name: str) -> None:
    """Whoever changes a grant waits for the process that has its lock as long as the caller has time, not a minute."""
    house.log_in()
    with busy(house):
        error = ended(lambda: ACTS[name](house))
    assert isinstance(error, BusyError)


def test_a_completed_login_waits_for_a_lock_as_long_as_it_may(house: House) -> None:
    """``complete_authorization`` keeps to its time as well."""
    redirected = house.issuer.follow(house.session().authorization_url(PAGE))
    with busy(house):
        error = ended(lambda: house.session().complete_authorization(redirected, timeout=0.5))
    assert isinstance(error, BusyError)


def test_a_command_has_the_time_of_the_session(house: House) -> None:
    """A ``${cmd:}`` that hangs ends with the time that a call may take, and the error is the deadline's (exit 4)."""
    house.allow_commands()
    with house.vault.change() as change:
        change.add_server("y", {"url": house.server.url, "auth": {"kind": "bearer", "token": SLEEPS}})

    error = ended(lambda: house.session("y", timeout=0.5))

    assert isinstance(error, DeadlineExceededError)
    assert (4, False) == (error.exit_code, error.sent)


def test_a_command_has_the_time_of_a_call(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session reads again before it asks for a token is bounded by the call that needs it."""
    monkeypatch.setattr("mcpvault.oauth_parts.STALE", 0.0)
    house.allow_commands()
    slow = house.vault.places.vault_path.with_name("slow")
    word = f"import os, time; time.sleep(30 * os.path.exists({str(slow)!r})); print('a-secret')"
    house.issuer.register("robot", auth_method="client_secret_basic", secret="a-secret")
    command = f'${{cmd:["{sys.executable}", "-c", "{word}"]}}'
    house.add("y", kind="client_credentials", client_id="robot", issuer=house.issuer.issuer, client_secret=command)
    session = house.session("y")
    slow.touch()

    assert isinstance(ended(lambda: echo(session, 0.5)), DeadlineExceededError)
