"""A secret that somebody wrote into the vault in clear: what is said about it can be done, word for word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from house import Home, new_vault

LITERAL = "ghp_0aB1cD2eF3gH4iJ5kL6m"
MACHINE = "add new https://h.example/mcp --client-credentials --client-id i --issuer https://i.example".split()


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


@pytest.mark.parametrize(
    "words",
    [
        ["add", "new", "https://h.example/mcp", "--bearer-env", LITERAL],
        ["add", "new", "https://h.example/mcp", "--header-env", "X-API-Key=lin_api_0123456789abcdefghij"],
        ["add", "new", "https://h.example/mcp", "--bearer-env", "sk-0123456789-abcdefghij"],
        [*MACHINE, "--client-secret-env", "glpat-0123456789abcdefghij"],
        ["add", "new", "--env-from", f"API_TOKEN={LITERAL}", "--", "x"],
        ["set", "child", "env.API_TOKEN", "--env", LITERAL],
        ["add", "new", "https://h.example/mcp", "--bearer-env", "no-known-shape-0123456789"],
        ["add", "new", "https://h.example/mcp", "--bearer-env", "0123456789-x"],
    ],
    ids=["bearer", "header", "no identifier", "client secret", "child", "set", "no known shape", "short"],
)
def test_a_token_where_a_variable_is_to_be_named(house: Home, words: list[str]) -> None:
    """Exit 2, the file as it was, and the token is not repeated."""
    said = house.refused(*words, code=2)
    assert "the name of a variable" in said or "no name of a variable" in said
    assert not [word for word in ("0123456789", LITERAL) if word in said]


@pytest.mark.parametrize(
    ("table", "key", "name"),
    [
        ("servers.demo.headers", "X-API-Key", f"env:{LITERAL}"),
        ("servers.demo.headers", "X-Version", LITERAL),
        ("servers.child.env", "SETTING", f"{LITERAL}?"),
        ("servers.child.env", "SETTING", f"env:{LITERAL}:-none"),
        ("servers.child", "cwd", f"env:{LITERAL}"),
        ("servers.child", "x-team", f"env:{LITERAL}"),
        ("servers.child", "args", "env:sk-0123456789abcdefghij"),
    ],
)
def test_a_token_for_a_name_in_the_file(house: Home, table: str, key: str, name: str) -> None:
    """Exit 8 with the place, in a field of any kind, and the token is not repeated."""
    value = f'"${{{name}}}"' if key != "args" else f'["${{{name}}}"]'
    text = house.vault.read_text()
    head, header, rest = text.partition(f"[{table}]\n")
    header = header or f"\n[{table}]\n"
    house.vault.write_text(f"{head}{header}{key} = {value}\n{rest}")

    for verb in (["list"], ["show", "child"], ["doctor"], ["sign", "--yes"]):
        done = house.run(*verb, code=8)
        assert f"{table}.{key}" in done.stdout + done.stderr
        assert not [word for word in ("0123456789", LITERAL) if word in done.stdout + done.stderr]


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "lin_api_key", "npm_config_registry_token", "SK_LIVE_KEY", "sk_live_key_of_mine"]
)
def test_the_usual_names_of_variables(house: Home, name: str) -> None:
    """They may be named, though some begin as tokens do."""
    house.run("add", "new", "https://h.example/mcp", "--bearer-env", name)
    assert f"${{env:{name}}}" == house.open().file.table("new")["auth"]["token"]


@pytest.mark.parametrize("words", [["add", "new"], ["client", "connect", "--name", "new"], ["add", "new", "--dry-run"]])
def test_a_secret_among_the_arguments_of_a_command(house: Home, words: list[str]) -> None:
    """It is done, as nobody can tell for sure; what is said about each can be done, and does not repeat it."""
    args = ["--api-key=plainsecretvalue", "--token", "hunter2hunter2", "--key", "/etc/x/private.key", "${env:T}"]

    said = house.run(*words, "--", "/opt/srv", *args).stderr

    assert [("0", "API_KEY"), ("2", "TOKEN")] == re.findall(r"new\.args\[(\d)\].*set new env\.(\w+) --stdin", said)
    assert "plainsecret" not in said
    assert "hunter2" not in said
    if "--dry-run" not in words:
        house.run("set", "new", "args", '["--quiet"]')
        house.run("set", "new", "env.API_KEY", "--stdin", stdin="plainsecretvalue")
        assert "plainsecretvalue" == house.open().file.secret("new", "env.API_KEY").reveal()


def test_a_secret_in_the_arguments_that_are_set(house: Home) -> None:
    """`set NAME args` warns as `add` does, and is silent where there is nothing to say."""
    assert "child.args[1]" in house.run("set", "child", "args", '["--password", "hunter2hunter2"]').stderr
    assert "args[" not in house.run("set", "child", "args", '["--password", "${env:P}"]').stderr
