"""Two real git branches, ten random edits each, merged: the vault opens, verifies, and nothing is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from branches import EDITS, Repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.vault.keysources import Key
from mcpvault.vault.vaultfile import VaultFile

TEN = st.lists(st.tuples(st.integers(0, len(EDITS) - 1), st.integers(0, 11)), min_size=10, max_size=10)
QUICK = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def merged(folder: Path, ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> None:
    """Edit two branches, merge them, and compare with what both have done."""
    repository = Repository(folder)
    repository.git("branch", "start")
    for side, edits in enumerate((ours, theirs)):
        branch = f"branch{side}"
        repository.on(branch, start="start")
        for edit, number in edits:
            EDITS[edit](repository, side, number)
        repository.git("add", "-A")
        repository.git("commit", "-q", "--allow-empty", "-m", branch)
    model = repository.model
    repository.on("branch0")
    repository.git("merge", "-q", "--no-edit", "branch1")

    vault = repository.vault()
    assert {*model.tokens} == {*vault.names()}
    assert model.tokens == {name: vault.file.secret(name, "auth.token").reveal() for name in vault.names()}
    for place, text in model.notes.items():
        name, _, what = place.partition(".")
        assert text == getattr(vault.entry(name), what)
    assert {"first", *model.slots} == {slot.id for slot in vault.document.header.slots}
    for key in model.slots.values():
        path = vault.file.path
        assert "reader" == VaultFile.open(path, key=Key("text", key.text, "a reader")).role
    with vault.change() as change:
        change.set_plain("shared0", "runbook", "changed after the merge")


def test_both_sides_gave_the_vault_a_new_key(tmp_path: Path) -> None:
    """The worst that two branches can do: both rekey, remove a slot and rotate; neither side's key opens the result."""
    both = [(5, 1), (6, 1), (7, 0), (0, 1), (1, 2), (3, 1), (5, 2), (7, 1), (1, 4), (0, 2)]
    merged(tmp_path, both, both)


@settings(max_examples=2, derandomize=True, **QUICK)
@given(ours=TEN, theirs=TEN)
def test_two_branches(ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> None:
    """A few of them."""
    with tempfile.TemporaryDirectory() as folder:
        merged(Path(folder), ours, theirs)


@pytest.mark.storm
@settings(max_examples=60, **QUICK)
@given(ours=TEN, theirs=TEN)
def test_many_branches(ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> None:
    """Many of them."""
    with tempfile.TemporaryDirectory() as folder:
        merged(Path(folder), ours, theirs)
