"""``tools``, ``resources`` and ``prompts``: what a server offers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_tools_are_listed(house: House) -> None:
    """Each tool is one line: its name and what it does."""
    done = house.run("tools", "demo")

    assert ["add", "adds two numbers"] == done.stdout.splitlines()[1].split(maxsplit=1)
    assert ["echo", "add", "fail", "slow", "structured", "ill-structured"] == [
        line.split()[0] for line in done.stdout.splitlines()
    ]


def test_tools_as_json_are_the_servers_own_words(house: House) -> None:
    """``--json`` prints every tool as the server described it."""
    tools = json.loads(house.run("tools", "demo", "--json").stdout)

    assert house.server.offer.tools == tools


def test_one_tool_is_described(house: House) -> None:
    """A tool's name after the server's: description and arguments, readably."""
    assert (
        "add\n  adds two numbers\n\narguments:\n  a  number  (required)\n  b  number  (required)\n"
        == house.run("tools", "demo", "add").stdout
    )


def test_one_tool_as_json_is_its_whole_schema(house: House) -> None:
    """``--json`` with a tool prints that tool alone."""
    assert house.server.offer.tools[1] == json.loads(house.run("tools", "demo", "add", "--json").stdout)


def test_an_unknown_tool_is_exit_5_with_a_suggestion(house: House) -> None:
    """A misspelt tool is said to be unknown, and what it may have meant is named."""
    done = house.run("tools", "demo", "ecko", code=5)

    assert "mcpvault: error: demo: no tool 'ecko'\nmcpvault: hint: did you mean 'echo'?\n" == done.stderr


def test_an_unknown_server_is_exit_8(house: House) -> None:
    """A server that the vault does not name is a configuration error."""
    assert "did you mean 'demo'?" in house.run("tools", "dem0", code=8).stderr


def test_a_rejected_token_is_exit_3(house: House) -> None:
    """A 401 for a static credential says that a human must act, and how."""
    house.server.token = "another-token-by-now"

    done = house.run("tools", "demo", code=3)

    assert "mcpvault: hint: " in done.stderr
    assert "mcpvault set demo auth.token" in done.stderr


def test_a_server_that_is_gone_is_exit_4(house: House) -> None:
    """Nobody listening is a transient failure."""
    house.server.close()

    assert "mcpvault: error: " in house.run("tools", "demo", code=4).stderr


def test_an_escape_sequence_of_the_server_is_not_printed(house: House) -> None:
    """A description cannot move the cursor or set the window's title."""
    house.server.offer.tools.insert(
        0, {"name": "evil", "description": "\x1b]0;owned\x07 hello", "inputSchema": {"type": "object"}}
    )

    done = house.run("tools", "demo")

    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[0].endswith("hello")


def test_resources_are_listed(house: House) -> None:
    """Resources and templates are listed by URI."""
    done = house.run("resources", "demo")

    assert ["fake://text/greeting", "fake://blob/pixel", "fake://number/{n}"] == [
        line.split()[0] for line in done.stdout.splitlines()
    ]


def test_a_resource_is_read(house: House) -> None:
    """A resource's text goes to stdout as it is."""
    assert "grüß dich \N{WAVING HAND SIGN}\n" == house.run("resources", "demo", "fake://text/greeting").stdout
    assert "42\n" == house.run("resources", "demo", "fake://number/42").stdout


def test_a_blob_is_written_byte_for_byte(house: House) -> None:
    """A binary resource goes into a pipe unchanged."""
    assert b"\x00\xff\x80\x7f" == house.run_bytes("resources", "demo", "fake://blob/pixel")


def test_a_resource_as_json_is_the_servers_answer(house: House) -> None:
    """``--json`` prints the contents as the server sent them."""
    answer = json.loads(house.run("resources", "demo", "fake://text/greeting", "--json").stdout)

    assert "fake://text/greeting" == answer["contents"][0]["uri"]


def test_an_unknown_resource_is_exit_5(house: House) -> None:
    """The server's refusal of a resource is a server error."""
    assert "resource not found" in house.run("resources", "demo", "fake://nothing", code=5).stderr


def test_prompts_are_listed(house: House) -> None:
    """Each prompt is one line."""
    assert ["plain", "greet"] == [line.split()[0] for line in house.run("prompts", "demo").stdout.splitlines()]


def test_a_prompt_is_filled_in(house: House) -> None:
    """Arguments go into the prompt, and its messages come out by role."""
    assert "user: greet Ada\n" == house.run("prompts", "demo", "greet", "-a", "who=Ada").stdout


def test_a_prompt_that_lacks_an_argument_says_which(house: House) -> None:
    """A missing required argument is a usage error and nothing is sent for it."""
    done = house.run("prompts", "demo", "greet", code=2)

    assert "'who'" in done.stderr
    assert [] == house.server.called("prompts/get")


@pytest.mark.parametrize("arguments", [5, [5], {"who": 1}, [{"required": True}]])
def test_a_prompt_whose_arguments_are_none_is_asked_for(house: House, arguments: object) -> None:
    """What a server writes where the list of arguments belongs is as good as absent."""
    prompts = [{"name": "plain", "arguments": arguments}]
    house.server.misbehave("result-of-wrong-shape", on="prompts/list", result={"prompts": prompts})

    assert house.run("prompts", "demo", "plain").stdout.startswith("user: ")


def test_an_unknown_prompt_is_exit_5_with_a_suggestion(house: House) -> None:
    """A misspelt prompt is named, and what it may have meant."""
    assert "did you mean 'greet'?" in house.run("prompts", "demo", "gret", code=5).stderr


def test_help_shows_an_example(house: House) -> None:
    """Every verb's help ends with an example that can be copied."""
    for verb in (
        *("tools", "resources", "prompts", "call", "client", "import", "doctor", "demo", "completion"),
        *("login", "logout", "status", "refresh", "probe"),
    ):
        assert f"mcpvault {verb}" in house.run(verb, "--help").stdout.split("Example", 1)[1]


def test_an_argument_is_completed(house: House) -> None:
    """``complete`` prints what the server suggests, one a line, for prompts and templates; ``--json`` its own words."""
    by_prompt = ("complete", "demo", "--prompt", "greet", "who")

    assert ("Ada\nAlan\n", "Ada\n") == (house.run(*by_prompt).stdout, house.run(*by_prompt, "Ad").stdout)
    assert {"values": ["Alan"]} == json.loads(house.run(*by_prompt, "Al", "--json").stdout)
    house.run("complete", "demo", "--resource", "fake://number/{n}", "n", "A", "-a", "m=1")
    sent = json.loads(house.server.called("completion/complete")[-1].body)["params"]
    assert {"type": "ref/resource", "uri": "fake://number/{n}"} == sent["ref"]
    assert ({"name": "n", "value": "A"}, {"arguments": {"m": "1"}}) == (sent["argument"], sent["context"])


def test_completion_needs_to_know_whose_argument_it_is(house: House) -> None:
    """Neither or both of ``--prompt`` and ``--resource`` is a usage error, and the server is asked nothing."""
    house.run("complete", "demo", "who", code=2)
    house.run("complete", "demo", "who", "--prompt", "greet", "--resource", "x:y", code=2)

    assert [] == house.server.requests
