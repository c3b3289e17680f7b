"""Edits keep what they do not change: comments, order, line ends, ciphertext."""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_samples import bearer, header, sealed, slot, text, vault, version

from vault_schema import SchemaError, dump_plain, edit, new_text, parse, rewrite

Tree = dict[str, Any]
NOTES = """\
# who may change this file: ops

"""


def person_file() -> str:
    """Return a vault as a person keeps it: comments everywhere, odd layouts."""
    lines = text({"vault": header()}).splitlines()
    return (
        NOTES
        + "\n".join(lines)
        + f'''

# the one everybody uses
[servers.github]            # do not rename
url = 'https://mcp.example.com/mcp'   # prod
note = """
[servers.fake]
# not a comment
"""
[servers.github.auth]
kind="bearer"

[[servers.github.auth.token]]
v = 2
stage = "current"   # since the incident
created = "2026-07-28T09:30:00Z"
bound = [ "url.origin",   # [not.a.table]
          "https://mcp.example.com:443" ]
sealed = "{sealed()}"

[[servers.github.auth.token]]
v = 1
stage = "previous"
created = "2026-07-28T09:30:00Z"
bound = ["url.origin", "https://mcp.example.com:443"]
sealed = "{sealed(byte=9)}"

# local tools
[servers.local]
command = "npx"
args = [
    "-y",     # yes
    "everything",
]
env.LEVEL = "debug"
# trailing thought about local

# the last one
[servers."other"]
url = "https://other.example.com/"
auth = {{ kind = "bearer", token = "${{env:OTHER}}" }}
'''
    )


def changed(source: str, change: Callable[[Tree], Any], *, crlf: bool = False) -> tuple[list[str], str]:
    """Return the lines that a change of the tree removed and added, and the new text."""
    if crlf:
        source = source.replace("\n", "\r\n")
    before = parse(source).tree
    after = copy.deepcopy(before)
    change(after)
    result = rewrite(source, before, after)
    assert after == tomllib.loads(result)
    diff = difflib.unified_diff(source.splitlines(True), result.splitlines(True), n=0)
    return [line for line in diff if not line.startswith(("---", "+++", "@@"))], result


def test_nothing_changed_changes_nothing() -> None:
    """An edit that says what is there already gives the same text."""
    assert [] == changed(person_file(), lambda tree: None)[0]


def test_one_field_changes_one_line() -> None:
    """The comment behind the value stays with it."""
    lines, _ = changed(person_file(), lambda tree: tree["servers"]["github"].update(url="https://b.example.com/"))

    assert ["-url = 'https://mcp.example.com/mcp'   # prod\n", '+url = "https://b.example.com/"   # prod\n'] == lines


def test_the_header_changes_line_by_line() -> None:
    """Serial, MAC and signature are replaced in place, slots untouched."""
    lines, _ = changed(person_file(), lambda tree: tree["vault"].update(serial=43))

    assert ["-serial = 42\n", "+serial = 43\n"] == lines


def test_line_ends_are_kept() -> None:
    """A file with CRLF stays one, in what is added too."""

    def change(tree: Tree) -> None:
        tree["vault"]["serial"] = 43
        tree["servers"]["github"]["owner"] = "ops"
        tree["servers"]["new"] = bearer()

    _, result = changed(person_file(), change, crlf=True)

    assert result.count("\n") == result.count("\r\n")


def test_a_new_version_is_put_before_the_old_ones() -> None:
    """A secret that is set anew leaves the text of the older versions alone, but for their stage."""

    def change(tree: Tree) -> None:
        tokens = tree["servers"]["github"]["auth"]["token"]
        tokens[0]["stage"] = "previous"
        tokens[:] = [version(3), tokens[0]]

    lines, result = changed(person_file(), change)

    assert '-stage = "current"   # since the incident\n' in lines
    assert '+stage = "previous"   # since the incident\n' in lines
    assert f'sealed = "{sealed()}"\n' in result
    assert f'sealed = "{sealed(byte=9)}"\n' not in result
    assert 'bound = [ "url.origin",   # [not.a.table]\n' in result


def test_a_new_server_is_added_at_the_end() -> None:
    """Nothing above it moves."""
    source = person_file()

    lines, result = changed(source, lambda tree: tree["servers"].update(new=bearer()))

    assert result.startswith(source)
    assert "+[servers.new]\n" in lines


def test_a_server_goes_with_its_own_comment() -> None:
    """What stands right above a table belongs to it, what stands above the next one does not."""
    lines, result = changed(person_file(), lambda tree: tree["servers"].pop("local"))

    assert "# local tools" not in result
    assert '# the last one\n[servers."other"]' in result
    assert {"-"} == {line[0] for line in lines}


def test_a_field_is_removed_alone() -> None:
    """The neighbours of a removed field keep their comments."""
    lines, _ = changed(person_file(), lambda tree: tree["servers"]["local"]["env"].pop("LEVEL"))

    assert ['-env.LEVEL = "debug"\n'] == [line for line in lines if line.startswith("-")]


def test_a_slot_is_added() -> None:
    """The other slots keep their text."""
    lines, _ = changed(person_file(), lambda tree: tree["vault"]["slots"].append(slot("web01", "reader")))

    assert [] == [line for line in lines if line.startswith("-") and line.strip("-\n")]
    assert '+id = "web01"\n' in lines


def test_inline_tables_are_edited() -> None:
    """A secret written inline gets its versions all the same."""

    def change(tree: Tree) -> None:
        tree["servers"]["other"]["auth"]["token"] = [version()]

    _, result = changed(person_file(), change)

    assert "# who may change this file: ops" in result
    assert 'env.LEVEL = "debug"' in result


LAYOUTS = {
    "inline servers": 'servers = {{ a = {{ url = "https://a.example.com/" }} }}\n{header}',
    "dotted keys": '{header}\n[servers]\na.url = "https://a.example.com/" # prod\n',
    "a parent table": '{header}\n[servers]\n# all of them\n[servers.a]\nurl = "https://a.example.com/"\n',
    "tables apart": '{header}\n[servers.a]\nurl = "https://a.example.com/"\n[servers.b]\ncommand = "b"\n'
    "[servers.a.tls]\n",
    "spaced headers": '{header}\n [ servers . a ]\nurl = "https://a.example.com/"\n',
    "no last line end": '{header}\n[servers.a]\nurl = "https://a.example.com/"',
    "tables before the header": '[servers.a]\nurl = "https://a.example.com/"\n{header}',
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_any_layout_can_be_edited(layout: str) -> None:
    """Whatever TOML allows, the result says what was asked for."""
    source = layout.format(header=text({"vault": header()}))

    def change(tree: Tree) -> None:
        tree["vault"]["serial"] = 43
        tree["servers"]["a"]["url"] = "https://b.example.com/"
        tree["servers"]["a"]["headers"] = {"X-A": "b"}
        tree["servers"]["new"] = {"command": "npx", "env": {"A_TOKEN": "${env:T}"}}

    _, result = changed(source, change)

    assert "https://b.example.com/" == parse(result).server("a").url
    assert [] == [line for line in source.splitlines() if "#" in line and line.partition("#")[2] not in result]


def test_versions_inside_an_inline_table_are_edited() -> None:
    """Layouts that nobody writes by hand are edited as well, comments included."""
    source = person_file().replace('token = "${env:OTHER}"', "token = [ " + inline_version() + " ]")

    def change(tree: Tree) -> None:
        token = tree["servers"]["other"]["auth"]["token"]
        token[0]["stage"] = "previous"
        token.insert(0, version(2))
        tree["servers"]["local"]["env"] = {"A_TOKEN": "${env:A}", "B": [version(bound=["command", "npx"])]}

    _, result = changed(source, change)

    assert "# who may change this file: ops" in result
    assert '-y",     # yes' in result


def inline_version() -> str:
    """Return a version as an inline table."""
    return (
        "{ "
        + ", ".join(line for line in dump_plain({**version(), "bound": []}).splitlines()).replace(
            "bound = []", 'bound = ["url.origin", "https://other.example.com:443"]'
        )
        + " }"
    )


def test_slots_are_reordered_and_removed() -> None:
    """Removing keeps the others' text; another order is written as it was asked for."""
    lines, _ = changed(person_file(), lambda tree: tree["vault"]["slots"].pop(1))
    assert {"-"} == {line[0] for line in lines}

    changed(person_file(), lambda tree: tree["vault"]["slots"].reverse())


def test_a_top_level_that_is_no_vault_is_edited_whole() -> None:
    """The same function serves other TOML files of ours."""
    assert "# a\nx = 2\n" == rewrite("# a\nx = 1\n", {"x": 1}, {"x": 2})


def test_true_and_one_are_told_apart() -> None:
    """A boolean that becomes an integer is a change."""
    assert "[vault]\nn = 1\n" == rewrite("[vault]\nn = true\n", {"vault": {"n": True}}, {"vault": {"n": 1}})


def test_the_last_server_leaves_an_empty_table() -> None:
    """The tree keeps its ``servers``, so the text does too, and a server can come back."""
    lines, result = changed(text(vault(a=bearer())) + "# end\n", lambda tree: tree["servers"].clear())

    assert "+[servers]\n" in lines
    assert ("a",) == parse(changed(result, lambda tree: tree["servers"].update(a=bearer()))[1]).server_names


def test_what_a_vault_cannot_hold_is_refused() -> None:
    """An edit never writes a text that could not be read again."""
    with pytest.raises(SchemaError):
        rewrite("[vault]\nn = 1\n", {"vault": {"n": 1}}, {"vault": {"n": object()}})


def test_only_the_changed_unit_is_given_to_tomlkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of many servers an edit looks at one of them."""
    source = text(vault(**{f"s{n}": bearer() for n in range(200)}))
    seen: list[int] = []
    real = edit._edited

    def spy(chunk: str, before: Any, after: Any) -> str | None:
        seen.append(len(chunk))
        return real(chunk, before, after)

    monkeypatch.setattr(edit, "_edited", spy)
    changed(source, lambda tree: tree["servers"]["s77"].update(note="x"))

    assert 1 == len(seen)
    assert seen[0] < len(source) / 100


NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,6}", fullmatch=True)
WORDS = st.text(alphabet="ab\"'\\#[]={}\n\t é€.,", max_size=12)
ENTRY = st.fixed_dictionaries(
    {"url": st.just("https://a.example.com/")},
    optional={
        "note": WORDS,
        "owner": WORDS,
        "retries": st.integers(0, 10),
        "allow_http": st.booleans(),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B", "x.c"]), st.sampled_from(["a", "b # c", "[d]"])),
        "timeout": st.fixed_dictionaries({}, optional={"read": st.integers(1, 9), "total": st.integers(1, 9)}),
        "auth": st.sampled_from([
            {"kind": "none"},
            {"kind": "bearer", "token": "${env:T}"},
            {"kind": "bearer", "token": [version(2), version(1, "previous")]},
            {"kind": "bearer", "token": [version(3), version(2, "previous")]},
        ]),
        "x-any": st.recursive(WORDS | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["a", "b c", "#"]), inner, max_size=2), max_leaves=5),
    },
)  # fmt: skip
SERVERS = st.dictionaries(NAME, ENTRY, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SERVERS, SERVERS, st.booleans(), st.booleans())
def test_a_rewrite_says_what_was_asked_for(old: Tree, new: Tree, keep: bool, crlf: bool) -> None:
    """Any tree can become any other, and comments of untouched entries survive."""
    before = {"vault": {"serial": 1}, "servers": {**old, "kept": {"url": "https://k.example.com/"}}}
    after = {"vault": {"serial": 2}, "servers": {**(old if keep else {}), **new, "kept": before["servers"]["kept"]}}
    source = new_text(before).replace("[servers.kept]\n", "# why\n[servers.kept] # how\n")
    if crlf:
        source = source.replace("\n", "\r\n")
    before = tomllib.loads(source)

    result = rewrite(source, before, after)

    assert after == tomllib.loads(result)
    assert "# why" in result
    assert "# how" in result


def test_plain_state_is_toml() -> None:
    """A state file is what tomllib reads back."""
    assert {"a": {"b": "c\r\n"}} == tomllib.loads(dump_plain({"a": {"b": "c\r\n"}}))
