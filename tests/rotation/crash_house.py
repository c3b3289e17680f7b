"""
Every rotator in a house of its own, and a tracer that kills a process at the n-th edge of a write.

A forked child kills itself just before or just after its n-th write of the vault or of tokens in the state, and n runs
until a child survives.
Between two writes lie the acts at the issuer: a kill before a write is one after the act that the write would tell of.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from issuer_house import IssuerHouse, issuer_house
from rotation_house import OLD, RotationHouse, rotation_house
from test_rotators import program

from mcpvault.errors import LoginNeededError
from mcpvault.rotation.tokens import FIELD, ROTATOR

_SPARED: list[object] = []  # what goes on in the child and is not to be killed


@contextmanager
def spared() -> Iterator[None]:
    """Let what the block does be another process's: no edge of it is one to die at."""
    _SPARED.append(None)
    try:
        yield
    finally:
        _SPARED.pop()


def dies_at(event: int, act: Callable[[], object]) -> bool:
    """Run *act* in a child that is killed at the *event*-th edge of a write of vault or tokens; tell whether it was."""
    pid = os.fork()
    if pid == 0:
        edges = itertools.count()
        real = os.replace

        def replace(source: str, target: str, **how: object) -> None:
            ours = Path(target).name.startswith(("vault.toml", "token-")) and not _SPARED
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

    name = "demo"

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

    name = "robot"

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

    def token(self) -> str:
        """Return the access token at hand."""
        return self.house.open().authorization("robot").tokens().access_token.reveal()

    def works(self) -> bool:
        """Tell whether a script gets through with the tokens at hand."""
        with self.house.open().session("robot") as session:
            return session.list_tools() != []


class Person(Robot):
    """Rotates the tokens of a person, who is asked for a login; a script refreshes the old ones meanwhile."""

    name = "person"

    def prepare(self) -> None:
        """Let the last login be a minute ago."""
        self.house.age_login()

    def begin(self) -> None:
        """Rotate as far as the grace."""
        with suppress(LoginNeededError):
            self.house.machine(self.name).start(FIELD, ROTATOR, grace="1h")
        with spared():
            self.refresh()
        self.house.log_in()
        self.house.machine(self.name).resume()

    def end(self) -> str:
        """End the rotation, if that has not been done."""
        journal = self.house.journal_of(self.name)
        return (self.house.machine(self.name).resume() if journal.open else journal).step

    def resume(self) -> str:
        """Go on with what was cut off, if anything was begun; return the step."""
        journal = self.house.open().entry(self.name).rotation
        if journal is None or not journal.open:
            self.begin()
            return self.house.journal_of(self.name).step
        try:
            return self.house.machine(self.name).resume().step
        except LoginNeededError:
            self.house.log_in()
            return self.house.machine(self.name).resume().step

    def refresh(self) -> None:
        """Do as a script does: a refresh token that was spent before is the end of the grant."""
        self.house.open().authorization(self.name).renew(expiring=None, adopt=False, timeout=10.0)

    def works(self) -> bool:
        """Tell whether a script refreshes and gets through."""
        self.refresh()
        with self.house.open().session(self.name) as session:
            return session.list_tools() != []


@contextmanager
def rotating(how: str, home: Path) -> Iterator[Bearer | Robot]:
    """Furnish a house for a rotator whose issuer lets two secrets live."""
    if how in ("manual", "exec"):
        with rotation_house(home) as house:
            yield Bearer(house, how)
        return
    with issuer_house(home, renew_secrets=True, old_secret_lifetime=10_000.0) as made:
        if how == "person":
            with made.open().change() as change:
                change.add_server("person", {"url": made.server.url, "auth": {"kind": "oauth"}})
            made.log_in()
            yield Person(made, how)
            return
        made.with_key() if how.startswith("private-key") else made.with_secret()
        if how == "private-key-late":
            made.issuer.policy.jwks_cache, made.issuer.policy.kid, made.known_within = 0.4, "needed", 60.0
            yield Robot(made, "private-key")
            return
        if how == "tokens":
            assert made.works()
        yield (Tokens if how == "tokens" else Robot)(made, how)
