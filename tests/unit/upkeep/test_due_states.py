"""When a secret is due: the states, their order, and whose rule decides."""

from __future__ import annotations

from typing import Any

import pytest

from mcpvault.durations import moment
from mcpvault.upkeep.due import STATES, due
from vault_schema import Document

NOW = moment("2026-11-26T12:00:00Z")
CREATED = "2026-08-28T12:00:00Z"  # 90 days before


def vault(common: dict[str, str] | None = None, /, *, version: dict[str, str] | None = None, **entry: Any) -> Document:
    """Return a document with one token, made 90 days ago."""
    token = {"v": 1, "stage": "current", "created": CREATED, "bound": ["url.origin", "x"], "sealed": "-"}
    auth = {"kind": "bearer", "token": [token | (version or {})]}
    head = {
        **dict.fromkeys(("id", "mac", "root", "sig", "suite"), ""),
        **dict.fromkeys(("format", "serial", "epoch"), 1), "slots": [],
    }  # fmt: skip
    if common:
        head["policy"] = common
    return Document({"vault": head, "servers": {"s": {"url": "https://h.example/", "auth": auth, **entry}}}, "")


@pytest.mark.parametrize(
    ("state", "reason", "document"),
    [
        ("ok", None, vault()),
        ("ok", "policy", vault(policy={"max_age": "105d"})),
        ("near", "policy", vault(policy={"max_age": "104d"})),
        ("ok", "policy", vault(policy={"max_age": "104d", "warn": "1w"})),
        ("overdue", "policy", vault(policy={"max_age": "90d"})),
        ("overdue", "policy", vault({"max_age": "30d"})),
        ("ok", "policy", vault({"max_age": "30d"}, policy={"max_age": "1000d"})),
        ("near", "not_after", vault(version={"not_after": "2026-12-10T12:00:00Z"})),
        ("ok", "not_after", vault(version={"not_after": "2026-12-10T12:00:01Z"})),
        ("expired", "not_after", vault(version={"not_after": "2026-11-26T12:00:00Z"}, policy={"max_age": "1d"})),
        ("due", "slot removed", vault(version={"due": "slot removed"})),
        ("overdue", "policy", vault(version={"due": "slot removed"}, policy={"max_age": "1d"})),
        ("unknown", "a reference", vault(auth={"kind": "bearer", "token": "${env:T}"}, policy={"max_age": "1d"})),
    ],
)
def test_the_state_of_a_secret(state: str, reason: str | None, document: Document) -> None:
    """The issuer's end comes first, then the entry's policy or else the vault's, then a mark, then the warning."""
    [item] = due(document, NOW)

    assert (state, reason) == (item.state, item.reason)


def test_owner_and_runbook_come_from_the_vault_where_the_entry_is_silent() -> None:
    """So that a team says once who answers for what nobody claims."""
    [item] = due(vault({"owner": "ops", "runbook": "wiki/all"}, owner="ada"), NOW)

    assert ("ada", "wiki/all") == (item.owner, item.runbook)


def test_the_worst_comes_first() -> None:
    """Items are sorted by state, then by date, then by name."""
    tree = vault().tree
    tree["servers"] = {
        name: tree["servers"]["s"] | {"policy": {"max_age": age}}
        for name, age in (("a", "200d"), ("b", "100d"), ("c", "10d"), ("d", "20d"))
    }

    assert ["c", "d", "b", "a"] == [item.server for item in due(Document(tree, ""), NOW)]
    assert 6 == len(STATES)
