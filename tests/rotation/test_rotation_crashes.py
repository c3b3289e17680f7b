"""
kill -9 at every step of every rotator: what is written is a step, the next run goes on, and nobody is locked out.

A forked child kills itself just before or just after its n-th write of the vault or of tokens in the state, and n runs
until a child survives.
Between two writes lie the acts at the issuer: a kill before a write is one after the act that the write would tell of.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house
from rotation_house import OLD, RotationHouse, rotation_house
from test_rotators import program

from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError
from mcpvault.rotation.tokens import FIELD, ROTATOR


def dies_at(event: int, act: Callable[[], object]) -> bool:
    """Run *act* in a child that is killed at the *event*-th edge of a write of vault or tokens; tell whether it was."""
    pid = os.fork()
    if pid == 0:
        edges = itertools.count()
        real = os.replace

        def replace(source: str, target: str, **how: object) -> None:
            ours = Path(target).name.startswith(("vault.toml", "token-"))
            if ours and next(edges) == event:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target, **how)  # type: ignore[arg-type]
            if ours and next(edges) == event:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace  # type: ignore[assignment]
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


class Bearer:
    """Rotates a static token, by hand or by a program; each rotation has a token of its own."""

    def __init__(self, house: RotationHouse, how: str) -> None:
        self.house, self.how, self.numbers, self.token = house, how, itertools.count(1), OLD

    def begin(self) -> None:
        """Rotate as far as the grace."""
        self.house.machine(secret=self.token).start("auth.token", self.how, grace="1h", command=self.command())

    def prepare(self) -> None:
        """Let the issuer have a token that nobody uses yet."""
        self.token = f"token-number-{next(self.numbers):04}"
        self.house.issue(self.token)

    def command(self) -> tuple[str, ...]:
        """Return the program's words."""
        return program(self.house, {"secret": self.token}) if self.how == "exec" else ()

    def pass_grace(self) -> None:
        """Let the grace pass and the issuer end what is old."""
        self.house.shift += 3601
        for each in [OLD, *self.house.server.tokens]:
            if each != self.house.stages().get("current"):
                self.house.retire(each)

    def end(self) -> str:
        """End the rotation, if that has not been done."""
        journal = self.house.journal
        return (self.house.machine().resume() if journal.open else journal).step

    def resume(self) -> str:
        """Go on with what was cut off, if anything was begun; return the step."""
        journal = self.house.open().entry("demo").rotation
        if journal is None or not journal.open:
            self.begin()
            return self.house.journal.step
        return self.house.machine(secret=self.token).resume().step

    def works(self) -> bool:
        """Tell whether a script gets through."""
        with self.house.open().session("demo") as session:
            return session.list_tools() != []


class Robot:
    """Rotates what a client proves itself by."""

    def __init__(self, house: IssuerHouse, how: str) -> None:
        self.house, self.how = house, how

    def prepare(self) -> None:
        """Do nothing: the issuer makes what is new, or we do."""

    def begin(self) -> None:
        """Rotate as far as the grace."""
        self.house.begin(self.how)

    def pass_grace(self) -> None:
        """Let the grace pass, at an issuer that ends secrets by itself too."""
        self.house.shift += 3601
        if self.how == "client-secret":
            self.house.issuer.advance(20_000)

    def end(self) -> str:
        """End the rotation, if that has not been done."""
        journal = self.house.robot
        return (self.house.machine("robot").resume() if journal.open else journal).step

    def resume(self) -> str:
        """Go on with what was cut off, if anything was begun; return the step."""
        journal = self.house.open().entry("robot").rotation
        if journal is None or not journal.open:
            self.begin()
            return self.house.robot.step
        if self.how == "client-secret" and journal.step == "minted":  # at an issuer that renews the secret only
            kept = self.house.open().file.secret("robot", "auth.registration_access_token")
            self.house.client.access_token = kept.reveal()
        return self.house.machine("robot").resume().step

    def works(self) -> bool:
        """Tell whether a script gets a token and through."""
        return self.house.works()


class Tokens(Robot):
    """Rotates the tokens of the client's grant."""

    def begin(self) -> None:
        """Rotate as far as the grace."""
        self.house.machine("robot").start(FIELD, ROTATOR, grace="1h")

    def works(self) -> bool:
        """Tell whether a script gets through with the tokens at hand."""
        with self.house.open().session("robot") as session:
            return session.list_tools() != []


@contextmanager
def rotating(how: str, home: Path) -> Iterator[Bearer | Robot]:
    """Furnish a house for a rotator whose issuer lets two secrets live."""
    if how in ("manual", "exec"):
        with rotation_house(home) as house:
            yield Bearer(house, how)
        return
    with issuer_house(home, renew_secrets=True, old_secret_lifetime=10_000.0) as made:
        made.with_key() if how == "private-key" else made.with_secret()
        if how == "tokens":
            assert made.works()
        yield (Tokens if how == "tokens" else Robot)(made, how)


# Every edge of every rotator; the default run has those of one.
@pytest.mark.storm
@pytest.mark.parametrize("how", ["manual", "exec", "private-key", "registration", "client-secret", "tokens"])
def test_a_kill_at_any_step_locks_nobody_out(how: str, home: Path) -> None:
    """Where two secrets can live, a script gets through after a kill at each edge, and the next run goes on."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            killed = dies_at(event, rotation.begin)
            assert rotation.works(), f"edge {event}"
            assert (event, "grace") == (event, rotation.resume() if killed else "grace")
            assert rotation.works()
            rotation.pass_grace()
            assert (event, "done") == (event, rotation.end())
            event += 1
    assert (14 if how == "tokens" else 16) < event  # seven or eight writes, two edges each, and the one that survives


@pytest.mark.parametrize(
    "how",
    [
        "manual",
        *[
            pytest.param(how, marks=pytest.mark.storm)
            for how in ("exec", "private-key", "registration", "client-secret", "tokens")
        ],
    ],
)
def test_a_kill_while_the_old_secret_is_ended_locks_nobody_out(how: str, home: Path) -> None:
    """The same for the second half: revocation, and the look whether the old one is dead."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            rotation.begin()
            rotation.pass_grace()
            killed = dies_at(event, rotation.end)
            assert rotation.works(), f"edge {event}"
            assert (event, "done") == (event, rotation.end())
            assert rotation.works()
            event += 1
    assert 6 < event


@pytest.mark.storm
@pytest.mark.parametrize("how", ["manual", "exec", "private-key", "registration", "tokens"])
def test_a_kill_while_it_is_given_up_locks_nobody_out(how: str, home: Path) -> None:
    """Rolling back from the grace can be cut off at each edge too, and ends with the old secret in use."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            rotation.begin()
            machine = rotation.house.machine("demo" if isinstance(rotation, Bearer) else "robot")
            killed = dies_at(event, machine.roll_back)
            assert rotation.works(), f"edge {event}"
            name = "demo" if isinstance(rotation, Bearer) else "robot"
            journal = rotation.house.open().entry(name).rotation
            assert journal is not None
            if journal.undo:
                assert "aborted" == rotation.house.machine(name).resume().step
            elif journal.open:
                assert "aborted" == rotation.house.machine(name).abort().step
            assert rotation.works()
            event += 1
    assert 3 < event


@pytest.mark.storm
@pytest.mark.parametrize("keeps_access", [True, False])
def test_a_kill_where_the_issuer_ends_the_old_secret_at_once(keeps_access: bool, home: Path) -> None:
    """Only the answer that dies with the process locks anybody out, and the next run mends that or says what does."""
    with issuer_house(home, renew_secrets=True) as house:
        house.with_secret()
        rotation = Robot(house, "client-secret")
        event, killed, lost = 0, True, 0
        while killed:
            access = house.client.access_token
            killed = dies_at(event, rotation.begin)
            journal = house.open().entry("robot").rotation
            minting = journal is not None and journal.step == "minted"
            if keeps_access and minting:
                house.client.access_token = access
            if minting and house.client.secret not in house.stages(
                "robot", "auth.client_secret"
            ).values():  # fmt: skip
                lost += 1
                with pytest.raises(McpVaultError):
                    house.works()
            else:
                assert house.works(), f"edge {event}"
            try:
                if killed and not keeps_access and minting:
                    house.machine("robot").resume()
                assert "grace" == rotation.resume() if killed else True
            except ConfigurationError as error:
                assert (False, True) == (keeps_access, "answer to an earlier update was lost" in error.message)
                house.machine("robot").abort()
                with house.open().change() as change:  # what a person does then
                    from mcpvault import Secret

                    change.set_secret("robot", "auth.client_secret", Secret(house.client.secret or ""))
                    token = Secret(house.client.access_token or "")
                    change.set_secret("robot", "auth.registration_access_token", token)
            else:
                assert house.works()
                rotation.pass_grace()
                assert "done" == rotation.end()
            event += 1
        # The edges between the issuer's answer and the vault: it is lost at each of them, and nowhere else.
        assert (True, True) == (event > 16, 1 <= lost <= 3)


def test_a_failing_rollback_is_reported(home: Path) -> None:
    """A person who aborts what cannot be aborted any more is told, and the journal stays."""
    with rotation_house(home) as house:
        house.issue("new-one-of-this-test")
        house.rotate("new-one-of-this-test")
        house.shift = 90_000
        with pytest.raises(PolicyError):
            house.machine(require_dead=True).resume()
        with pytest.raises(ConfigurationError):
            house.machine().abort()
        assert "revoked" == house.journal.step
