"""A vault with two servers of different issuers, workers in processes of their own, and the judge of a storm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import session_crew
from threat_house import Victim

from mcpvault.audit_keys import LogKeys
from mcpvault.state.record import TokenRecord
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer
from mcpvault.testing.listener import Recorded
from mcpvault.upkeep import audit_trail

LONGEST = 60  # seconds
_TOKEN = re.compile(r"\b(?:access|refresh)-[\w-]{20,}")  # of the fake servers
Told = dict[str, Any]


class Site(NamedTuple):
    """An MCP server and the authorization server that it trusts."""

    issuer: FakeAuthorizationServer
    server: FakeMcpServer


class Crew:
    """The process that workers are forked from."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, **told: Any) -> None:
        """Begin a shift; see ``session_crew``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def said(self, until: str = "over") -> Iterator[Told]:
        """Yield what the workers say, up to the first of them that says *until*, or the end of the shift."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "over" in told:
                return
            yield told
            if until in told:
                return
        raise AssertionError(f"the crew has ended: {self._process.wait()}")

    def shift(self, **told: Any) -> list[Told]:
        """Run a shift to its end; return what its workers said."""
        self.begin(**told)
        return [*self.said()]


class Troubled:
    """
    The house.

    Args:
        victim: A user with an empty vault.
        sites: Where to log in, by the name of the entry.
    """

    def __init__(self, victim: Victim, sites: dict[str, Site]) -> None:
        self.victim = victim
        self.sites = sites
        self._clocks, self._log = victim.home / "clocks", victim.home / "log"
        self._log.touch()
        self.set_clocks()
        for name, site in sites.items():
            victim.add(site.server.url, name=name)
            victim.log_in(name)

    def record(self, name: str = "x") -> TokenRecord:
        """Return what is stored of an entry's grant."""
        record = self.victim.vault.authorization(name).store.read()
        assert record is not None
        return record

    def expire(self, name: str = "x") -> None:
        """Let the stored access token have ended."""
        store = self.victim.vault.authorization(name).store
        with store.exclusive():
            record = self.record(name)
            assert record.tokens is not None
            store.write(record.replaced(tokens=record.tokens.replaced(issued_at=0.0, expires_at=time.time() - 1)))

    def set_clocks(self, wall: float = 0.0, monotonic: float = 0.0) -> None:
        """Let the workers' clocks be ahead of ours by so many seconds."""
        session_crew.set_clocks(self._clocks, wall, monotonic)

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """Start a crew; it ends with the block."""
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", session_crew.__file__, str(self._clocks), str(self._log)],
            env={**self.victim.env, "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                yield Crew(process)
            finally:
                os.killpg(process.pid, 9)

    def story(self, pid: int | None = None) -> str:
        """Return what the log says of tokens, of one process if need be."""
        begins = "" if pid is None else f"{pid} "
        lines = self._log.read_text().splitlines()
        return "\n".join(line for line in lines if " mcpvault.state: " in line and line.startswith(begins))

    def refreshes(self, name: str) -> list[int]:
        """Return the generations that the audit log knows a refresh has made, in order."""
        told = audit_trail.events(self.victim.vault.state)
        return [each["gen"] for each in told if (each["ev"], each.get("server"), each["ok"]) == ("refresh", name, True)]

    def judge(self, said: list[Told]) -> None:
        """Check what holds in every storm: tokens go where they belong, state can be read, no log shows a secret."""
        for name, site in self.sites.items():
            ledger = site.issuer.ledger
            assert {*_shown(site.server.requests)} <= {*ledger.access}, f"{name}: a wrong token"
            assert {*_shown(site.issuer.requests)} <= {*ledger.refresh}, f"{name}: a wrong token"
            redeemed = [each.form["refresh_token"] for each in site.issuer.called("refresh_token")]
            assert all(redeemed.count(token) <= 2 for token in redeemed), f"{name}: a third redemption"
            last: dict[int, int] = {}  # family -> when its last token but one was redeemed for the last time
            for token in [token for token in ledger.refresh if token in redeemed]:
                # Whoever redeems a token has seen the answer to the one before it.
                first, family = redeemed.index(token), id(ledger.refresh[token].grant)
                assert last.get(family, -1) < first, f"{name}: redeemed after its answer was seen"
                last[family] = len(redeemed) - 1 - redeemed[::-1].index(token)
        bad = [told for told in said if "unreadable" in told or "crashed" in told]
        assert not bad, bad[:3]
        assert all(told["reads"] for told in said if "reads" in told)
        assert {"ok", "refreshing", "ambiguous", "dead"} >= {self.record(name).status for name in self.sites}
        assert None is _TOKEN.search(self._log.read_text() + json.dumps(said))
        vault = self.victim.vault
        verdict = audit_trail.verified(vault.state, LogKeys(vault.state, vault.file))
        assert () == verdict.faults
        for name in self.sites:
            # Each once; between the lock and the log whoever tells of one may be overtaken.
            assert sorted(self.refreshes(name)) == sorted({*self.refreshes(name)})


def _shown(requests: list[Recorded]) -> Iterator[str]:
    """Yield every token in every part of *requests*."""
    for each in requests:
        yield from _TOKEN.findall(f"{each.path} {dict(each.headers)} {each.body.decode('latin-1')}")


def sessions(said: list[Told]) -> list[Told]:
    """Return what was said of sessions that worked."""
    return [told for told in said if told.get("tools") == 6]


def errors(said: list[Told]) -> list[Told]:
    """Return the errors that were told."""
    return [told for told in said if "error" in told]
