"""A foreign command: whole, without secrets among its arguments, waiting for approval."""

from __future__ import annotations

from typing import Any

import pytest
from interop_samples import RANDOM, TOKEN, one, sealed, skipped, stdio, told


def test_a_command_comes_in_whole() -> None:
    """Arguments of any scalar type, variables, folder."""
    entry = stdio(args=["--port", 8080, "--on", True, 1.5], env={"A": "1", "B": 2, "C": "${X:-d}"}, cwd="${HOME}/x")

    assert ["--port", "8080", "--on", "true", "1.5"] == entry.tree["args"]
    assert {"A": "1", "B": "2", "C": "${env:X:-d}"} == entry.tree["env"]
    assert "${env:HOME}/x" == entry.tree["cwd"]


def test_a_command_alone_comes_in() -> None:
    """Without arguments it has none."""
    assert {"command": "tool", "approved": False} == stdio(args=[], env={}, cwd="").tree


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"command": "${HOME}/tool"}, "command: holds a reference"),
        ({"command": 3}, "command: expected text"),
        ({"command": f"tool --key {TOKEN}"}, "command: holds what looks like a secret"),
        ({"cwd": f"/srv/{TOKEN}"}, "cwd: holds what looks like a secret"),
        ({"cwd": f"${{X:-{TOKEN}}}"}, "cwd: holds what looks like a secret"),
        ({"args": "a b"}, "args: expected a list of texts"),
        ({"args": [["a"]]}, "args: expected a list of texts"),
        ({"args": [None]}, "args: expected a list of texts"),
        ({"env": ["A=1"]}, "env: expected a table"),
        ({"env": {"A": None}}, "env.A: expected text"),
        ({"env": {"A-B": "1"}}, "env.A-B"),
        ({"cwd": 3}, "cwd: expected text"),
    ],
)
def test_a_command_of_another_form_is_left_out(keys: dict[str, Any], why: str) -> None:
    """With the reason."""
    assert why in skipped({"command": "tool", **keys}).why


def test_a_path_full_of_digests_is_no_secret() -> None:
    """As Nix and package managers have them."""
    path = "/nix/store/q8nw5vd2xk3z1y7l4m6p9r0s2t5a8b1c-node-22/bin/npx"

    assert path == one({"command": path}).tree["command"]


def test_secret_variables_are_sealed() -> None:
    """By name and by looks."""
    entry = stdio(env={"API_KEY": "abc", "ODD": RANDOM, "REGION": "eu", "TOKEN": "${T}"})

    assert {"env.API_KEY": "abc", "env.ODD": RANDOM} == sealed(entry)
    assert {"REGION": "eu", "TOKEN": "${env:T}"} == entry.tree["env"]


@pytest.mark.parametrize(
    ("args", "expected", "name"),
    [
        (["--api-key", TOKEN], ["--api-key", "${env:API_KEY}"], "API_KEY"),
        ([f"--token={TOKEN}"], ["--token=${env:TOKEN}"], "TOKEN"),
        (["--token=only-by-name"], ["--token=${env:TOKEN}"], "TOKEN"),
        (["-e", f"GITHUB_TOKEN={TOKEN}"], ["-e", "GITHUB_TOKEN=${env:GITHUB_TOKEN}"], "GITHUB_TOKEN"),
        ([f"--path={TOKEN}"], ["--path=${env:ARGUMENT}"], "ARGUMENT"),
        ([TOKEN], ["${env:ARGUMENT}"], "ARGUMENT"),
        ([f"https://a.example/?token={TOKEN}"], ["${env:TOKEN_URL}"], "TOKEN_URL"),
        ([f"pg://joe:{TOKEN}@db/x"], ["${env:ARGUMENT}"], "ARGUMENT"),
        (
            ["--header", f"Authorization: Bearer {TOKEN}"],
            ["--header", "Authorization: ${env:AUTHORIZATION}"],
            "AUTHORIZATION",
        ),
    ],
)
def test_a_secret_argument_is_sealed_as_a_variable(args: list[str], expected: list[str], name: str) -> None:
    """What follows the name is, so that a program that reads the variable gets the secret; a person sees to that."""
    entry = stdio(args=args)

    assert expected == entry.tree["args"]
    head = expected[-1].partition("${")[0]
    assert {f"env.{name}": args[-1].removeprefix(head)} == sealed(entry)
    assert told(entry.todo, "args[", f"env.{name}", "remove the argument")
    assert not entry.kept_back


def test_secret_arguments_do_not_collide() -> None:
    """With one another, and with the variables that the entry has."""
    entry = stdio(
        args=["--token", "first-secret", "--token", "second-secret"], env={"TOKEN": "${T}", "TOKEN_": "third"}
    )

    assert {"env.TOKEN_": "third", "env.TOKEN__": "first-secret", "env.TOKEN___": "second-secret"} == sealed(entry)
    assert {"TOKEN": "${env:T}"} == entry.tree["env"]


def test_a_secret_argument_beside_a_reference_is_kept_back() -> None:
    """It cannot be taken apart."""
    entry = stdio(args=[f"--token={TOKEN}${{REST}}"])

    assert (["--token=${env:TOKEN}"], (), True) == (entry.tree["args"], entry.secrets, entry.kept_back)


@pytest.mark.parametrize("args", [["--api-key", "${K}"], ["--x", "${API_KEY}"], ["--login=joe:${API_KEY}"]])
def test_a_reference_as_an_argument_is_told(args: list[str]) -> None:
    """It stays a reference; that all users of the host see its value is said where a name tells of a secret."""
    entry = stdio(args=args)

    assert [each.replace("${", "${env:") for each in args] == entry.tree["args"]
    assert told(entry.todo, f"args[{len(args) - 1}]", entry.references[0], "env.NAME")


def test_a_plain_reference_as_an_argument_needs_no_word() -> None:
    """A folder that a variable names is no secret."""
    entry = stdio(args=["--root", "${HOME}/notes"])

    assert (["--root", "${env:HOME}/notes"], ()) == (entry.tree["args"], entry.todo)


def test_a_reference_to_a_secret_elsewhere_is_no_argument() -> None:
    """What reads a file or runs a command in the vault's grammar stands as plain text, and that is said."""
    entry = stdio(args=["--from", "${file:/run/it}"])

    assert ["--from", "$${file:/run/it}"] == entry.tree["args"]
    assert told(entry.todo, "'file'", "not taken over")
