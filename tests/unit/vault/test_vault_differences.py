"""What a person is shown before signing: all that changed, what can do harm marked, no secret."""

from __future__ import annotations

from typing import Any

import pytest
from vault_samples import Made, done, tree

from mcpvault.secret import Secret
from mcpvault.vault.differences import Difference, differences


def shown(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the lines that a person sees."""
    return [str(each) for each in differences(before, after)]


def entry(**fields: Any) -> dict[str, Any]:
    """Return a tree of one entry."""
    return {"servers": {"web": fields}}


def test_equal_trees_do_not_differ(made: Made) -> None:
    """Nor does a file that was only written again: serial, MAC and signature are its own business."""
    before = tree(made.path)
    after = {**before, "vault": {**before["vault"], "serial": 99, "mac": "x", "sig": "y"}}

    assert [] == differences(before, before)
    assert [] == differences(before, after)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({}, {"note": "n"}, "  + servers.web.note = 'n'"),
        ({"note": "n"}, {}, "  - servers.web.note (was 'n')"),
        ({"note": "n"}, {"note": "m"}, "  ~ servers.web.note: 'n' -> 'm'"),
        ({"retries": 1}, {"retries": 2}, "  ~ servers.web.retries: 1 -> 2"),
        ({"x-a": {"b": {"c": 1}}}, {"x-a": {"b": {"c": True}}}, "  ~ servers.web.x-a.b.c: 1 -> True"),
        ({"x-a": [{"b": 1}, {"b": 2}]}, {"x-a": [{"b": 3}, {"b": 2}]}, "  ~ servers.web.x-a[0].b: 1 -> 3"),
        ({"args": ["a"]}, {"args": ["a", "b"]}, "! ~ servers.web.args: ['a'] -> ['a', 'b']"),
        ({"url": "https://a"}, {"url": "https://b"}, "! ~ servers.web.url: 'https://a' -> 'https://b'"),
    ],
)
def test_each_difference_is_a_line(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    """Added, removed and changed, at any depth, with types told apart."""
    assert [line] == shown(entry(**before), entry(**after))


def test_the_order_is_that_of_the_file() -> None:
    """What was removed comes last."""
    before, after = entry(note="n", owner="o"), entry(url="https://a", owner="p")

    assert ["servers.web.url", "servers.web.owner", "servers.web.note"] == [
        each.path for each in differences(before, after)
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://b"},
        {"command": "c"},
        {"args": ["a"]},
        {"cwd": "/srv"},
        {"approved": True},
        {"allow_http": True},
        {"allow_private_hosts": ["a"]},
        {"note": '${cmd:["id"]}'},
        {"headers": {"X-A": "${file:/etc/passwd}"}},
        {"proxies": {"https": "http://proxy.example:3128"}},
        {"tls": {"ca_file": "/tmp/ca.pem"}},
        {"env": {"LD_PRELOAD": "/tmp/x.so"}},
        {"credential": "other"},
        {"auth": {"issuer": "https://evil.example"}},
        {"auth": {"idp_token_endpoint": "https://evil.example/token"}},
        {"auth": {"redirect_uri": "https://evil.example/callback"}},
        {"auth": {"assume_pkce_s256": True}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_sends_a_secret_elsewhere_or_runs_a_program_is_marked(fields: dict[str, Any]) -> None:
    """A reader of the list must not miss it."""
    [difference] = differences(entry(), entry(**fields))

    assert difference.alarming
    assert str(difference).startswith("! + ")


@pytest.mark.parametrize(
    "fields", [{"note": "n"}, {"headers": {"X-A": "1"}}, {"retries": 3}, {"policy": {"warn": "7d"}}]
)
def test_what_does_no_harm_is_not_marked(fields: dict[str, Any]) -> None:
    """A mark on everything would be a mark on nothing; a whole entry that goes takes its dangers along."""
    assert [False] == [each.alarming for each in differences(entry(), entry(**fields))]
    assert [False] == [each.alarming for each in differences(entry(**fields), entry())]
    assert [False] == [each.alarming for each in differences(entry(url="https://a"), {"servers": {}})]


@pytest.mark.parametrize(
    "fields", [{"approved": False}, {"auth": {"issuer": "https://a"}}, {"proxies": {"https": ""}}, {"args": ["--ro"]}]
)
def test_a_restriction_that_goes_is_marked(fields: dict[str, Any]) -> None:
    """Without ``approved = false`` a command runs, without an issuer discovery decides: the default is no less."""
    [difference] = differences(entry(**fields), entry(note="n"))[1:]

    assert difference.alarming
    assert str(difference).startswith("! - ")


def test_the_header_is_always_marked(made: Made) -> None:
    """Slots, root and switches of the vault itself."""
    before = tree(made.path)
    slots = [*before["vault"]["slots"], {**before["vault"]["slots"][0], "id": "mallory"}]
    after = {**before, "vault": {**before["vault"], "allow_commands": True, "slots": slots}}

    lines = shown(before, after)

    assert "! + vault.slots[mallory] = <admin slot, raw, key " in lines[0]
    assert "! + vault.allow_commands = True" == lines[1]


def test_sealed_values_show_as_what_they_are(made: Made) -> None:
    """Version, stage, what they are for and the end of the ciphertext; never a value."""
    before = tree(made.path)
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("second-token")))

    lines = shown(before, tree(made.path))

    assert ["  ~ servers.web.auth.token[1]", "  + servers.web.auth.token[2]"] == sorted(
        (line.partition(" = ")[0].partition(": ")[0] for line in lines), key=lambda line: line[-2]
    )
    assert any("<sealed v2 current for https://mcp.example.com:443 …" in line for line in lines)
    assert [] == [line for line in lines if "second-token" in line or "web-token" in line]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("created", "the same, but for created"),
        ("not_after", "the same, but for not_after"),
    ],
)
def test_what_the_summary_of_a_sealed_value_leaves_out_is_named(made: Made, place: str, line: str) -> None:
    """An age that was changed by hand would hide what is due."""
    before, after = tree(made.path), tree(made.path)
    after["servers"]["web"]["auth"]["token"][0][place] = "2030-01-01T00:00:00Z"

    [difference] = differences(before, after)

    assert line == difference.after
    assert not difference.alarming


@pytest.mark.parametrize("place", ["box", "pin", "salt"])
def test_what_the_summary_of_a_slot_leaves_out_is_named(made: Made, place: str) -> None:
    """Another box shuts somebody out."""
    before, after = tree(made.path), tree(made.path)
    after["vault"]["slots"][1][place] = "A" * 43

    [difference] = differences(before, after)

    assert f"the same, but for {place}" == difference.after
    assert difference.alarming


def test_a_difference_can_be_asked() -> None:
    """Its facts are attributes, for ``--json``."""
    [difference] = differences(entry(), entry(note="n"))

    assert Difference(path="servers.web.note", before=None, after="'n'", alarming=False) == difference


def test_a_new_entry_is_shown_field_by_field() -> None:
    """Everything it says, so that nobody signs a name only."""
    lines = shown({}, entry(url="https://a", auth={"kind": "bearer", "token": "${env:T}"}))

    assert 3 == len(lines)
