"""A secret that somebody wrote into the vault in clear: what is said about it can be done, word for word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from house import Home, new_vault

LITERAL = "ghp_0aB1cD2eF3gH4iJ5kL6m"


@pytest.fixture
def house(tmp_path: Path) -> Home:
    """A home with a vault."""
    made = new_vault(tmp_path)
    with made.open().change() as change:
        change.add_server("child", {"command": "/opt/x"})
    return made


@pytest.mark.parametrize(
    ("table", "line", "field"),
    [
        ("servers.child.env", f'API_TOKEN = "{LITERAL}"', "env.API_TOKEN"),
        ("servers.child.env", f'SETTING = "{LITERAL}"', "env.SETTING"),
        ("servers.demo.headers", f'X-API-Key = "{LITERAL}"', "headers.X-API-Key"),
        ("servers.demo.headers", f'"X-It\'s-Mine" = "{LITERAL}"', "headers.X-It's-Mine"),
    ],
)
def test_the_command_that_seals_it(house: Home, table: str, line: str, field: str) -> None:
    """Exit 8 with entry and field: taken out, signed, and the command run as it is printed."""
    before = house.vault.read_text()
    house.vault.write_text(f"{before}\n[{table}]\n{line}\n")

    said = house.run("list", code=8).stderr

    found = re.search(r"take it out of the file, then run: mcpvault (sign); seal it: mcpvault (.*), or refer", said)
    assert found is not None, said
    assert LITERAL not in said
    house.vault.write_text(before)
    house.run(found[1], "--yes")
    house.run(*shlex.split(found[2]), stdin=LITERAL)
    name = table.split(".")[1]
    assert LITERAL == house.open().file.secret(name, field).reveal()


@pytest.mark.parametrize(
    "words",
    [
        ["--basic", "me"],
        ["--bearer-stdin"],
        ["--client-credentials", "--client-id", "i", "--issuer", "https://i.example", "--client-secret-stdin"],
    ],
    ids=["basic", "bearer", "client secret"],
)
def test_two_secrets_do_not_fit_through_stdin(house: Home, words: list[str]) -> None:
    """Exit 2 before anything is read, and what brings the second one in afterwards."""
    words = ["add", "new", "https://h.example/mcp", *words]

    said = house.refused(*words, "--header-stdin", "X-Key", code=2)

    assert "leave --header-stdin out, then: mcpvault set new headers.X-Key --stdin" in said
    house.run(*words, stdin=LITERAL)
    house.run("set", "new", "headers.X-Key", "--stdin", stdin=LITERAL)
    assert LITERAL == house.open().file.secret("new", "headers.X-Key").reveal()


def test_a_literal_among_the_words_of_add(house: Home) -> None:
    """Exit 2, with the option that keeps it out of the command."""
    said = house.refused("add", "new", "https://h.example/mcp", "--header", f"X-API-Key={LITERAL}", code=2)
    assert "mcpvault add new … --header-stdin X-API-Key" in said
    assert LITERAL not in said
