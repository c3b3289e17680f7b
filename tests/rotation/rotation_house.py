"""A vault whose entry ``demo`` is rotated, the server that it names, and a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcpvault import Secret, Vault
from mcpvault.rotation.ground import Conditions
from mcpvault.rotation.machine import Machine
from mcpvault.testing import FakeMcpServer
from mcpvault.vault.slots import NewSlot, RawKey
from vault_schema import Rotation

OLD, NEW = "old-token-9fXk21mQ", "new-token-4tRb77zL"


@dataclass
class RotationHouse:
    """An open vault, its server, and what the clock says."""

    env: dict[str, str]
    server: FakeMcpServer
    shift: float = 0.0
    known_within: float = 0.0
    remarks: list[str] = field(default_factory=list)

    def open(self) -> Vault:
        """Open the vault, as a script on this host would."""
        return Vault.open(env=self.env)

    def machine(self, name: str = "demo", *, secret: str | None = None, **conditions: Any) -> Machine:
        """Return the rotation of *name*, on a vault that was opened just now; *secret* is what a person brings."""
        import time

        given = Secret(secret) if secret is not None else None
        told = Conditions(given=given, **{"dead_within": 0.0, "known_within": self.known_within, **conditions})
        return Machine(self.open(), name, told, now=lambda: time.time() + self.shift)

    def rotate(self, secret: str = NEW, **conditions: Any) -> Rotation:
        """Rotate the token of ``demo`` by hand."""
        return self.machine(secret=secret, **conditions).start("auth.token", "manual", grace="24h")

    def issue(self, token: str, tools: frozenset[str] | None = None) -> None:
        """Let the server take *token* too."""
        self.server.tokens[token] = tools

    def retire(self, token: str) -> None:
        """Let the server refuse *token* from now on."""
        if self.server.token == token:
            self.server.token = "nobody-has-this-one"
        self.server.tokens.pop(token, None)

    def stages(self, name: str = "demo", path: str = "auth.token") -> dict[str, str]:
        """Return the secrets of the versions, by stage."""
        vault = self.open()
        facts = [fact for fact in vault.file.history(name) if fact.field == path]
        return {fact.stage: vault.file.secret(name, path, stage=fact.stage).reveal() for fact in facts}

    @property
    def journal(self) -> Rotation:
        """The journal as the file has it."""
        found = self.open().entry("demo").rotation
        assert found is not None
        return found


def new_home(home: Path) -> dict[str, str]:
    """Make a key and an empty vault in *home*; return the environment that opens it."""
    key, key_file = RawKey.generate(), home / "key"
    key_file.touch(0o600)
    key_file.write_text(key.text.reveal() + "\n")
    env = {"HOME": str(home), "MCPVAULT_KEY_FILE": str(key_file)}
    Vault.create(slots=[NewSlot.raw("me", key)], env=env)
    return env


@contextmanager
def rotation_house(home: Path) -> Iterator[RotationHouse]:
    """Make a vault in *home* whose entry ``demo`` holds a bearer token that the server takes."""
    with FakeMcpServer(token=OLD) as server:
        house = RotationHouse(new_home(home), server)
        with house.open().change() as change:
            change.add_server("demo", {"url": server.url, "auth": {"kind": "bearer"}, "runbook": "wiki/demo"})
            change.set_secret("demo", "auth.token", Secret(OLD))
        yield house
