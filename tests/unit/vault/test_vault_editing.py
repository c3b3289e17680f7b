"""A vault in an editor: placeholders out, ciphertexts and new secrets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from editing_samples import edited, put, shown
from vault_samples import Made, done, empty, sealed_lines, tree

from mcpvault.errors import UnknownServerError
from mcpvault.secret import Secret
from mcpvault.vault.editing import to_editor

# Out


@pytest.mark.parametrize("name", [None, "web"])
def test_no_secret_is_decrypted_into_an_editor(made: Made, name: str | None) -> None:
    """Neither a value nor a ciphertext is in the text, but the fingerprint is."""
    text = to_editor(made.open(), name)

    assert f'token = "{shown(made)}"' in text
    assert "web-token" not in text
    assert [] == sealed_lines(text)


def test_the_whole_text_keeps_its_comments(made: Made) -> None:
    """A person edits the file that he knows."""
    made.path.write_text("# ours\n" + made.path.read_text().replace("[servers.web]", "# the web\n[servers.web]"))

    text = to_editor(made.open())

    assert text.startswith("# ours\n")
    assert "# the web\n[servers.web]" in text


def test_one_entry_is_shown_alone(made: Made) -> None:
    """Without the header and the others."""
    text = to_editor(made.open(), "web")

    assert ["servers"] == [line.partition(".")[0].strip("[") for line in text.splitlines() if line == "[servers.web]"]
    assert "[vault]" not in text
    assert "tool" not in text


def test_an_entry_that_is_not_there_is_exit_8(made: Made) -> None:
    """With the nearest name."""
    with pytest.raises(UnknownServerError):
        to_editor(made.open(), "wen")


def test_a_vault_without_entries_is_shown(made: Made) -> None:
    """As it stands."""

    def edit(change: Any) -> None:
        change.remove_server("web")
        change.remove_server("tool")

    vault = done(made, edit)

    assert vault.document.tree["vault"]["id"] in to_editor(vault)
    assert "new" in edited(made, lambda text: text + '\n[servers.new]\nurl = "https://a.example/mcp"\n').document.tree[
        "servers"
    ]  # fmt: skip


def test_a_value_that_does_not_open_is_shown_as_damaged(made: Made) -> None:
    """It can be replaced, and left alone, but not moved."""
    table = made.open().table("web")
    broken = {**table["auth"]["token"][0], "v": 9}
    done(made, lambda change: change.replace_server("web", {**table, "auth": {**table["auth"], "token": [broken]}}))

    assert 'token = "<sealed damaged>"' in to_editor(made.open(), "web")
    edited(made, put('kind = "bearer"', 'kind = "bearer"\nscheme = "Token"'), "web")
    assert [broken] == tree(made.path)["servers"]["web"]["auth"]["token"]
    assert Secret("mended") == edited(made, put("<sealed damaged>", "mended"), "web").secret("web", "auth.token")


# In


@pytest.mark.parametrize("name", [None, "web"])
def test_nothing_edited_is_nothing_changed(made: Made, name: str | None) -> None:
    """The file keeps its bytes."""
    before = made.path.read_bytes()

    edited(made, lambda text: text, name)

    assert before == made.path.read_bytes()


@pytest.mark.parametrize("name", [None, "web"])
def test_an_unchanged_placeholder_keeps_its_ciphertext(made: Made, name: str | None) -> None:
    """Byte for byte, with all versions, while the entry around it changes."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("second")))
    before = tree(made.path)["servers"]["web"]["auth"]["token"]

    vault = edited(made, put('url = "https://mcp.example.com/mcp"', 'url = "https://mcp.example.com/v2"'), name)

    assert before == tree(made.path)["servers"]["web"]["auth"]["token"]
    assert ("https://mcp.example.com/v2", Secret("second")) == (
        vault.entry("web").url,
        vault.secret("web", "auth.token"),
    )


@pytest.mark.parametrize("name", [None, "web"])
def test_new_text_in_a_secret_field_is_sealed(made: Made, name: str | None) -> None:
    """It becomes the current version; the old one is ``previous``; the text is nowhere in the file."""
    vault = edited(made, put(shown(made), "typed-by-hand"), name)

    assert Secret("typed-by-hand") == vault.secret("web", "auth.token")
    assert Secret("web-token") == vault.secret("web", "auth.token", stage="previous")
    assert "typed-by-hand" not in made.path.read_text()


def test_new_text_in_a_new_secret_field_is_sealed(made: Made) -> None:
    """A header whose name says that it is secret, an environment variable, a whole new entry."""

    def typing(text: str) -> str:
        return (
            text
            + '\n[servers.web.headers]\nX-Api-Key = "typed-key"\nX-Api-Version = "1"\n'
            + '\n[servers.more]\nurl = "https://a.example/mcp"\n'
            + '\n[servers.more.auth]\nkind = "bearer"\ntoken = "typed-token"\n'
        )

    vault = edited(made, typing)

    assert Secret("typed-key") == vault.secret("web", "headers.X-Api-Key")
    assert "1" == vault.entry("web").headers["X-Api-Version"]
    assert Secret("typed-token") == vault.secret("more", "auth.token")
    assert "typed-" not in made.path.read_text()


def test_new_text_where_a_value_was_sealed_is_sealed(made: Made) -> None:
    """A header of any name that held a sealed value holds a secret: its new text is not left in clear."""
    done(made, lambda change: change.set_secret("web", "headers.X-Tenant", Secret("tenant-secret")))

    vault = edited(made, put(shown(made, "web", "headers.X-Tenant"), "tenant-typed"), "web")

    assert Secret("tenant-typed") == vault.secret("web", "headers.X-Tenant")
    assert "tenant-typed" not in made.path.read_text()


def test_an_escape_is_no_reference(made: Made) -> None:
    """``$${`` in a password is two characters of it, and sealed like the rest."""
    vault = edited(made, put(shown(made), "pass$${word"), "web")

    assert Secret("pass$${word") == vault.secret("web", "auth.token")


def test_a_reference_in_a_secret_field_stays_a_reference(made: Made) -> None:
    """It is not sealed: its value is where it is run."""
    edited(made, put(shown(made), "${env:TOKEN}"), "web")

    assert "${env:TOKEN}" == tree(made.path)["servers"]["web"]["auth"]["token"]


def test_entries_are_added_and_removed(made: Made) -> None:
    """In the whole text; secrets of the others stay."""

    def typing(text: str) -> str:
        return text.partition("[servers.tool]")[0] + '[servers.new]\ncommand = "new-mcp"\n'

    vault = edited(made, typing)

    assert ("web", "new") == vault.document.server_names
    assert Secret("web-token") == vault.secret("web", "auth.token")


def test_emptying_the_text_of_one_entry_removes_it(made: Made) -> None:
    """The others stay."""
    assert ("tool",) == edited(made, lambda _: "", "web").document.server_names


def test_a_field_taken_away_is_gone(made: Made) -> None:
    """With its sealed versions."""
    edited(made, put(f'[servers.tool.env]\nDB_PASSWORD = "{shown(made, "tool", "env.DB_PASSWORD")}"\n', ""), "tool")

    assert "env" not in tree(made.path)["servers"]["tool"]
    assert 1 == len(sealed_lines(made.path.read_text()))


def test_the_time_of_a_typed_secret_is_the_vaults_clock(made: Made) -> None:
    """Like that of any other."""
    edited(made, put(shown(made), "typed"), "web")

    assert "2026-07-28T12:00:00Z" == tree(made.path)["servers"]["web"]["auth"]["token"][0]["created"]


def test_a_vault_that_never_had_an_entry_is_shown_as_it_is(tmp_path: Path) -> None:
    """And gets its first one."""
    made = empty(tmp_path)
    assert made.path.read_text() == to_editor(made.open())

    vault = edited(made, lambda text: text + '\n[servers.new]\ncommand = "new-mcp"\n')

    assert ("new",) == vault.document.server_names
