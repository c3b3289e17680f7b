"""One change of a vault: when it is written, and what of the text stays."""

from __future__ import annotations

import os

import pytest
from vault_samples import WEB, Edit, Made, Remembered, done, sealed_lines

from mcpvault.errors import (
    ConfigurationError,
    RoleError,
    VaultChangedError,
)
from mcpvault.secret import Secret
from mcpvault.vault.change import Change

# Writing


def test_a_change_raises_the_serial_by_one_and_verifies(made: Made) -> None:
    """The written file opens for every slot, and the vault object goes on with it."""
    vault = made.open()
    with vault.change() as change:
        change.set_plain("web", "note", "hello")

    assert (3, "hello") == (vault.document.header.serial, vault.entry("web").note)
    for key in (made.admin, made.reader):
        assert (3, "hello") == (made.open(key=key).document.header.serial, made.open(key=key).entry("web").note)
    assert change.text == made.path.read_text()


def test_one_object_changes_again_and_again(made: Made) -> None:
    """Each change starts from what the last one wrote."""
    vault = made.open()
    for text in ("one", "two", "three"):
        with vault.change() as change:
            change.set_plain("web", "note", text)

    assert (5, "three") == (made.open().document.header.serial, made.open().entry("web").note)


def test_several_edits_are_one_write(made: Made) -> None:
    """The serial counts writes, not edits."""

    def edit(change: Change) -> None:
        change.set_plain("web", "note", "a")
        change.set_plain("tool", "note", "b")
        change.remove_server("tool")

    assert 3 == done(made, edit).document.header.serial


@pytest.mark.parametrize(
    "edit",
    [lambda change: None, lambda change: change.set_plain("web", "url", WEB["url"])],
    ids=["no edit", "the same value"],
)
def test_nothing_changed_is_nothing_written(made: Made, edit: Edit) -> None:
    """The file keeps its bytes, its serial and its time."""
    before = (made.path.read_bytes(), made.path.stat().st_mtime_ns)

    done(made, edit)

    assert before == (made.path.read_bytes(), made.path.stat().st_mtime_ns)


def test_an_exception_in_the_block_writes_nothing(made: Made) -> None:
    """Neither the file nor the object changes."""
    vault, before = made.open(), made.path.read_bytes()
    with pytest.raises(ZeroDivisionError), vault.change() as change:
        change.set_plain("web", "note", "half")
        raise ZeroDivisionError

    assert before == made.path.read_bytes()
    assert vault.entry("web").note is None


def test_the_document_is_copied_before_it_is_edited(made: Made) -> None:
    """What others hold of the open vault stays as it was verified."""
    vault = made.open()
    table = vault.table("web")
    with vault.change(dry_run=True) as change:
        change.set_plain("web", "note", "new")
        change.set_secret("web", "auth.token", Secret("new"))
        change.add_server("more", {"url": WEB["url"]})
        change.set_allow_commands(True)

    assert "note" not in table
    assert 1 == len(table["auth"]["token"])
    assert ("web", "tool") == vault.document.server_names
    assert not vault.document.header.allow_commands


def test_a_dry_run_judges_and_writes_nothing(made: Made) -> None:
    """``text`` is what would have been written; no lock is taken."""
    before, files = made.path.read_bytes(), sorted(os.listdir(made.path.parent))
    vault = made.open()
    with vault.change(dry_run=True) as change:
        change.set_plain("web", "note", "hello")

    assert 'note = "hello"' in change.text
    assert before == made.path.read_bytes()
    assert files == sorted(os.listdir(made.path.parent))
    assert vault.entry("web").note is None
    with pytest.raises(ConfigurationError, match=r"servers\.web\.retries"), vault.change(dry_run=True) as change:
        change.set_plain("web", "retries", 99)


def test_a_reader_changes_nothing(made: Made) -> None:
    """Not even in a dry run; the hint is an admin."""
    for dry_run in (False, True):
        with (
            pytest.raises(RoleError, match="slot 'cron' is a reader's") as caught,
            made.open(key=made.reader).change(dry_run=dry_run),
        ):
            raise AssertionError("a reader got in")
        assert 8 == caught.value.exit_code


def test_a_stale_vault_is_exit_7(made: Made) -> None:
    """Who read before somebody else wrote does not overwrite him."""
    mine, yours = made.open(), made.open()
    with yours.change() as change:
        change.set_plain("web", "note", "yours")

    with pytest.raises(VaultChangedError, match="changed since it was read") as caught, mine.change() as change:
        change.set_plain("web", "note", "mine")

    assert (7, "try again") == (caught.value.exit_code, caught.value.hint)
    assert "yours" == made.open().entry("web").note


def test_even_a_changed_comment_is_a_change_underneath(made: Made) -> None:
    """The comparison is by bytes: a person's edit of a comment is not lost."""
    vault = made.open()
    made.path.write_text("# a comment\n" + made.path.read_text())

    with pytest.raises(VaultChangedError), vault.change() as change:
        change.set_plain("web", "note", "mine")

    assert made.path.read_text().startswith("# a comment\n")


def test_the_anchor_follows_what_was_written(made: Made) -> None:
    """After the replace, not before."""
    anchor = Remembered()
    vault = made.open(anchor=anchor)
    with vault.change() as change:
        change.set_plain("web", "note", "new")
        assert 2 == anchor.records["alice"]["serial"]

    assert 3 == anchor.records["alice"]["serial"]


def test_the_previous_generation_is_the_one_before(made: Made) -> None:
    """What was replaced is kept beside the file."""
    before = made.path.read_bytes()
    done(made, lambda change: change.set_plain("web", "note", "new"))

    assert before == made.path.with_name("vault.toml.prev").read_bytes()


# What stays


COMMENTED = """# our vault, ask the platform team

{head}
# ------- the web -------
[servers.web]           # one entry
url = "https://mcp.example.com/mcp"   # production
{web}
# ------- the tool -------
{tool}"""


def commented(made: Made) -> str:
    """Put comments into the file, and return its text."""
    head, rest = made.path.read_text().split("[servers.web]\n")
    web, tool = rest.split("[servers.tool]\n")
    web = web.replace('url = "https://mcp.example.com/mcp"\n', "")
    text = COMMENTED.format(head=head, web=web, tool="[servers.tool]\n" + tool)
    made.path.write_text(text)
    return text


@pytest.mark.parametrize(
    "edit",
    [
        lambda change: change.set_plain("web", "note", "new"),
        lambda change: change.set_secret("web", "auth.token", Secret("new")),
        lambda change: change.set_plain("tool", "cwd", "/srv"),
        lambda change: change.add_server("more", WEB | {"auth": {"kind": "none"}}),
        lambda change: change.set_allow_commands(True),
    ],
    ids=["note", "secret", "other entry", "new entry", "header"],
)
def test_comments_order_and_ciphertext_stay(made: Made, edit: Edit) -> None:
    """A person's comments and every sealed line that was not changed are there afterwards, byte for byte."""
    before = commented(made)
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]

    vault = done(made, edit)

    after = made.path.read_text()
    assert [] == [comment for comment in comments if f"#{comment}" not in after]
    assert [] == [line for line in sealed_lines(before) if line not in after]
    assert ["web", "tool"] == list(vault.document.server_names)[:2]


def test_crlf_stays(made: Made) -> None:
    """A file written on Windows keeps its line ends, new lines included."""
    made.path.write_text(made.path.read_text(), newline="\r\n")

    done(made, lambda change: change.set_plain("web", "note", "new"))

    data = made.path.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") > 0


def test_an_untouched_entry_keeps_its_text(made: Made) -> None:
    """Only the changed entry's tables are rewritten."""
    before = made.path.read_text().partition("[servers.tool]")[2]

    done(made, lambda change: change.set_plain("web", "note", "new"))

    assert before == made.path.read_text().partition("[servers.tool]")[2]
