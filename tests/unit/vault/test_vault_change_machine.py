"""Random sequences of changes, held to a plain dict after each reopening."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import vault_samples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from vault_samples import Remembered, tree

from mcpvault.errors import BindingMismatchError, ConfigurationError, VaultChangedError
from mcpvault.secret import Secret
from mcpvault.vault.slots import NewSlot, RawKey

NAMES = st.sampled_from(["a", "A", "web", "tool-1", "x_2"])
SECRETS = {"http": ["auth.token", "headers.X-Api-Key", "headers.X-Odd"], "stdio": ["env.DB_PASSWORD", "env.PLAIN"]}
PLACES = {
    "http": [
        ("url", f"{host}/mcp") for host in ("https://one.example", "https://one.example:8443", "http://127.0.0.1")
    ],
    "stdio": [("command", "one"), ("command", "other"), ("args", []), ("args", ["--ro"]), ("args", ["--rw", "x"])],
}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="$"), max_size=9)
PLAIN = st.one_of(
    st.tuples(st.sampled_from(["note", "owner"]), WORDS),
    st.tuples(st.sampled_from(["retries", "timeout.total", "timeout.read"]), st.integers(1, 10)),
    st.tuples(st.just("era"), st.sampled_from(["auto", "modern", "legacy"])),
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
CONTROL = frozenset(map(chr, [*range(9), 11, 12, *range(14, 32), 127]))

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # it waits for the disk
Model = dict[str, dict[str, Any]]


class Stop(Exception):
    """Somebody's own exception inside of a change."""


class Changes(RuleBasedStateMachine):
    """A vault, and what a dict says that it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mcpvault-machine-"))
        self.made = vault_samples.empty(self.folder)
        self.anchor = Remembered()
        self.vault = self.made.open(anchor=self.anchor)
        self.model: Model = {}
        self.serial = 1
        self.keys = [self.made.admin, self.made.reader]
        self.stale = self.made.open()
        self.stale_serial = 1

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    # What is done

    def entry(self, data: st.DataObject) -> tuple[str, dict[str, Any]]:
        """Choose an entry that is there."""
        name = data.draw(st.sampled_from(sorted(self.model)), label="name")
        return name, self.model[name]

    @rule(name=NAMES, kind=st.sampled_from(["http", "stdio"]))
    def add(self, name: str, kind: str) -> None:
        """Add an entry; a name that differs in case only is taken."""
        table = dict([PLACES[kind][0]])
        if name.lower() in {each.lower() for each in self.model}:
            with pytest.raises(ConfigurationError), self.vault.change() as change:
                change.add_server(name, table)
            return
        with self.vault.change() as change:
            change.add_server(name, table)
        self.model[name] = {"kind": kind, "plain": dict(table), "secrets": {}}
        self.serial += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Remove an entry."""
        name, _ = self.entry(data)
        with self.vault.change() as change:
            change.remove_server(name)
        del self.model[name]
        self.serial += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data(), text=TEXTS, stage=st.sampled_from(["current", "pending"]))
    def seal(self, data: st.DataObject, text: str, stage: str) -> None:
        """Seal a new version; the old ciphertexts stay."""
        name, entry = self.entry(data)
        field = data.draw(st.sampled_from(SECRETS[entry["kind"]]), label="field")
        held: dict[str, str] = entry["secrets"].get(field, {})
        before = self.lines()
        if stage == "pending" and not held:
            with pytest.raises(ConfigurationError), self.vault.change() as change:
                change.set_secret(name, field, Secret(text), stage=stage)
            return
        with self.vault.change() as change:
            if field == "auth.token":
                change.set_plain(name, "auth.kind", "bearer")
            change.set_secret(name, field, Secret(text), stage=stage)
        gone = {"pending"} if stage == "pending" else {"previous"}
        new = {key: value for key, value in held.items() if key not in gone}
        if stage == "current" and "current" in held:
            new["previous"] = held["current"]
        entry["secrets"][field] = {**new, stage: text}
        self.serial += 1
        after = self.lines()
        fresh = [key for key, line in after.items() if line not in before.values()]
        assert [(name, field, stage)] == fresh

    @precondition(lambda self: self.model)
    @rule(data=st.data(), field_and_value=PLAIN)
    def write(self, data: st.DataObject, field_and_value: tuple[str, Any]) -> None:
        """Set a plain field; the same value again writes nothing, a control character is refused."""
        name, entry = self.entry(data)
        field, value = field_and_value
        before = self.lines()
        if isinstance(value, str) and not CONTROL.isdisjoint(value):
            with pytest.raises(ConfigurationError), self.vault.change() as change:
                change.set_plain(name, field, value)
            return
        with self.vault.change() as change:
            change.set_plain(name, field, value)
        self.serial += entry["plain"].get(field) != value
        entry["plain"][field] = value
        assert before == self.lines()

    @precondition(lambda self: any(len(entry["plain"]) > 2 for entry in self.model.values()))
    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        """Take a plain field away."""
        names = sorted(name for name, entry in self.model.items() if len(entry["plain"]) > 2)
        entry = self.model[name := data.draw(st.sampled_from(names), label="name")]
        fields = sorted(entry["plain"].keys() - {"url", "command", "args"})
        if not fields:
            return
        field = data.draw(st.sampled_from(fields), label="field")
        before = self.lines()
        with self.vault.change() as change:
            change.unset(name, field)
        del entry["plain"][field]
        self.serial += 1
        assert before == self.lines()

    @precondition(lambda self: any(entry["secrets"] for entry in self.model.values()))
    @rule(data=st.data())
    def refer(self, data: st.DataObject) -> None:
        """Put a reference in place of a sealed value."""
        name = data.draw(st.sampled_from(sorted(name for name, entry in self.model.items() if entry["secrets"])))
        entry = self.model[name]
        field = data.draw(st.sampled_from(sorted(entry["secrets"])), label="field")
        before = self.lines()
        with self.vault.change() as change:
            change.set_plain(name, field, "${env:X}")
        del entry["secrets"][field]
        self.serial += 1
        assert {key: line for key, line in before.items() if key[:2] != (name, field)} == self.lines()

    @precondition(lambda self: self.model)
    @rule(data=st.data(), rebind=st.booleans())
    def move(self, data: st.DataObject, rebind: bool) -> None:
        """Change what secrets are bound to: they follow knowingly, or nothing happens."""
        name, entry = self.entry(data)
        field, value = data.draw(st.sampled_from(PLACES[entry["kind"]]), label="place")
        old = entry["plain"].get(field, [] if field == "args" else None)
        before, moved = self.lines(), old != value and entry["secrets"]
        if moved and not rebind:
            with pytest.raises(BindingMismatchError), self.vault.change() as change:
                change.set_plain(name, field, value)
            return
        with self.vault.change() as change:
            change.set_plain(name, field, value, rebind=rebind)
        self.serial += field not in entry["plain"] or old != value
        entry["plain"][field] = value
        after = self.lines()
        assert before.keys() == after.keys()
        assert [bool(moved and key[0] == name) for key in before] == [before[key] != after[key] for key in before]

    # What must not happen

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        """Fail in the middle of a change: nothing of it is written."""
        name, _ = self.entry(data)
        with pytest.raises(Stop), self.vault.change() as change:
            change.remove_server(name)
            raise Stop

    @rule()
    def try_only(self) -> None:
        """Make a dry run: nothing of it is written."""
        with self.vault.change(dry_run=True) as change:
            change.set_allow_commands(True)

    @rule()
    def be_late(self) -> None:
        """Change what was opened a while ago: exit 7 if somebody has written since."""
        if self.stale_serial == self.serial:
            return
        with pytest.raises(VaultChangedError) as caught, self.stale.change() as change:
            change.set_allow_commands(True)
        assert 7 == caught.value.exit_code
        self.stale, self.stale_serial = self.made.open(), self.serial

    @precondition(lambda self: len(self.keys) < 4)
    @rule()
    def let_in(self) -> None:
        """Add a slot, whose key opens everything from now on."""
        key = RawKey.generate()
        before = self.lines()
        with self.vault.change() as change:
            change.add_slot(NewSlot.raw(f"slot{len(self.keys)}", key, role="reader"))
        self.keys.append(vault_samples.text_key(key))
        self.serial += 1
        assert before == self.lines()

    # What must hold

    def lines(self) -> dict[tuple[str, str, str], str]:
        """Return every sealed line of the file: entry, field and stage to text."""
        return {
            (name, f"{table}.{leaf}", version["stage"]): version["sealed"]
            for name, entry in tree(self.made.path).get("servers", {}).items()
            for table, held in entry.items()
            if isinstance(held, dict)
            for leaf, versions in held.items()
            if isinstance(versions, list)
            for version in versions
        }

    @invariant()
    def the_file_says_what_the_model_says(self) -> None:
        """Reopened with one key after the other: serial, entries, fields and every version of every secret."""
        vault = self.made.open(key=self.keys[self.serial % len(self.keys)])
        assert self.serial == vault.document.header.serial
        assert list(self.model) == list(vault.document.server_names)
        for name, entry in self.model.items():
            table = vault.table(name)
            for field, value in entry["plain"].items():
                head, _, leaf = field.partition(".")
                assert value == (table[head][leaf] if leaf else table[head])
            assert sorted(entry["secrets"]) == sorted(vault.sealed_fields(name))
            for field, stages in entry["secrets"].items():
                shown = {stage: vault.secret(name, field, stage=stage).reveal() for stage in stages}
                assert stages == shown
        assert sum(len(s) for e in self.model.values() for s in e["secrets"].values()) == len(self.lines())
        assert self.anchor.records["alice"]["serial"] == self.serial


def test_changes_agree_with_a_dict() -> None:
    """Whatever is done in whatever order, the reopened vault holds what a dict would hold."""
    run_state_machine_as_test(Changes, settings=settings(SLOW, max_examples=12, stateful_step_count=12))


@pytest.mark.storm
def test_a_storm_of_changes_agrees_with_a_dict() -> None:
    """The same for long, with long histories."""
    run_state_machine_as_test(Changes, settings=settings(SLOW, max_examples=150, stateful_step_count=40))
