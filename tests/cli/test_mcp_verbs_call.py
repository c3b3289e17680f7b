"""``call``: the line of a cron job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished

from mcpvault.cli.meanwhile import Meanwhile


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_text_goes_to_stdout_and_nothing_else(house: House) -> None:
    """A tool's text is printed as it is, and stderr stays empty."""
    done = house.run("call", "demo", "echo", '{"message": "grüß\\tdich"}')

    assert ("grüß\tdich\n", "") == (done.stdout, done.stderr)


def test_json_arguments_need_no_list_of_tools(house: House) -> None:
    """A call with JSON arguments asks the server for nothing but the call."""
    house.run("call", "demo", "echo", '{"message": "x"}')

    assert [] == house.server.called("tools/list")


@pytest.mark.parametrize("form", ["argv", "file", "stdin"])
def test_arguments_come_from_three_places(house: House, tmp_path: Path, form: str) -> None:
    """JSON on the command line, in a file, or on stdin."""
    text = '{"a": 1, "b": 2}'
    path = tmp_path / "arguments.json"
    path.write_text(text)
    word = {"argv": text, "file": f"@{path}", "stdin": "-"}[form]

    assert "3\n" == house.run("call", "demo", "add", word, stdin=text).stdout


def test_pairs_get_their_types_from_the_schema(house: House) -> None:
    """``-a key=value`` sends a number where the tool wants one, and text where it wants text."""
    assert "3\n" == house.run("call", "demo", "add", "-a", "a=1", "-a", "b=2").stdout
    assert "7\n" == house.run("call", "demo", "echo", "-a", "message=7").stdout


def test_pairs_of_json_are_sent_as_they_are(house: House) -> None:
    """``-a key:=json`` needs no schema, and goes over the JSON object."""
    assert "5\n" == house.run("call", "demo", "add", '{"a": 1, "b": 2}', "-a", "a:=3").stdout
    assert [] == house.server.called("tools/list")


def test_a_wrong_type_is_exit_2(house: House) -> None:
    """A value that does not fit is a usage error before anything is called."""
    done = house.run("call", "demo", "add", "-a", "a=x", "-a", "b=2", code=2)

    assert "argument 'a': expected a number, got 'x'" in done.stderr
    assert [] == house.server.called("tools/call")


def test_bad_json_is_exit_2_and_unlocks_nothing(house: House) -> None:
    """Arguments are read before the server is asked anything."""
    assert "not JSON" in house.run("call", "demo", "echo", "{", code=2).stderr
    assert [] == house.server.requests


@pytest.mark.parametrize("depth", [50, 500, 900])
def test_a_deep_answer_is_printed(house: House, depth: int) -> None:
    """What a server has nested deeply is printed as JSON; it is laid out only as far as that goes."""
    deep = "[" * depth + "]" * depth
    result = {"content": [], "structuredContent": {"deep": json.loads(deep)}}
    house.server.misbehave("result-of-wrong-shape", on="tools/call", result=result)

    done = house.run("call", "demo", "structured", '{"city": "Bern"}', "--json")
    assert f'{{"deep":{deep}}}' == "".join(done.stdout.split())


def test_structured_content_as_json(house: House) -> None:
    """``--json`` prints structured content where there is some, else the whole result."""
    structured = json.loads(house.run("call", "demo", "structured", '{"city": "Bern"}', "--json").stdout)
    whole = json.loads(house.run("call", "demo", "echo", '{"message": "x"}', "--json").stdout)

    assert {"city": "Bern", "celsius": 21.5} == structured
    assert [{"type": "text", "text": "x"}] == whole["content"]


def test_a_failing_tool_is_exit_5(house: House) -> None:
    """``isError`` is exit 5: its text is shown, and stdout stays clean for what reads it."""
    done = house.run("call", "demo", "fail", code=5)

    assert "" == done.stdout
    assert done.stderr.startswith("it failed, as asked\nmcpvault: error: demo: tool 'fail' reported a failure")


def test_a_failing_tool_as_json(house: House) -> None:
    """With ``--json`` the result is on stdout and the error one line on stderr."""
    done = house.run("call", "demo", "fail", "--json", code=5)

    assert True is json.loads(done.stdout)["isError"]
    assert ("tool", 5, "demo") == tuple(json.loads(done.stderr)["error"][key] for key in ("kind", "code", "server"))


def test_an_unknown_tool_is_exit_5_with_a_suggestion(house: House) -> None:
    """A misspelt tool is found out, with and without the list of tools at hand."""
    for words in (["{}"], ["-a", "message=x"]):
        done = house.run("call", "demo", "ecko", *words, code=5)
        assert "mcpvault: error: demo: no tool 'ecko'\nmcpvault: hint: did you mean 'echo'?\n" == done.stderr


def test_a_timeout_ends_the_call(house: House) -> None:
    """``--timeout`` limits the whole call; its end is exit 4."""
    done = house.run("call", "demo", "slow", '{"seconds": 30}', "--timeout", "1", code=4)

    assert "mcpvault: error: " in done.stderr


def test_a_call_without_terminal_never_waits(house: House) -> None:
    """A locked vault is exit 6 at once when there is nobody to ask."""
    done = house.run("call", "demo", "echo", "{}", code=6, XDG_DATA_HOME=str(house.home / "elsewhere"))

    assert "MCPVAULT_KEY_FILE" in done.stderr


def test_a_terminal_is_not_sent_escape_sequences(house: House) -> None:
    """What a tool says goes into a pipe as it is, and to a terminal without control characters."""
    pexpect = pytest.importorskip("pexpect")
    words = ("call", "demo", "echo", '{"message": "a\\u001b[31mred"}')

    piped = house.run(*words).stdout
    (program, *rest), env = house.command(words, {"TERM": "xterm"})
    shown = pexpect.spawn(program, rest, env=env, encoding="utf-8", timeout=60).read()

    assert "a\x1b[31mred\n" == piped
    assert "a[31mred" == shown.strip()


def test_progress_that_is_no_number_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A number beyond what a float holds does not end the call; the next one that is a number is shown."""
    with Meanwhile() as meanwhile:
        for progress in (10**400, "half", 3):
            assert meanwhile.on_progress is not None
            meanwhile.on_progress({"progress": progress, "total": 10**400})

    assert "progress: 3\n" == capsys.readouterr().err
