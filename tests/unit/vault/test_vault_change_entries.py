"""What a change does to entries, their plain fields and the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vault_samples import NOON, TOOL, WEB, Edit, Made, done, filled, refused, sealed_lines, tree, versions

from mcpvault.errors import (
    BindingMismatchError,
    ConfigurationError,
    LiteralSecretError,
    UnknownFieldError,
    UnknownServerError,
)
from mcpvault.secret import Secret
from mcpvault.vault.change import Change
from mcpvault.vault.slots import HostIdentity, NewSlot, RawKey

# Entries


def test_an_added_entry_is_there(made: Made) -> None:
    """At the end, as it was given; the caller's table is not kept hold of."""
    table: dict[str, Any] = {"url": "https://a.example/mcp", "headers": {"X-A": "1"}}
    with made.open().change() as change:
        change.add_server("more", table)
        table["headers"]["X-A"] = "2"

    assert ("web", "tool", "more") == made.open().document.server_names
    assert {"X-A": "1"} == dict(made.open().entry("more").headers)


def test_the_first_entry_of_a_vault(tmp_path: Path) -> None:
    """A vault without a ``servers`` table gets one, and loses it with its last entry or keeps it empty."""
    made = filled(tmp_path)
    with made.open().change() as change:
        change.remove_server("web")
        change.remove_server("tool")

    assert () == made.open().document.server_names
    with made.open().change() as change:
        change.add_server("again", TOOL)
    assert ("again",) == made.open().document.server_names


@pytest.mark.parametrize("name", ["web", "WEB", "Web"])
def test_names_are_unique_regardless_of_case(made: Made, name: str) -> None:
    """Two entries that differ in case only would be taken for each other."""
    error = refused(made, lambda change: change.add_server(name, TOOL), ConfigurationError)

    assert f"servers.{name}: there is a server 'web' already" in error.message


@pytest.mark.parametrize("name", ["a.b", "a b", "-a", "", "x" * 65, "ä"])
def test_a_name_that_the_format_refuses_is_exit_8(made: Made, name: str) -> None:
    """The judgement is the schema's; nothing is written."""
    refused(made, lambda change: change.add_server(name, TOOL), ConfigurationError)


def test_a_literal_secret_is_not_let_in(made: Made) -> None:
    """A token in clear in a secret field is refused before anything is written, and not quoted."""
    table = {"url": WEB["url"], "auth": {"kind": "bearer", "token": "in-clear-in-clear"}}

    error = refused(made, lambda change: change.add_server("more", table), LiteralSecretError)

    assert "in-clear" not in f"{error.message} {error.hint}"


@pytest.mark.parametrize(
    "edit",
    [
        lambda change: change.remove_server("wen"),
        lambda change: change.set_plain("wen", "note", "x"),
        lambda change: change.set_secret("wen", "auth.token", Secret("x")),
        lambda change: change.unset("wen", "note"),
    ],
    ids=["remove", "set_plain", "set_secret", "unset"],
)
def test_an_unknown_entry_is_exit_8(made: Made, edit: Edit) -> None:
    """With the nearest name."""
    assert "did you mean 'web'?" == refused(made, edit, UnknownServerError).hint


def test_a_removed_entry_is_gone_with_its_secrets(made: Made) -> None:
    """No sealed line of it is left in the file."""
    lines = sealed_lines(made.path.read_text())
    done(made, lambda change: change.remove_server("web"))

    assert ("tool",) == made.open().document.server_names
    assert lines[1:] == sealed_lines(made.path.read_text())


def test_an_entry_removed_and_added_again_starts_anew(made: Made) -> None:
    """In one change, too."""

    def edit(change: Change) -> None:
        change.remove_server("web")
        change.add_server("web", WEB)
        change.set_secret("web", "auth.token", Secret("fresh"))

    assert Secret("fresh") == done(made, edit).secret("web", "auth.token")
    assert [1] == [version["v"] for version in versions(made)]


def test_a_replaced_entry_keeps_what_it_is_told_to(made: Made) -> None:
    """Versions of the kept fields go on, so that the next secret makes the old one ``previous``."""

    def edit(change: Change) -> None:
        change.replace_server("web", {**WEB, "note": "replaced"}, keep=["auth.token"])
        change.set_secret("web", "auth.token", Secret("second"))

    vault = done(made, edit)

    assert "replaced" == vault.entry("web").note
    assert Secret("web-token") == vault.secret("web", "auth.token", stage="previous")


# Plain fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note", "text"),
        ("retries", 3),
        ("allow_http", True),
        ("headers.X-Api-Version", "2026-01-01"),
        ("headers.X-Api-Key", "${env:KEY}"),
        ("timeout.total", 60),
        ("allow_private_hosts", ["a.example"]),
        ("auth.scheme", ""),
    ],
)
def test_a_plain_field_is_set_and_taken_away(made: Made, field: str, value: object) -> None:
    """Of any type, with its table where it needs one; without it the entry is as before."""
    before = tree(made.path)["servers"]
    head, _, leaf = field.partition(".")

    held = done(made, lambda change: change.set_plain("web", field, value)).table("web")[head]
    assert value == (held[leaf] if leaf else held)

    done(made, lambda change: change.unset("web", field))
    assert before == tree(made.path)["servers"]


def test_a_reference_takes_the_place_of_a_sealed_value(made: Made) -> None:
    """The versions are gone: they are of no use any more."""
    done(made, lambda change: change.set_plain("web", "auth.token", "${env:TOKEN}"))

    assert "${env:TOKEN}" == tree(made.path)["servers"]["web"]["auth"]["token"]


def test_a_sealed_value_takes_the_place_of_a_reference(made: Made) -> None:
    """It is version 1."""
    done(made, lambda change: change.set_plain("web", "auth.token", "${env:TOKEN}"))

    assert Secret("s") == done(made, lambda c: c.set_secret("web", "auth.token", Secret("s"))).secret(
        "web", "auth.token"
    )
    assert [1] == [version["v"] for version in versions(made)]


@pytest.mark.parametrize("field", ["url.x", "url.x.y", "args.0"])
def test_there_is_nothing_below_a_text(made: Made, field: str) -> None:
    """The field is named."""
    server = "tool" if field.startswith("args") else "web"

    refused(made, lambda change: change.set_plain(server, field, "v"), UnknownFieldError)


@pytest.mark.parametrize("field", ["note", "headers.X-A", "auth.value", "url.x", "nothing.at.all"])
def test_what_is_not_set_cannot_be_taken_away(made: Made, field: str) -> None:
    """The path is named."""
    error = refused(made, lambda change: change.unset("web", field), UnknownFieldError)

    assert f"servers.web.{field}: is not set" == error.message


def test_what_an_entry_needs_cannot_be_taken_away(made: Made) -> None:
    """The schema judges what is left."""
    assert "auth.token" in refused(made, lambda c: c.unset("web", "auth.token"), ConfigurationError).message


@pytest.mark.parametrize(("server", "field"), [("web", "url"), ("tool", "command"), ("tool", "args")])
def test_what_secrets_are_bound_to_cannot_be_taken_away(made: Made, server: str, field: str) -> None:
    """Otherwise the file would be signed with values that open nowhere."""
    error = refused(made, lambda change: change.unset(server, field), BindingMismatchError)

    assert f"mcpvault set {server} {field}" in (error.hint or "")


def test_arguments_to_which_nothing_is_bound_can_be_taken_away(made: Made) -> None:
    """Without sealed values there is nothing to ask."""

    def edit(change: Change) -> None:
        change.unset("tool", "env.DB_PASSWORD")
        change.unset("tool", "args")

    assert () == done(made, edit).entry("tool").args


# The header


def test_a_new_slot_opens_the_vault(made: Made) -> None:
    """With a pin where we hold its key; others' slots stay as they are."""
    key, host = RawKey.generate(), HostIdentity.generate()

    def edit(change: Change) -> None:
        change.add_slot(NewSlot.raw("bob", key, role="reader"))
        change.add_slot(NewSlot.recipient("web01", host.public))

    before = tree(made.path)["vault"]["slots"]
    done(made, edit)
    slots = tree(made.path)["vault"]["slots"]

    assert before == slots[:2]
    assert [("bob", True), ("web01", False)] == [(slot["id"], "pin" in slot) for slot in slots[2:]]
    assert "2026-07-28T12:00:00Z" == slots[2]["created"]


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_a_slot_name_is_used_once(made: Made, name: str) -> None:
    """Regardless of case."""
    error = refused(made, lambda change: change.add_slot(NewSlot.raw(name, RawKey.generate())), ConfigurationError)

    assert "there is a slot 'alice' with that name" in error.message


def test_a_key_has_one_slot(made: Made) -> None:
    """The same public key twice would make it unclear which role it has."""
    host = HostIdentity.generate()
    done(made, lambda change: change.add_slot(NewSlot.recipient("one", host.public)))

    error = refused(made, lambda change: change.add_slot(NewSlot.recipient("two", host.public)), ConfigurationError)

    assert "there is a slot 'one' with that key" in error.message


def test_commands_are_allowed_and_forbidden(made: Made) -> None:
    """It is part of what is signed."""
    assert done(made, lambda change: change.set_allow_commands(True)).document.header.allow_commands
    assert not done(made, lambda change: change.set_allow_commands(False)).document.header.allow_commands


def test_the_time_is_the_vaults_clock(made: Made) -> None:
    """So that a host with a wrong clock is seen."""
    with made.open(now=lambda: NOON - 86_400).change() as change:
        change.set_secret("web", "auth.token", Secret("two"))

    assert "2026-07-27T12:00:00Z" == versions(made)[0]["created"]
