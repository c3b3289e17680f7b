"""``audit verify`` against somebody who can write the state folder, and has no key."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, furnished

LINE = "audit-20"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home, and the server that its vault names."""
    with furnished(tmp_path) as made:
        yield made


def log_in(state: Path) -> tuple[Path, list[bytes]]:
    """Return the file of the log and its lines."""
    [path] = state.glob("audit-*.jsonl")
    return path, path.read_bytes().splitlines()


def hashed(line: bytes) -> str:
    """Return how the next line names *line*."""
    return hashlib.sha256(line).hexdigest()[:32]


def put(state: Path, path: Path, lines: list[bytes]) -> None:
    """Write another log, and the head that belongs to it."""
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(data)
    head = {"n": json.loads(lines[-1])["n"], "last": hashed(lines[-1]), "file": path.name, "size": len(data)}
    (state / "audit.head").write_bytes(json.dumps(head).encode().ljust(256))


def cut(state: Path) -> None:
    """Take the end away."""
    path, lines = log_in(state)
    put(state, path, lines[:-2])


def unsigned(state: Path, *, before: bool = False) -> None:
    """Take out what was given away, and number the rest anew without signatures."""
    path, lines = log_in(state)
    made: list[bytes] = []
    touched = before
    for line in lines:
        told: dict[str, Any] = json.loads(line)
        if told["ev"] in ("reveal", "give"):
            touched = True
            continue
        if touched:
            told |= {"n": len(made) + 1, "prev": hashed(made[-1]) if made else "0" * 32, "mac": ""}
        made.append(json.dumps(told, separators=(",", ":")).encode() if touched else line)
    put(state, path, made)


def all_unsigned(state: Path) -> None:
    """The same, from the first line on."""
    unsigned(state, before=True)


def nothing(state: Path) -> None:
    """Remove the log."""
    for path in state.glob("audit*"):
        path.unlink()


def nothing_and_end(state: Path) -> None:
    """Remove the log, and what says where it ended."""
    for path in [*state.glob("*audit*")]:
        path.unlink()


def put_back(state: Path) -> None:
    """Let the log be what it really was earlier."""
    for path in (state.parent / "earlier").glob("audit*"):
        shutil.copy(path, state)


def put_back_with_end(state: Path) -> None:
    """Let another host's log be this one's, with its end, which is signed with the same key."""
    nothing_and_end(state)
    for path in (state.parent / "other").glob("*/*audit*"):
        shutil.copy(path, state)


def strip(state: Path) -> None:
    """Let host and log know nothing of an end."""
    (state / "anchor.audit").unlink()
    anchor = state / "anchor.toml"
    anchor.write_text("".join(f"{line}\n" for line in anchor.read_text().splitlines() if not line.startswith("log")))


def cut_and_stripped(state: Path) -> None:
    """Take the end away, and what says that there was one."""
    cut(state)
    strip(state)


def made_up(state: Path) -> None:
    """Write another log, as one of an earlier version under a key that nobody knows any more."""
    path, lines = log_in(state)
    made: list[bytes] = []
    for line in lines[1:-3]:
        told: dict[str, Any] = json.loads(line)
        told |= {"n": len(made) + 1, "prev": hashed(made[-1]) if made else "0" * 32}
        del told["log"]
        made.append(json.dumps(told, separators=(",", ":")).encode())
    put(state, path, made)
    strip(state)


@pytest.mark.parametrize(
    ("forge", "place"),
    [
        (cut, LINE),
        (unsigned, LINE),
        (all_unsigned, LINE),
        (nothing, LINE),
        (nothing_and_end, LINE),
        (put_back, LINE),
        (put_back_with_end, LINE),
        (cut_and_stripped, LINE),
        (made_up, LINE),
    ],
)
def test_nobody_forges_it_without_the_key(house: House, forge: Callable[[Path], None], place: str) -> None:
    """Exit 6 with the place, then and after more was written: whatever was done to the log, and however well."""
    [state] = (path.parent for path in house.state.rglob("audit.head"))
    house.run("get", "demo")
    house.run("get", "demo", MCPVAULT_STATE_DIR=str(state.parent / "other"))
    shutil.copytree(state, state.parent / "earlier")
    house.run("get", "demo", "auth.token", "--reveal")
    house.run("token", "demo")
    house.run("get", "demo")
    assert "whole: " in house.run("audit", "verify").stdout

    forge(state)

    assert place in house.run("audit", "verify", code=6).stderr
    house.run("get", "demo")
    assert place in house.run("audit", "verify", code=6).stderr


def test_a_new_log_is_begun_knowingly(house: House) -> None:
    """Moved away, it is missed until somebody with the key says that it may be; then the new one is whole."""
    [state] = (path.parent for path in house.state.rglob("audit.head"))
    (state.parent / "kept").mkdir()
    for path in state.glob("*audit*"):
        path.rename(state.parent / "kept" / path.name)
    house.run("trust", "--accept", "--yes")

    house.run("get", "demo")

    assert "whole: 3 lines since 20" in house.run("audit", "verify").stdout
    assert "trust" == json.loads(log_in(state)[1][0])["ev"]
