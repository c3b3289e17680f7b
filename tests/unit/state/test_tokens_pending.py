"""Authorizations that await their response: once, for ten minutes, and sealed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from token_samples import OTHER_KEY, VAULT, Clock, seal, unseal

from mcpvault.secret import Secret
from mcpvault.state.files import StateDirectory
from mcpvault.state.pending import LIFETIME, MOST, PendingStore
from mcpvault.vault.state_sealing import unseal_state

STATE, OTHER = Secret("state-canary-1"), Secret("state-canary-2")
TOLD = Secret('{"code_verifier": "verifier-canary"}')


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def pending(tmp_path: Path, clock: Clock) -> PendingStore:
    """The pending authorizations of one credential."""
    return store(tmp_path, clock)


def store(place: Path, clock: Clock, credential: str = "linear", unseal: object = unseal) -> PendingStore:
    """Return the pending authorizations of a credential as one process sees them."""
    return PendingStore(
        StateDirectory(place / "state"), credential, vault_id=VAULT, seal=seal, unseal=unseal, clock=clock
    )


def test_it_is_had_once(pending: PendingStore, tmp_path: Path, clock: Clock) -> None:
    """By whichever process comes first with the right state."""
    pending.keep(STATE, TOLD)
    other = store(tmp_path, clock)
    assert other.known(STATE)
    assert None is other.take(OTHER)
    assert TOLD == other.take(STATE)
    assert None is pending.take(STATE)
    assert not pending.known(STATE)


def test_it_is_had_once_by_many(pending: PendingStore, tmp_path: Path, clock: Clock) -> None:
    """Of many at once exactly one gets it."""
    pending.keep(STATE, TOLD)
    had: list[Secret | None] = []
    threads = [threading.Thread(target=lambda: had.append(store(tmp_path, clock).take(STATE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (8, [TOLD]) == (len(had), [each for each in had if each is not None])


@pytest.mark.parametrize(("later", "there"), [(LIFETIME, True), (LIFETIME + 1, False), (-1, False)])
def test_it_lives_ten_minutes(pending: PendingStore, clock: Clock, later: float, there: bool) -> None:
    """An old one is as good as none, and one of the future was made by another clock."""
    pending.keep(STATE, TOLD)
    clock.move(later)
    assert there is pending.known(STATE)
    assert there is (pending.take(STATE) is not None)


def test_the_oldest_give_way(pending: PendingStore) -> None:
    """Somebody who begins a hundred logins does not fill the disk; beginning one anew replaces it."""
    for number in range(MOST + 3):
        pending.keep(Secret(f"state-{number}"), TOLD)
    pending.keep(Secret("state-5"), Secret("{}"))
    kept = [number for number in range(MOST + 3) if pending.known(Secret(f"state-{number}"))]
    assert [*range(3, MOST + 3)] == kept
    assert "{}" == pending.take(Secret("state-5")).reveal()


def test_nothing_of_it_stands_in_clear(pending: PendingStore, tmp_path: Path) -> None:
    """Neither the state parameter nor the code verifier."""
    pending.keep(STATE, TOLD)
    data = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"canary" not in data
    assert data


def test_it_opens_in_its_place_only(pending: PendingStore, tmp_path: Path, clock: Clock) -> None:
    """For another credential, with another date or under another key it does not open, and is gone."""
    pending.keep(STATE, TOLD)
    file = tmp_path / "state" / "pending-linear.toml"
    data = file.read_bytes()
    (tmp_path / "state" / "pending-other.toml").write_bytes(data)
    assert None is store(tmp_path, clock, "other").take(STATE)

    file.write_bytes(data.replace(b"created = 179000", b"created = 178999"))
    clock.now -= 10_000
    assert None is pending.take(STATE)

    clock.now += 10_000
    file.write_bytes(data)
    assert None is store(tmp_path, clock, unseal=lambda line, to: unseal_state(OTHER_KEY, line, to)).take(STATE)


@pytest.mark.parametrize(
    "data", [b"\xff", b"[" * 9999, b"pending = 1", b"pending = [1]", b"[[pending]]\nkey = 1\n", b"x = 1"]
)
def test_a_damaged_file_holds_nothing(pending: PendingStore, tmp_path: Path, data: bytes) -> None:
    """It is overwritten by the next login."""
    pending.keep(OTHER, TOLD)
    (tmp_path / "state" / "pending-linear.toml").write_bytes(data)
    assert None is pending.take(STATE)
    pending.keep(STATE, TOLD)
    assert TOLD == pending.take(STATE)
