"""git and the vault: what a diff shows, what a merge refuses, and how a person gets out of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from branches import SHARED, Repository, describe, rekey

from mcpvault.rotation import journal as journals
from mcpvault.secret import Secret
from mcpvault.upkeep.audit_trail import events
from mcpvault.vault import stages
from mcpvault.vault.slots import NewSlot, RawKey


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a vault of six servers."""
    return Repository(tmp_path)


def mcpvault(repository: Repository, *words: str, code: int = 0, **env: str) -> str:
    """Run the command in the repository's surroundings and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "mcpvault", *words],
        env=repository.env | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (words, code) == (words, done.returncode), done.stdout + done.stderr
    return done.stdout + done.stderr


def note(repository: Repository, branch: str, text: str, *, name: str = "shared0") -> None:
    """Commit a note of *name* on a new branch from main."""
    repository.on(branch, start="main")
    with repository.vault().change() as change:
        change.set_plain(name, "note", text)
    repository.commit(branch)


def reader(repository: Repository) -> str:
    """Add a reader's slot to main; return its key."""
    key = RawKey.generate()
    with repository.vault().change() as change:
        change.add_slot(NewSlot.raw("cron", key, role="reader"))
    repository.commit("a reader")
    return key.text.reveal()


def test_a_diff_shows_fingerprints(repository: Repository) -> None:
    """The value that changed is named by its fingerprint, the same that ``history`` shows; never a ciphertext."""
    vault = repository.vault()
    before = vault.file.history("shared0")[0].fingerprint
    with vault.change() as change:
        change.set_secret("shared0", "auth.token", Secret("another token"))
    after = vault.file.history("shared0")[0].fingerprint

    shown = repository.git("diff", "-U20")
    assert f'+sealed = "<sealed {after}>"' in shown
    assert f'sealed = "<sealed {before}>"' in shown
    assert "mv1." not in shown
    assert "another token" not in shown


def test_a_diff_without_a_key_shows_stable_marks(repository: Repository) -> None:
    """Nobody is asked and nothing fails; only what changed has another mark, and a file in conflict is shown too."""
    with repository.vault().change() as change:
        change.set_secret("shared0", "auth.token", Secret("another token"))
    repository.env.pop("MCPVAULT_KEY_FILE")
    shown = repository.git("diff")
    assert 1 == shown.count('+sealed = "<sealed #')
    assert "shared1" not in shown
    assert "mv1." not in shown

    broken = repository.folder / "broken.toml"
    broken.write_text(f"<<<<<<< ours\n{(repository.folder / 'vault.toml').read_text()}")
    assert mcpvault(repository, "git", "textconv", str(broken)).startswith("<<<<<<< ours\n")


def test_a_merge_takes_both_sides_of_one_entry(repository: Repository) -> None:
    """A note on one side, a token on the other: one signed vault, whose serial is above both."""
    note(repository, "one", "from one")
    repository.on("two", start="main")
    with repository.vault().change() as change:
        change.set_secret("shared0", "auth.token", Secret("from two"))
    repository.commit("two")
    serial = repository.vault().document.header.serial

    repository.git("merge", "-q", "--no-edit", "one")

    vault = repository.vault()
    assert ("from one", "from two") == (
        vault.entry("shared0").note,
        vault.file.secret("shared0", "auth.token").reveal(),
    )
    assert serial + 1 == vault.document.header.serial
    [*_, told] = [each for each in events(vault.state) if each["ev"] == "change"]
    assert ({"shared0": ["note"]}, serial + 1) == (told["fields"], told["serial"])


def test_a_merge_takes_the_steps_of_a_rotation(repository: Repository) -> None:
    """Open on both sides, gone on with on one and left alone on the other: the versions come with the journal."""
    journal = journals.begin("auth.token", rotator="manual", by="me", now=0.0, grace="1h", command=())
    with repository.vault().change() as change:
        change.set_secret("shared0", "auth.token", Secret("the new one"))
        stages.write_journal(change, "shared0", journal | {"step": "grace"})
    repository.commit("in grace")
    note(repository, "one", "from one")
    repository.on("two", start="main")
    with repository.vault().change() as change:
        stages.drop(change, "shared0", "auth.token", "previous")
        stages.write_journal(change, "shared0", journal | {"step": "done"})
    repository.commit("two")
    repository.on("one")

    repository.git("merge", "-q", "--no-edit", "two")

    entry = repository.vault().entry("shared0")
    assert entry.rotation is not None
    assert ("from one", "done", 1) == (entry.note, entry.rotation.step, len(repository.vault().file.history("shared0")))


def test_the_driver_can_be_tried(repository: Repository, tmp_path: Path) -> None:
    """``--dry-run`` says how a merge would end and writes nothing."""
    files = [tmp_path / name for name in ("base", "ours", "theirs")]
    for file, text in zip(files, (None, "ours", "theirs"), strict=True):
        if text is not None:
            with repository.vault().change() as change:
                change.set_plain("shared0" if text == "ours" else "shared1", "note", text)
        file.write_bytes((repository.folder / "vault.toml").read_bytes())
    before = files[1].read_bytes()

    said = mcpvault(repository, "git", "merge-driver", *map(str, files), "--dry-run")

    assert "would merge the vault, serial 5\n" == said
    assert before == files[1].read_bytes()


def test_a_conflict_waits_for_a_person(repository: Repository) -> None:
    """Only what both changed is between markers; until it is chosen and signed nobody opens the vault."""
    note(repository, "one", "from one")
    note(repository, "two", "from two")
    with repository.vault().change() as change:
        change.set_secret("shared1", "auth.token", Secret("merged all the same"))
    repository.commit("more")

    said = repository.git("merge", "--no-edit", "one", code=1)

    assert "both sides changed servers.shared0.note" in said
    assert "mcpvault sign" in said
    text = (repository.folder / "vault.toml").read_text()
    assert 1 == text.count("<<<<<<<") == text.count(">>>>>>>")
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith(("<<<<<<<", "=======", ">>>>>>>"))]
    chosen = "".join(line for line in kept if line != 'note = "from two"\n')
    (repository.folder / "vault.toml").write_text(chosen)
    mcpvault(repository, "list", code=0)
    mcpvault(repository, "get", "shared1", "auth.token", "--reveal", code=6)
    mcpvault(repository, "sign", "--yes")
    repository.git("add", "-A")
    repository.git("commit", "-q", "--no-edit")

    vault = repository.vault()
    assert ("from one", "merged all the same") == (
        vault.entry("shared0").note,
        vault.file.secret("shared1", "auth.token").reveal(),
    )


@pytest.mark.parametrize("both", ["token", "removed", "moved"])
def test_what_else_conflicts(repository: Repository, both: str) -> None:
    """Two new values of one secret; an entry removed and changed; a value whose server moved on the other side."""
    repository.on("one", start="main")
    with repository.vault().change() as change:
        if both == "removed":
            change.remove_server("shared0")
        elif both == "moved":
            change.set_plain("shared0", "url", "https://elsewhere.example/mcp", rebind=True)
        else:
            change.set_secret("shared0", "auth.token", Secret("one"))
    repository.commit("one")
    repository.on("two", start="main")
    with repository.vault().change() as change:
        change.set_secret("shared0", "auth.token", Secret("two"))
    repository.commit("two")

    assert "servers.shared0" in repository.git("merge", "--no-edit", "one", code=1)


def test_a_reader_cannot_merge(repository: Repository) -> None:
    """The conflict stays, with the way out; an admin's second try merges it."""
    key = reader(repository)
    note(repository, "one", "from one", name="shared1")
    note(repository, "two", "from two")
    admin = repository.env.pop("MCPVAULT_KEY_FILE")

    said = repository.git("merge", "--no-edit", "one", code=1, MCPVAULT_KEY=key)

    assert "is a reader's" in said
    assert "mcpvault sign" in said
    assert "<<<<<<<" in (repository.folder / "vault.toml").read_text()
    repository.git("merge", "--abort")
    repository.git("merge", "-q", "--no-edit", "one", MCPVAULT_KEY_FILE=admin)
    repository.env["MCPVAULT_KEY_FILE"] = admin
    assert ["from two", "from one"] == [repository.vault().entry(name).note for name in SHARED[:2]]


def test_sides_of_different_roots_are_not_merged(repository: Repository) -> None:
    """One side removed an admin, who may have signed the other: no merge, exit 8, and both texts between markers."""
    key = RawKey.generate()
    with repository.vault().change() as change:
        change.add_slot(NewSlot.raw("second", key, role="admin"))
    repository.commit("another admin")
    repository.on("one", start="main")
    with repository.vault().change() as change:
        change.remove_slots(["second"])
    repository.commit("the other admin is gone")
    note(repository, "two", "from two")
    base, theirs = (repository.git("show", f"{branch}:vault.toml") for branch in ("main", "one"))
    ours = repository.folder / "vault.toml"

    said = repository.git("merge", "--no-edit", "one", code=1)

    assert "mcpvault: error: vault.root: differs between the two sides" in said
    assert "mcpvault: hint: take one of them; then: mcpvault sign; or an admin resolves it" in said
    assert "<<<<<<<" in ours.read_text()
    assert "UU vault.toml" in repository.git("status", "--porcelain")
    files = [repository.folder.parent / name for name in ("base", "ours", "theirs")]
    for file, text in zip(files, (base, repository.git("show", "two:vault.toml"), theirs), strict=True):
        file.write_text(text)
    mcpvault(repository, "git", "merge-driver", *map(str, files), "--dry-run", code=8)
    repository.git("checkout", "-q", "--theirs", "vault.toml")
    mcpvault(repository, "sign", "--yes")
    repository.git("add", "vault.toml")
    assert ["first"] == [slot.id for slot in repository.vault().document.header.slots]


def test_a_side_that_nobody_signed_is_not_merged(repository: Repository) -> None:
    """Whoever can push but not sign would otherwise have an admin vouch for it."""
    note(repository, "one", "from one", name="shared1")
    file = repository.folder / "vault.toml"
    file.write_text(file.read_text().replace("shared2.example", "evil.example"))
    repository.commit("retargeted by hand")
    note(repository, "two", "from two")

    said = repository.git("merge", "--no-edit", "one", code=1)

    assert "the MAC does not hold" in said
    mcpvault(repository, "get", "shared0", code=6)


def test_what_was_rotated_meanwhile_is_due_where_a_slot_was_removed(repository: Repository) -> None:
    """The removed reader could open the other side's new value: it is sealed under the new key and due."""
    reader(repository)
    repository.on("one", start="main")
    with repository.vault().change() as change:
        change.remove_slots(["cron"])
    repository.commit("one")
    repository.on("two", start="main")
    with repository.vault().change() as change:
        change.set_secret("shared0", "auth.token", Secret("sealed for cron too"))
    repository.commit("two")

    repository.git("merge", "-q", "--no-edit", "one")

    vault = repository.vault()
    assert "sealed for cron too" == vault.file.secret("shared0", "auth.token").reveal()
    assert ["first"] == [slot.id for slot in vault.document.header.slots]
    due = {version["due"] for version in vault.document.tree["servers"]["shared0"]["auth"]["token"]}
    assert {"slot removed"} == due


def test_installing_says_what_it_does_and_does_it_once(tmp_path: Path, repository: Repository) -> None:
    """A second time there is nothing to do; outside of a repository it is exit 8."""
    folder = repository.folder
    repository.git("config", "--unset", "merge.mcpvault.driver")
    assert "would change git config merge.mcpvault.driver\n" == mcpvault(repository, "git", "install", "--dry-run")
    assert "run: mcpvault git install" in mcpvault(repository, "doctor", "--offline")
    first = mcpvault(repository, "git", "install")
    assert "git shows fingerprints" in mcpvault(repository, "doctor", "--offline")
    assert "changed git config merge.mcpvault.driver" in first
    assert "nothing to do\n" == mcpvault(repository, "git", "install")
    assert "vault.toml diff=mcpvault merge=mcpvault\n" == (folder / ".gitattributes").read_text()
    assert "vault.toml.prev" in (folder / ".gitignore").read_text().splitlines()
    assert "" == repository.git("status", "--porcelain")

    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "vault.toml").write_bytes((folder / "vault.toml").read_bytes())
    ceiling = os.fspath(tmp_path)
    words = ("git", "install", "--vault", str(elsewhere / "vault.toml"))
    assert "no git work tree" in mcpvault(repository, *words, code=8, GIT_CEILING_DIRECTORIES=ceiling)


def test_what_git_keeps_and_should_not_is_named(repository: Repository) -> None:
    """A committed previous generation makes a merge fail after a rekey: the command that mends it is told."""
    folder = repository.folder
    assert (folder / "vault.toml.prev").exists()
    (folder / ".vault.toml.tmp.1").touch()
    (folder / "other.toml.prev").touch()
    repository.git("add", "-f", "vault.toml.prev", ".vault.toml.tmp.1", "other.toml.prev")
    repository.git("commit", "-q", "-m", "too much")

    remedy = f"git -C {folder} rm --cached -- .vault.toml.tmp.1 vault.toml.prev"
    kept = "git keeps .vault.toml.tmp.1, vault.toml.prev"
    assert f"{kept}, which is this host's alone; run: {remedy}; then" in mcpvault(repository, "git", "install")
    assert f"run: {remedy}; then commit that" in mcpvault(repository, "doctor", "--offline")
    told, _ = json.JSONDecoder().raw_decode(mcpvault(repository, "git", "install", "--json"))
    assert [".vault.toml.tmp.1", "vault.toml.prev"] == told["tracked"]

    subprocess.run(shlex.split(remedy), env=repository.env, check=True, capture_output=True)
    repository.git("commit", "-q", "-m", "as it should be")

    assert "nothing to do\n" == mcpvault(repository, "git", "install")
    assert "git keeps" not in mcpvault(repository, "doctor", "--offline")
    repository.on("one", start="main")
    rekey(repository, 0, 0)
    repository.commit("one")
    repository.on("two", start="main")
    describe(repository, 0, 0)
    repository.commit("two")
    repository.git("merge", "-q", "--no-edit", "one")
