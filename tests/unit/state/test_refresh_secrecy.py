"""What a refresh leaks: nothing into exceptions and their frames, nothing into the log, little into ``sys.modules``."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from state_samples import full_disk
from token_samples import CLIENT, LIFE, SERVER, VAULT, House

from mcpvault.errors import McpVaultError
from mcpvault.secret import Secret
from mcpvault.state.files import StateDirectory
from mcpvault.state.grants import grant
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import TokenSet

SECRETS = ("access-0001-token", "refresh-0001-token", "access-0002-token", "refresh-0002-token", "next-refresh-token")


def told(error: BaseException | None) -> Iterator[str]:
    """Yield everything that a debugger would show of an exception: message, facts, and locals of our frames."""
    while error is not None:
        yield repr(error)
        yield repr(vars(error))
        frame = error.__traceback__
        while frame is not None:
            code = frame.tb_frame.f_code
            if "/tests/" not in code.co_filename:
                yield from (f"{code.co_name}: {name}={value!r}" for name, value in frame.tb_frame.f_locals.items())
            frame = frame.tb_next
        error = error.__cause__ or error.__context__


def leaks(error: BaseException) -> list[str]:
    """Return where a secret can be seen."""
    return [text[:200] for text in told(error) if any(secret in text for secret in SECRETS)]


@pytest.mark.parametrize(
    "script",
    [
        ["unreachable"],
        ["forbidden"],
        ["hang"],
        ["lose"],
        ["lose", "lose"],
        ["http 503"],
        ["html"],
        ["garbage", "garbage"],
        ["cut"],
        ["error invalid_grant"],
        ["error invalid_client"],
    ],
    ids=" ".join,
)
def test_an_error_shows_no_secret(house: House, script: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Not even in the locals of the frames that it passed, nor in the log."""
    caplog.set_level(logging.DEBUG)
    house.clock.move(LIFE + 1)
    house.server.script = [*script]
    with pytest.raises(McpVaultError) as caught:
        house.current()
    assert [] == leaks(caught.value)
    assert [] == [secret for secret in SECRETS if secret in caplog.text]


def test_a_full_disk_shows_no_secret(house: House) -> None:
    """What could not be written stays unseen."""
    house.clock.move(LIFE + 1)
    with full_disk(1024), pytest.raises(McpVaultError) as caught:
        house.current()
    assert [] == leaks(caught.value)


@pytest.mark.parametrize("old", [b'host_name = "web01"', b"generation = 1", b'sealed = "mv1'])
def test_a_damaged_record_shows_no_secret(house: House, old: bytes) -> None:
    """Neither clear nor sealed."""
    file = house.place / "token-linear.toml"
    assert old in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(old, old.replace(b"1", b"2")))
    with pytest.raises(McpVaultError) as caught:
        house.current(store=house.again())
    assert [] == leaks(caught.value)


READER = """
import sys
from pathlib import Path
from mcpvault.deadline import Deadline
from mcpvault.state.files import StateDirectory
from mcpvault.state.refresh import current
from mcpvault.state.tokens import TokenStore
store = TokenStore(
    StateDirectory(Path({place!r})), "linear", vault_id={vault!r}, host="h", seal=None,
    unseal=lambda line, associated: bytes.fromhex(line),
)
assert current(store, None, deadline=Deadline(1)).generation == 1
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_reading_a_valid_token_loads_little(tmp_path: Path) -> None:
    """No lock, no writer of TOML, no network: most runs find a token that is good."""
    place = tmp_path / "state"
    store = TokenStore(
        StateDirectory(place),
        "linear",
        vault_id=VAULT,
        seal=lambda data, associated: data.hex(),
        unseal=lambda line, associated: bytes.fromhex(line),
        host="h",
    )
    tokens = TokenSet(access_token=Secret("a"), issued_at=time.time(), expires_at=time.time() + LIFE)
    grant(store, tokens, server=SERVER, registration=CLIENT, resource=None)

    code = READER.format(place=str(place), vault=VAULT)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    heavy = {"asyncio", "cryptography", "dataclasses", "filelock", "inspect", "msgspec", "requests", "socket", "ssl"}
    heavy |= {"subprocess", "tomli_w", "tomlkit", "urllib3"}
    assert set() == set(done.stdout.split()) & heavy
