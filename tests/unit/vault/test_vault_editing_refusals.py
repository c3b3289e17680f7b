"""What an edit may not do: move a placeholder, move what it is bound to, lose anything silently."""

from __future__ import annotations

import pytest
from editing_samples import Typing, edited, put, refused, shown
from vault_samples import Made

from mcpvault.errors import ConfigurationError, LiteralSecretError, VaultFormatError
from mcpvault.secret import Secret


def test_a_placeholder_cannot_be_moved(made: Made) -> None:
    """Into another field, another entry, a new entry, a plain field, a list: the fingerprint is named."""
    mine = shown(made)
    moves = [
        put(shown(made, "tool", "env.DB_PASSWORD"), mine),
        lambda text: text + f'\n[servers.web.headers]\nX-Api-Key = "{mine}"\n',
        lambda text: text + f'\n[servers.new]\nurl = "https://mcp.example.com/mcp"\nauth.token = "{mine}"\n',
        put('command = "db-mcp"', f'command = "db-mcp"\nnote = "{mine}"'),
        put('"--ro"', f'"--ro", "{mine}"'),
        lambda text: text + f'\n[servers.tool.x-mine.deep]\nlist = ["{mine}"]\n',
    ]
    for typing in moves:
        error = refused(made, typing, ConfigurationError)

        assert f"{mine} does not belong here" in error.message
        assert "cannot be moved" in (error.hint or "")


def test_a_renamed_entry_cannot_take_its_secrets_along(made: Made) -> None:
    """They are sealed for their name."""
    refused(made, lambda text: text.replace("[servers.web", "[servers.web2"), ConfigurationError)


@pytest.mark.parametrize(
    "change", [lambda p: p[:-2] + ("0" if p[-2] != "0" else "1") + ">", lambda p: f"Bearer {p}", lambda p: f"{p} "]
)
def test_an_altered_placeholder_is_refused(made: Made, change: Typing) -> None:
    """It is not taken for a new secret, and only the placeholder is quoted."""
    error = refused(made, put(shown(made), change(shown(made))), ConfigurationError, "web")

    assert "does not belong here" in error.message
    assert "Bearer" not in error.message


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.replace("sealed", "sealde"),
        lambda p: p.replace("sealed", "Sealed"),
        lambda p: p.replace("<sealed ", "<sealed"),
        lambda p: p.replace("<sealed", "<s\u0435aled"),
        lambda p: p[:-2] + ">",
        lambda p: p[:-1],
        lambda p: p[1:],
        lambda p: p.strip("<>").removeprefix("sealed "),
        lambda p: f"Bearer {p[:-1]}",
        lambda p: p.upper(),
        lambda _: "<sealed>",
        lambda p: p.replace("sealed", "sealde") + "${env:REST}",
    ],
)
def test_what_is_left_of_a_placeholder_is_no_secret(made: Made, change: Typing) -> None:
    """A damaged placeholder would replace the secret by itself: it is refused, and the right one named."""
    remnant = change(shown(made))
    error = refused(made, put(shown(made), remnant), ConfigurationError, "web")

    assert "servers.web.auth.token: resembles a placeholder, and is none that was shown there" == error.message
    assert (error.hint or "").startswith(f"{shown(made)} keeps the secret; ")


def test_what_is_left_of_a_placeholder_is_no_secret_elsewhere(made: Made) -> None:
    """Moved and damaged, into an entry that had none, it is refused as well."""
    remnant = shown(made).replace("sealed", "seled")
    text = f'\n[servers.new]\nurl = "https://mcp.example.com/mcp"\n[servers.new.auth]\ntoken = "{remnant}"\n'

    error = refused(made, lambda typed: typed + text, ConfigurationError)

    assert "servers.new.auth.token: resembles a placeholder" in error.message
    assert "mcpvault set new auth.token --stdin" in (error.hint or "")


@pytest.mark.parametrize(
    "secret", ["deadbeef", "unsealed-9c1f2a7b", "9c1f2a7b9c1f2a7b", "<a> b", "s", "ghp_sealed0123456789"]
)
def test_a_secret_of_any_other_look_is_sealed(made: Made, secret: str) -> None:
    """Short ones, hexadecimal ones and those in brackets resemble no placeholder."""
    assert Secret(secret) == edited(made, put(shown(made), secret), "web").secret("web", "auth.token")


def test_a_moved_url_keeps_no_secret(made: Made) -> None:
    """Another origin needs a decision that an editor does not ask for."""
    error = refused(made, put("https://mcp.example.com/mcp", "https://evil.example/mcp"), ConfigurationError)

    assert "servers.web.url: sealed values are bound to the old one" == error.message
    assert "mcpvault set web url" in (error.hint or "")


@pytest.mark.parametrize(
    ("old", "new", "field"), [('"--ro"', '"--rw"', "args"), ('"db-mcp"', '"other-mcp"', "command")]
)
def test_a_moved_command_keeps_no_secret(made: Made, old: str, new: str, field: str) -> None:
    """Program and arguments."""
    assert f"servers.tool.{field}: " in refused(made, put(old, new), ConfigurationError).message


def test_a_url_that_leads_nowhere_keeps_no_secret(made: Made) -> None:
    """Before the format refuses it."""
    refused(made, put("https://mcp.example.com/mcp", "nowhere"), ConfigurationError)


def test_a_moved_url_with_a_new_secret_is_taken(made: Made) -> None:
    """The new value is for the new place; the old one, bound to the old place, goes."""

    def typing(text: str) -> str:
        return put(shown(made), "for-elsewhere")(text).replace("mcp.example.com", "mcp.example.org")

    vault = edited(made, typing, "web")

    assert Secret("for-elsewhere") == vault.secret("web", "auth.token")
    assert ["current"] == [each.stage for each in vault.history("web")]


@pytest.mark.parametrize(
    "typing",
    [
        put("serial = 2", "serial = 3"),
        put('id = "cron"', 'id = "mallory"'),
        lambda text: text.partition("[servers.web]")[2] and "[servers.web]" + text.partition("[servers.web]")[2],
    ],
    ids=["serial", "slot", "without it"],
)
def test_the_header_is_not_for_editing(made: Made, typing: Typing) -> None:
    """Slots, root and signature have verbs of their own."""
    assert "this table is not for editing" in refused(made, typing, ConfigurationError).message


@pytest.mark.parametrize(
    "typing",
    [
        lambda text: text + "\n[server.typo]\nurl = 'https://a.example'\n",
        lambda text: text.replace("[servers.tool", "[severs.tool"),
        lambda text: "top = 1\n" + text,
    ],
    ids=["added", "misspelt", "top"],
)
@pytest.mark.parametrize("name", [None, "tool"])
def test_nothing_typed_is_silently_dropped(made: Made, typing: Typing, name: str | None) -> None:
    """A misspelt table is an error, not a removed entry."""
    assert "is no part of it" in refused(made, typing, ConfigurationError, name).message


def test_one_entry_alone_is_edited(made: Made) -> None:
    """Others, and the header, have no place in its text."""
    error = refused(made, lambda text: text + "\n[servers.other]\ncommand = 'x'\n", ConfigurationError, "web")
    assert "expected only servers.web in the text" == error.message

    refused(made, lambda text: text + "\n[vault]\nserial = 9\n", ConfigurationError, "web")


@pytest.mark.parametrize(
    ("text", "message"), [("servers = 3", "servers: expected a table"), ("[servers]\nweb = 3", "servers.web: expected")]
)
def test_tables_are_expected(made: Made, text: str, message: str) -> None:
    """A number where an entry should be is refused by its place."""
    assert message in refused(made, lambda _: text, ConfigurationError, "web").message


def test_a_text_that_is_no_toml_is_exit_6_and_not_quoted(made: Made) -> None:
    """The line is named; what stands there may be a secret."""
    error = refused(made, put(f'"{shown(made)}"', "typed-without-quotes"), VaultFormatError, "web")

    assert "the edited text is not TOML (line 6)" == error.message
    assert (None, None) == (error.__cause__, error.__context__)


def test_an_end_without_a_line_is_told(made: Made) -> None:
    """A decoder that names no line."""
    assert "not TOML" in refused(made, lambda _: 'a = "', VaultFormatError, "web").message


@pytest.mark.parametrize("value", ["2026-07-28", "1.5", "[2026-07-28]"], ids=["date", "fraction", "list of dates"])
def test_a_value_that_no_vault_holds_is_exit_8_with_its_place(made: Made, value: str) -> None:
    """TOML can say more than a vault."""
    error = refused(made, put('kind = "bearer"', f'kind = "bearer"\nscheme = {value}'), ConfigurationError, "web")

    assert "servers.web.auth.scheme" in error.message


def test_text_that_is_no_utf8_is_exit_8(made: Made) -> None:
    """Half of a surrogate pair, as a terminal may give it."""
    with pytest.raises(ConfigurationError, match="UTF-8"), made.open().change() as change:
        change.set_plain("web", "note", "\udcff")


def test_a_secret_in_clear_elsewhere_is_refused(made: Made) -> None:
    """A token pasted into a note is not written."""
    literal = "ghp_0123456789abcdefghij0123456789abcdef"

    error = refused(made, put('"--ro"', f'"--token={literal}"'), ConfigurationError)
    assert literal not in error.message

    refused(made, lambda text: text + f"\n[servers.web.headers]\nX-A = '{literal}'\n", LiteralSecretError)
