"""
Storms over one grant with everything in between: vault, state, requests-oauthlib, transport and session, as scripts do.

What the protocol of the state does by itself, under every trouble, is in ``test_refresh_storm``; the troubles with
everything in between are in ``test_storm_troubles``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from threat_house import Victim

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

CROWD = 32
LONGEST = 120  # seconds
# Everything is loaded before the forks, so that the workers begin together; each opens the vault for itself.
WORKERS = """
import os, sys
import filelock, mcpvault, mcpvault.http.tokens, mcpvault.refresh_exchange, mcpvault.state.refresh
from mcpvault.transports import streamable_http
from vault_schema import dump_plain
ready, start = os.pipe()
crew = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(start)
            os.read(ready, 1)
            with mcpvault.Vault.open().session("x") as session:
                code = 0 if len(session.list_tools()) == 6 else 2
        finally:
            os._exit(code)
    crew.append(pid)
os.close(start)
print(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in crew))
"""


def expire(victim: Victim) -> None:
    """Let the stored access token have ended."""
    store = victim.vault.authorization("x").store
    with store.exclusive():
        record = store.read()
        assert record is not None and record.tokens is not None
        store.write(record.replaced(tokens=record.tokens.replaced(issued_at=0.0, expires_at=time.time() - 1)))


def test_32_sessions_redeem_once(victim: Victim, good: FakeAuthorizationServer, server: FakeMcpServer) -> None:
    """Strict reuse detection, no grace: one redemption over the wire, and every process has a session."""
    victim.add(server.url)
    victim.log_in()
    expire(victim)

    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(CROWD)],
        env=victim.env, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip

    assert ("0 " * CROWD, "") == (done.stdout.replace("\n", " "), done.stderr)
    assert (1, 0, 0) == (good.redemptions, good.reuse_detected, good.families_revoked)
    sent = {each.headers["authorization"] for each in server.requests if "authorization" in each.headers}
    assert {f"Bearer {victim.token()}"} == sent


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(3))
def test_commands_that_are_killed_cost_no_grant(
    victim: Victim, good: FakeAuthorizationServer, server: FakeMcpServer, seed: int
) -> None:
    """Round after round 32 commands, every eighth killed, every fifth answer lost: who lives is served."""
    chance = random.Random(seed)
    good.policy.grace = 60
    victim.add(server.url)
    victim.log_in()
    good.misbehave("close-before-answer", on="refresh_token", carried_out=True, one_in=5)
    ends: Counter[int] = Counter()
    for _ in range(6):
        expire(victim)
        crowd = [
            subprocess.Popen(
                [sys.executable, "-m", "mcpvault", "call", "x", "echo", '{"message": "hello"}'],
                env={**victim.env, "PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
            for _ in range(CROWD)
        ]  # fmt: skip
        for process in chance.sample(crowd, CROWD // 8):
            time.sleep(chance.random() / 4)  # the moment is the point of the test
            process.kill()
        for process in crowd:
            _, said = process.communicate(timeout=LONGEST)
            assert process.returncode in (0, -signal.SIGKILL), said.decode()
            ends[process.returncode] += 1
    assert 0 == good.families_revoked
    assert ends[0] >= 6 * CROWD * 7 // 8
    assert 6 == len(victim.session().list_tools())
