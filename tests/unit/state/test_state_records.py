"""Era verdicts, a cache that never fails; and the active server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcpvault.errors import PermissionsError
from mcpvault.state.active import activate, active_server
from mcpvault.state.files import StateDirectory
from mcpvault.state.verdicts import FileVerdicts

KEY = "https://mcp.example.com:443/mcp"


def test_nothing_is_known_at_first(directory: StateDirectory) -> None:
    """And forgetting it makes no folder."""
    verdicts = FileVerdicts(directory)
    verdicts.forget(KEY)

    assert verdicts.get(KEY) is None
    assert not directory.path.exists()


def test_a_verdict_is_remembered_and_forgotten(directory: StateDirectory) -> None:
    """By the next process, each key for itself."""
    FileVerdicts(directory).put(KEY, "legacy")
    FileVerdicts(directory).put("other", "modern")
    assert ("legacy", "modern") == (FileVerdicts(directory).get(KEY), FileVerdicts(directory).get("other"))

    FileVerdicts(directory).put(KEY, "modern")
    FileVerdicts(directory).forget("other")

    assert ("modern", None) == (FileVerdicts(directory).get(KEY), FileVerdicts(directory).get("other"))


def test_what_is_known_is_not_written_again(directory: StateDirectory) -> None:
    """Most runs learn nothing new."""
    FileVerdicts(directory).put(KEY, "legacy")
    before = (directory.path / "eras.json").stat().st_mtime_ns

    FileVerdicts(directory).put(KEY, "legacy")

    assert before == (directory.path / "eras.json").stat().st_mtime_ns


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b'{"a": 3}', b"[" * 100_000])
def test_a_damaged_cache_knows_nothing_and_is_made_anew(directory: StateDirectory, content: bytes) -> None:
    """Whatever is wrong with it, the answer is "unknown"."""
    directory.replace("eras.json", content)
    verdicts = FileVerdicts(directory)
    assert (None, None) == (verdicts.get(KEY), verdicts.get("a"))

    verdicts.put(KEY, "modern")

    assert "modern" == verdicts.get(KEY)


def test_a_cache_that_cannot_be_read_or_written_costs_a_round_trip(directory: StateDirectory) -> None:
    """No more: neither raises."""
    directory.path.mkdir(parents=True)
    directory.path.chmod(0o755)
    verdicts = FileVerdicts(directory)

    verdicts.put(KEY, "modern")
    verdicts.forget(KEY)

    assert verdicts.get(KEY) is None


def test_the_cache_does_not_grow_for_ever(directory: StateDirectory) -> None:
    """Ten thousand servers are enough; what is known can still be forgotten."""
    full: dict[str, Any] = {str(number): "modern" for number in range(10_000)}
    directory.replace("eras.json", json.dumps(full).encode())
    verdicts = FileVerdicts(directory)

    verdicts.put(KEY, "modern")
    assert verdicts.get(KEY) is None

    verdicts.forget("0")
    verdicts.put(KEY, "modern")
    assert ("modern", None) == (verdicts.get(KEY), verdicts.get("0"))


# The active server


def test_no_server_is_active_at_first(directory: StateDirectory) -> None:
    """Asking makes no folder."""
    assert active_server(directory) is None
    assert not directory.path.exists()


def test_a_server_is_made_active_and_forgotten(directory: StateDirectory) -> None:
    """The last one counts."""
    for name in ("one", "two"):
        activate(directory, name)
    assert "two" == active_server(StateDirectory(directory.path))

    activate(directory, None)

    assert active_server(StateDirectory(directory.path)) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n"])
def test_a_blank_file_names_nobody(directory: StateDirectory, content: bytes) -> None:
    """Like none."""
    directory.replace("active", content)

    assert active_server(directory) is None


def test_activating_in_an_open_folder_is_exit_8(directory: StateDirectory) -> None:
    """No cache, this: the person wants it kept."""
    directory.path.mkdir(parents=True)
    directory.path.chmod(0o755)

    with pytest.raises(PermissionsError):
        activate(directory, "one")
