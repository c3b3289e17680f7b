"""
Processes that come, go and die at any write, against a server that loses answers: a model of the whole protocol.

A process that dies stops at a write of its state, before or after it, and never gets to clean up.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from token_samples import LIFE, Clock, House, StrictServer, access, store_of

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError, McpVaultError
from mcpvault.oauth.wire import Answer
from mcpvault.state.memory import MemoryState
from mcpvault.state.record import TokenRecord

ACTS = ["grant", "grant", "lose", "lose", "lose", "drop", "unreachable", "hang", "http 503", "html"]
ACTS += ["error invalid_client", "die", "die granted", "die granted", "garbage", "cut", "gateway"]
ACTS += ["unsent", "misread", "misread"]


class Died(BaseException):
    """A process has died."""


class Disk(MemoryState):
    """A disk; the process that uses it dies before or after the write that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = False
        self.left: int | None = None
        self.late = False
        self.written = 0

    def replace(self, name: str, data: bytes, *, room: object = None) -> None:
        """Write, or die."""
        if self.left == 0 and not self.late:
            self.dead = True
        if self.dead:
            raise Died
        super().replace(name, data)
        self.written += 1
        if self.left == 0:
            self.dead = True
            raise Died
        if self.left is not None:
            self.left -= 1


class Model(StrictServer):
    """The server, remembering whose answers were seen, and how much had been written when the last one came."""

    disk: Disk
    closed: set[str]
    granted: str | None
    written: int
    issued: set[str]

    def answer(self, record: TokenRecord, deadline: Deadline) -> Answer:
        """Redeem, unless the process dies instead."""
        assert record.tokens is not None and record.tokens.refresh_token is not None
        token = record.tokens.refresh_token.reveal()
        assert token not in self.closed, "redeemed again after its answer was seen"
        act = self.script[0] if self.script else "grant"
        if act in ("die", "die granted"):
            self.script.pop(0)
            if act == "die granted":
                self._redeem(token)
                self.issued.add(f"access-{self.serial:04d}-token")
            raise Died
        self.granted = token
        try:
            answer = super().answer(record, deadline)
        except McpVaultError:
            self.granted = None
            raise
        finally:
            self.issued.add(f"access-{self.serial:04d}-token")
        self.written = self.disk.written
        if act == "gateway":  # a 5xx is never counted, whatever happened behind it: DECISIONS.md
            self.redeemed[token] -= 1
        if answer.status != 200 or act in ("cut", "garbage", "html"):  # what cannot be read was not seen
            self.granted = None
        return answer


class Processes(RuleBasedStateMachine):
    """Whatever happens, no token is redeemed after its answer was seen, and none more than twice."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.clock = Clock()
        self.house = House(self.disk, self.clock, kind=Model)
        assert isinstance(self.house.server, Model)
        self.server = self.house.server
        self.server.disk, self.server.written = self.disk, 0
        self.server.closed, self.server.granted = set(), None
        self.server.issued = {access(self.house.record())}
        self.stores = [store_of(self.disk) for _ in range(3)]

    def record(self) -> TokenRecord:
        """Return what is on disk."""
        record = store_of(self.disk).read()
        assert record is not None
        return record

    @rule(grace=st.booleans())
    def server_forgives(self, grace: bool) -> None:
        """Change whether the server forgives one reuse."""
        self.server.grace = grace

    @rule(seconds=st.sampled_from([1, 5, 11, 40, 300, LIFE - 60, LIFE - 5, LIFE + 1, 10 * LIFE, -7, -LIFE]))
    def time_passes(self, seconds: int) -> None:
        """Or the clock is moved."""
        self.clock.move(seconds)

    @rule(
        which=st.integers(0, 2),
        acts=st.lists(st.sampled_from(ACTS), max_size=3),
        rejected=st.booleans(),
        insist=st.booleans(),
        window=st.sampled_from([None, None, 600]),
        dies=st.none() | st.tuples(st.integers(0, 4), st.booleans()),
    )
    def somebody_asks(
        self,
        which: int,
        acts: list[str],
        rejected: bool,
        insist: bool,
        dies: tuple[int, bool] | None,
        window: float | None = None,
    ) -> None:
        """Ask for a token; perhaps die."""
        before = self.record()
        self.server.script, self.server.granted = [*acts], None
        self.disk.left, self.disk.late = dies or (None, False)
        refused = before.generation if rejected else None
        try:
            record = self.house.current(store=self.stores[which], rejected=refused, insist=insist, window=window)
        except Died:
            self.disk.dead = False
            self.stores[which] = store_of(self.disk)
            if self.server.granted and self.disk.written > self.server.written:  # what is written first is the answer
                self.server.closed.add(self.server.granted)
        except McpVaultError:
            if self.server.granted:
                self.server.closed.add(self.server.granted)
        else:
            if self.server.granted:
                self.server.closed.add(self.server.granted)
            assert access(record) in self.server.issued
            assert record.alive(self.clock())
            assert record.generation != refused
            assert record.expires_at is not None
            assert window is None or record.expires_at - self.clock() > window
            assert access(self.record()) == access(record)
        finally:
            self.disk.left = None

    @precondition(lambda self: self.record().status == "dead")
    @rule()
    def a_person_logs_in(self) -> None:
        """And everything works again."""
        self.house.login()
        assert self.house.current().status == "ok"
        self.server.issued.add(access(self.record()))

    @invariant()
    def no_token_is_redeemed_three_times(self) -> None:
        """Two redemptions whose answers were lost are the most."""
        assert {} == {token: times for token, times in self.server.redeemed.items() if times > 2}

    @invariant()
    def the_dead_say_why(self) -> None:
        """A grant that needs a login says so, and names the command."""
        if self.record().status != "dead" or self.record().alive(self.clock()):
            return
        try:
            self.house.current(store=store_of(self.disk))
        except AuthorizationRequiredError as error:
            assert "mcpvault login linear" == error.login_command
        else:
            raise AssertionError("a dead grant was used")


# Without shrinking: the steps are readable as they come, and shrinking them takes minutes.
SOME = settings(max_examples=40, stateful_step_count=20, deadline=None, phases=[Phase.generate])
TestProcesses = Processes.TestCase
TestProcesses.settings = SOME


def test_an_answer_read_late_closes_no_other_token() -> None:
    """
    Who reads the answer that a dead process kept, and dies over the next one, has seen only the first.

    The token of the second answer, which nobody has kept, is redeemed once more.
    """
    processes = Processes()
    processes.somebody_asks(0, ["grant"], rejected=False, insist=True, dies=(1, True))
    assert {"refresh-0001-token"} == processes.server.closed
    processes.time_passes(LIFE + 1)
    processes.somebody_asks(1, ["grant"], rejected=False, insist=False, dies=(2, False))
    assert {"refresh-0001-token"} == processes.server.closed
    processes.server_forgives(grace=True)

    processes.somebody_asks(2, ["grant"], rejected=False, insist=False, dies=None)

    assert {"refresh-0001-token": 1, "refresh-0002-token": 2} == processes.server.redeemed
    assert {"refresh-0001-token", "refresh-0002-token"} == processes.server.closed
    assert ("ok", 3) == (processes.record().status, processes.record().generation)


def test_an_answer_outlives_a_mistake_in_the_entry() -> None:
    """What a killed process kept is read when the entry is right again, and its token is not redeemed meanwhile."""
    processes = Processes()
    processes.somebody_asks(0, ["misread"], rejected=False, insist=True, dies=(1, True))
    processes.time_passes(40)
    processes.somebody_asks(1, [], rejected=True, insist=False, dies=None)
    record = processes.record()
    assert ("refreshing", 1, True) == (record.status, record.generation, record.answer is not None)

    processes.somebody_asks(2, [], rejected=True, insist=False, dies=None)

    assert {"refresh-0001-token": 1} == processes.server.redeemed
    assert ("ok", 2) == (processes.record().status, processes.record().generation)


@pytest.mark.storm
def test_many_processes() -> None:
    """The same, far more often."""
    run_state_machine_as_test(Processes, settings=settings(SOME, max_examples=3000))
