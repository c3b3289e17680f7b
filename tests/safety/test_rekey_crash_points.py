"""
kill -9 at every step of a rekey and of a slot's removal, the state of the host included.

Whatever the step, the vault is the old one or the new one and opens, and the grant is there and can be refreshed;
where the new epoch is in place, nothing of the old one stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_crash_points import dies_before

from mcpvault.connect import Vault
from mcpvault.oauth_entry import sealing_of
from mcpvault.secret import Secret
from mcpvault.state.grants import grant
from mcpvault.state.host import host_id
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet
from mcpvault.upkeep.keys import change_keys
from mcpvault.vault.change import Change
from mcpvault.vault.slots import NewSlot, RawKey

TOKEN, GRANTED = "crash-token-value", "crash-refresh-token"
SERVER = AuthorizationServer(issuer="https://as.example", token_endpoint="https://as.example/token")
CLIENT = Registration(issuer="https://as.example", client_id="client-1", source="dynamic")
ACTS: dict[str, Callable[[Change], None]] = {
    "rekey": lambda change: change.rekey(),
    "remove-reader": lambda change: change.remove_slots(["cron"]),
    "remove-admin": lambda change: change.remove_slots(["bob"]),
}


def store_of(vault: Vault) -> TokenStore:
    """Return the state of the credential ``s``."""
    sealing = sealing_of(vault.file)
    return TokenStore(vault.state, "s", **sealing.fields(), host=host_id(vault.state, sealing.vault_id))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A user's surroundings: a vault of three slots and a previous generation, and the grant of a login."""
    keys = {name: RawKey.generate() for name in ("first", "bob", "cron")}
    key_file = tmp_path / "key"
    key_file.touch(0o600)
    key_file.write_text(keys["first"].text.reveal() + "\n")
    env = {"HOME": str(tmp_path), "MCPVAULT_KEY_FILE": str(key_file)}
    slots = [NewSlot.raw(name, key, role="reader" if name == "cron" else "admin") for name, key in keys.items()]
    vault = Vault.create(slots=slots, env=env)
    with vault.change() as change:
        change.add_server("s", {"url": "https://h.example/mcp", "auth": {"kind": "bearer"}})
        change.set_secret("s", "auth.token", Secret(TOKEN))
    with vault.change() as change:
        change.set_plain("s", "note", "a previous generation is kept")
    tokens = TokenSet(access_token=Secret("a"), refresh_token=Secret(GRANTED), issued_at=0.0, expires_at=1.0)
    grant(store_of(vault), tokens, server=SERVER, registration=CLIENT, resource=None)
    return env


def copied(folder: Path) -> dict[Path, bytes]:
    """Return every file below *folder*."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put_back(folder: Path, files: dict[Path, bytes]) -> None:
    """Make the files below *folder* what they were."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in files:
            path.unlink()
    for path, data in files.items():
        path.write_bytes(data)


def judged(env: dict[str, str], step: int) -> int:
    """Open what a killed process left, use all of it, and return the epoch."""
    vault = Vault.open(env=env)
    assert TOKEN == vault.file.secret("s", "auth.token").reveal(), step
    record = store_of(vault).read()
    assert record is not None and record.tokens is not None and record.tokens.refresh_token is not None, step
    assert GRANTED == record.tokens.refresh_token.reveal(), step
    path = vault.file.path
    if vault.document.header.epoch > 1:
        beside = [each.name for each in path.parent.iterdir() if each.suffix != ".lock"]
        assert [path.name] == beside, step
    with vault.change() as change:
        change.set_plain("s", "note", f"changed after step {step}")
    return vault.document.header.epoch


@pytest.mark.parametrize("name", ["rekey", pytest.param("remove-reader", marks=pytest.mark.storm), "remove-admin"])
def test_every_step_leaves_a_vault_that_opens_and_a_grant_that_lives(env: dict[str, str], name: str) -> None:
    """Every step of each act, counted by the system calls that change files."""
    folder = Path(env["HOME"])
    before, step, epochs, killed = copied(folder), 0, [], True
    while killed:
        put_back(folder, before)
        killed = dies_before(step, lambda: change_keys(Vault.open(env=env), ACTS[name]) and None)
        epochs.append(judged(env, step))
        step += 1

    assert epochs == sorted(epochs)
    assert {1, 2} == {*epochs}
    assert 25 < step
