"""Many at once, and what interrupts them: threads, forked workers, Ctrl-C in the middle of a refresh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from library_house import Consenting, House, until

from mcpvault import Vault
from mcpvault.errors import AuthorizationRequiredError
from mcpvault.upkeep.audit_trail import events

FORKS = """
import os, sys, mcpvault
vault = mcpvault.Vault.open()
session = vault.session("x")
children = []
for _ in range(4):
    if (child := os.fork()) == 0:
        seen = len(session.list_tools()), len(vault.session("x").list_tools())
        os._exit(0 if seen == (6, 6) else 1)
    children.append(child)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), len(session.list_tools()))
"""


def test_sixteen_threads_of_one_session_refresh_once(house: House) -> None:
    """An expired token, and one that the server has ended, are replaced by one of them; all calls go through."""
    house.log_in()
    house.age(3600)
    session = house.session()

    with ThreadPoolExecutor(16) as threads:
        for redemptions in (1, 2):
            said = threads.map(lambda n: session.call_tool("echo", {"message": str(n)}).text(), range(32))
            assert [str(n) for n in range(32)] == [*said]
            assert redemptions == house.issuer.redemptions
            house.age(3600)

    assert 0 == house.issuer.reuse_detected


def test_sixteen_sessions_in_threads_refresh_once(house: House) -> None:
    """The same with a session, and a vault, for each thread."""
    house.log_in()
    house.age(3600)
    gate = threading.Barrier(16)

    def work(number: int) -> int:
        gate.wait()
        with Vault.open(env=house.env).session("x") as session:
            return len(session.list_tools())

    with ThreadPoolExecutor(16) as threads:
        assert [6] * 16 == [*threads.map(work, range(16))]

    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


def test_threads_without_a_grant_ask_one_person_once(house: House) -> None:
    """One of them goes through the login, the others wait for it."""
    person = Consenting()
    session = house.session(auth=person)

    with ThreadPoolExecutor(8) as threads:
        assert [6] * 8 == [*threads.map(lambda _: len(session.list_tools()), range(8))]

    assert 1 == len(person.visited)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_workers_share_a_vault_and_one_refresh(house: House) -> None:
    """A session of before the fork begins anew in each worker, a vault gives each one; together they refresh once."""
    house.log_in()
    house.age(3600)

    done = subprocess.run(
        [sys.executable, "-c", FORKS], env=house.env, capture_output=True, text=True, timeout=60, check=False
    )

    assert ("0 0 0 0 6\n", "") == (done.stdout, done.stderr)
    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


def test_ctrl_c_in_a_refresh_costs_nothing(house: House) -> None:
    """Interrupted while the server thinks, the call ends when its answer is kept, and the next has the new token."""
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("late", on="refresh_token", times=1, seconds=1, carried_out=True)
    session = house.session()

    def interrupt() -> None:
        until(lambda: house.issuer.called("refresh_token"))
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        session.list_tools()
    other.join()

    assert "ok" == house.record().status
    assert [True] == [told["ok"] for told in events(house.vault.state) if told["ev"] == "refresh"]
    assert 6 == len(house.session().list_tools())
    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_in_a_refresh_costs_no_grant(house: House, number: signal.Signals) -> None:
    """The command ends as interrupted after an answer that takes two seconds; a strict server sees one redemption."""
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("late", on="refresh_token", times=1, seconds=2, carried_out=True)
    command = [sys.executable, "-m", "mcpvault", "call", "x", "echo", "-a", "message=said"]
    how = {"env": house.env, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    with subprocess.Popen(command, **how) as process:  # type: ignore[call-overload]
        until(lambda: house.issuer.called("refresh_token"))
        process.send_signal(number)
        assert b"" == process.communicate(timeout=30)[0]
    assert (130 if number is signal.SIGINT else -number) == process.returncode

    assert "ok" == house.record().status
    done = subprocess.run(command, env=house.env, capture_output=True, text=True, timeout=30, check=False)
    assert (0, "said\n") == (done.returncode, done.stdout)
    assert (1, 0, 0) == (house.issuer.redemptions, house.issuer.reuse_detected, house.issuer.families_revoked)


def test_a_lost_answer_within_the_servers_grace(build: Callable[..., House]) -> None:
    """The server has rotated, the answer is lost: the same token is redeemed at once once more, and the grant lives."""
    house = build(policy={"grace": 30})
    house.add()
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("close-before-answer", on="refresh_token", times=1, carried_out=True)

    assert 6 == len(house.session().list_tools())

    assert (2, 0) == (house.issuer.redemptions, house.issuer.families_revoked)


def test_a_lost_answer_without_grace_is_told(house: House) -> None:
    """Where the server forgives nothing the grant is dead, and the error says by whom and when it was lost."""
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("close-before-answer", on="refresh_token", times=1, carried_out=True)

    for _ in range(2):
        with pytest.raises(AuthorizationRequiredError, match=r"probably spent by .* \(pid \d+\) on .* at 20") as caught:
            house.session().list_tools()

    assert "mcpvault login x" == caught.value.login_command
    assert 2 == len(house.issuer.called("refresh_token"))
    house.log_in()
    assert 6 == len(house.session().list_tools())
