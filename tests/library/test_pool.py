"""``vault.pool``: the same work for many items, by threads that share one session."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from library_house import until
from pool_house import in_a_child, vault_with

from mcpvault import Session
from mcpvault.errors import DeadlineExceededError, RpcError, UsageError
from mcpvault.testing import FakeMcpServer

Serving = Callable[..., FakeMcpServer]


def _echo(session: Session, word: str) -> str:
    return session.call_tool("echo", {"message": word}).text()


def _named(server: FakeMcpServer, name: str) -> int:
    return sum(name.encode() in request.body for request in server.requests)


def test_results_come_in_the_order_of_the_items(home: Path, fake_mcp_servers: Serving) -> None:
    """Threads share the work, and each outcome stands where its item stood."""
    vault, _ = vault_with(home, {"x": {"url": fake_mcp_servers().url}})
    words = [f"word {number}" for number in range(40)]
    seen: set[str] = set()
    together = threading.Barrier(4, timeout=20)

    def work(session: Session, word: str) -> str:
        if threading.current_thread().name not in seen:
            seen.add(threading.current_thread().name)
            together.wait()
        return _echo(session, word)

    with vault.pool("x", size=4) as pool:
        outcomes = pool.map(work, words)

    assert words == [outcome.item for outcome in outcomes] == [outcome.result() for outcome in outcomes]
    assert {"x-0", "x-1", "x-2", "x-3"} == seen
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("x-")]


def test_an_exception_ends_its_own_item(home: Path, fake_mcp_servers: Serving) -> None:
    """Ours and the caller's: both stand beside their items, and the others are done."""
    vault, _ = vault_with(home, {"x": {"url": fake_mcp_servers().url}})

    def work(session: Session, word: str) -> str:
        if word == "add":
            return session.call_tool("add", {"no": "numbers"}).text()
        return _echo(session, word.removesuffix("!") if word != "!" else str(1 // 0))

    with vault.pool("x", size=2) as pool:
        outcomes = pool.map(work, ["a", "add", "!", "b"])

    assert [type(None), RpcError, ZeroDivisionError, type(None)] == [type(outcome.error) for outcome in outcomes]
    assert ["a", "b"] == [outcome.result() for outcome in outcomes if outcome.error is None]
    with pytest.raises(RpcError):
        outcomes[1].result()


def test_the_deadline_is_for_all_items(home: Path, fake_mcp_servers: Serving) -> None:
    """A call under way ends at the deadline, and what was not begun says that nothing was sent."""
    server = fake_mcp_servers()
    vault, _ = vault_with(home, {"x": {"url": server.url}})

    with vault.pool("x", size=1, deadline=60) as pool:
        pool.map(_echo, ["warm"])
        outcomes = pool.map(lambda s, n: s.call_tool("slow", {"seconds": 60, "steps": 1}), [1, 2], deadline=0.5)

    errors = [outcome.error for outcome in outcomes]
    assert all(isinstance(error, DeadlineExceededError) for error in errors)
    assert "x: not begun: the 0.5 s for all items are over" == str(errors[1])
    assert 1 == _named(server, '"slow"')


def test_a_pool_has_a_thread(home: Path) -> None:
    """A size of none is refused before anything happens."""
    vault, _ = vault_with(home, {"x": {"url": "http://127.0.0.1:9/mcp"}})
    with pytest.raises(UsageError, match="size: expected at least one thread, got 0"):
        vault.pool("x", size=0)


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_ctrl_c_breaks_off_what_is_under_way(home: Path, fake_mcp_servers: Serving, era: str) -> None:
    """The threads end, a legacy server is told of every call, and KeyboardInterrupt is what the program sees."""
    server = fake_mcp_servers(era=era)
    _, env = vault_with(home, {"x": {"url": server.url}})
    script = (
        "import threading, mcpvault\n"
        "with mcpvault.Vault.open() as vault, vault.pool('x', size=3) as pool:\n"
        "    try:\n"
        "        pool.map(lambda s, n: s.call_tool('slow', {'seconds': 600, 'steps': 1}), range(9))\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted', threading.active_count(), flush=True)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True)
    until(lambda: _named(server, '"slow"') == 3)

    program.send_signal(signal.SIGINT)

    assert "interrupted 1\n" == program.communicate(timeout=20)[0]
    assert 3 == _named(server, '"slow"')
    if era == "legacy":
        assert 3 == _named(server, "notifications/cancelled")


def test_what_is_no_exception_ends_all(home: Path, fake_mcp_servers: Serving) -> None:
    """SystemExit in one thread breaks the calls of the others off, and is raised where map was called."""
    server = fake_mcp_servers()
    vault, _ = vault_with(home, {"x": {"url": server.url}})

    def work(session: Session, number: int) -> None:
        if number == 0:
            until(lambda: _named(server, '"slow"') == 1)
            raise SystemExit(3)
        session.call_tool("slow", {"seconds": 600, "steps": 1})

    with vault.pool("x", size=2) as pool, pytest.raises(SystemExit):
        pool.map(work, range(5))

    assert 1 == _named(server, '"slow"')


def test_a_rate_limit_is_kept_by_all_sessions(home: Path, fake_mcp_servers: Serving) -> None:
    """Threads, a second session and another process spend the same rate; beyond it nothing is sent."""
    server = fake_mcp_servers()
    vault, env = vault_with(home, {"x": {"url": server.url, "rate_limit": "6/d", "era": "modern"}})
    with vault.pool("x", size=3, timeout=5) as pool:
        first = [outcome.error for outcome in pool.map(_echo, "abc")]
    with vault.session("x", timeout=5) as session:
        _echo(session, "d")
    with vault.requests_session("x") as plain:
        plain.get(server.url, timeout=5)
    script = (
        "import mcpvault\n"
        "with mcpvault.connect('x', timeout=5) as x:\n"
        "    x.call_tool('echo', {'message': 'e'})\n"
        "    try:\n"
        "        x.call_tool('echo', {'message': 'f'})\n"
        "    except mcpvault.McpVaultError as error:\n"
        "        print(error)\n"
    )

    told = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)

    assert [None] * 3 == first
    assert ("x: rate_limit 6/d leaves no room within 5 s; nothing was sent\n", "") == (told.stdout, told.stderr)
    assert 6 == len(server.requests)


def test_a_pool_made_before_a_fork_works_in_the_child(home: Path, fake_mcp_servers: Serving) -> None:
    """Prefork servers make it in the parent; the threads are the child's."""
    vault, _ = vault_with(home, {"x": {"url": fake_mcp_servers().url}})
    with vault.pool("x", size=2) as pool:
        pool.map(_echo, ["warm"])

        assert "['a', 'b']" == in_a_child(lambda: [each.result() for each in pool.map(_echo, "ab")])
        assert ["c"] == [each.result() for each in pool.map(_echo, "c")]
