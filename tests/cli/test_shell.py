"""``shell`` on a real terminal and from stdin: lines, completion, history, errors, ctrl-C."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import END, INTERRUPT, TOKEN, House, furnished
from hypothesis import given
from hypothesis import strategies as st

from mcpvault import Session
from mcpvault.cli.shell import Shell
from mcpvault.cli.shell_completion import Completion
from mcpvault.cli.shell_lines import continued, may_be_kept, unfinished, words_of
from mcpvault.connectors import HttpConnector
from mcpvault.errors import UsageError
from mcpvault.testing import FakeMcpServer

SHELL = ("shell", "demo")
PROMPT = "demo> "
TAB = "\t"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home whose server has the tools that ask and log, too."""
    with furnished(tmp_path, interactive=True, sse=True) as made:
        yield made


def history(house: House) -> list[str]:
    """Return what the shell remembers."""
    return (house.state / "shell-history").read_text().splitlines()


def test_a_person_talks_to_a_server(house: House) -> None:
    """Every verb does what the verb of the command line does, over one connection, and errors end a line only."""
    answers = [
        (PROMPT, "help\n"),
        (PROMPT, "tools add\n"),
        (PROMPT, "call add a=1 b=2\n"),
        (PROMPT, 'call echo {"message": "two words"}\n'),
        (PROMPT, "call nothing\n"),
        (PROMPT, "call fail\n"),
        (PROMPT, "cal add\n"),
        (PROMPT, 'call echo {"message"\n'),
        (PROMPT, "resources\n"),
        (PROMPT, "read fake://text/greeting\n"),
        (PROMPT, "prompts\n"),
        (PROMPT, "get greet who=Ada\n"),
        (PROMPT, "exit\n"),
    ]
    shown = house.talk(*SHELL, answers=answers)

    told = [
        "call a tool", "a  number  (required)", "\r\n3\r\n", "\r\ntwo words\r\n", "no tool 'nothing'",
        "tool 'fail' reported a failure", "did you mean 'call'?", "not a JSON object", "fake://number/{n}", "grüß dich",
        "a prompt without arguments", "user: greet Ada",
    ]  # fmt: skip
    assert told == [text for text in told if text in shown]
    assert sorted(told, key=shown.index) == told
    assert len(house.server.called("server/discover")) == 1


def test_a_form_is_filled_in_and_not_remembered(house: House) -> None:
    """A server may ask during a line; what is answered is not in the history."""
    answers = [
        (PROMPT, "call ask\n"), ("[Y/n]: ", "\n"), ("  : ", "Ada\n"), ("[green]: ", "\n"), ("[7]: ", "\n"),
        ("[n]o: ", "\n"), (PROMPT, END),
    ]  # fmt: skip
    assert '"name": "Ada"' in house.talk(*SHELL, answers=answers)
    assert ["call ask"] == history(house)


def test_the_tab_key_completes(house: House) -> None:
    """Verbs, tools, arguments, resources, prompts and, by asking the server, what a prompt's argument may become."""
    answers = [
        (PROMPT, f"ca{TAB}ec{TAB}mes{TAB}hello\n"),
        ("\r\nhello\r\ndemo> ", f"read fake://t{TAB}\n"),
        ("grüß dich \N{WAVING HAND SIGN}\r\ndemo> ", f"get gr{TAB}w{TAB}Al{TAB}\n"),
        ("user: greet Alan\r\ndemo> ", END),
    ]
    house.talk(*SHELL, answers=answers, TERM="xterm")

    assert ["call echo message=hello", "read fake://text/greeting", "get greet who=Alan"] == [
        line.rstrip() for line in history(house)
    ]


def test_the_tab_key_completes_in_a_quotation(house: House) -> None:
    """A name that is quoted or escaped is completed where a blank in it has been typed already."""
    house.server.offer.tools.append({**house.server.offer.tools[0], "name": "say it back"})
    answers = [
        (PROMPT, f"call say\\ i{TAB}mes{TAB}\n"),
        (PROMPT, f'call "say it b{TAB}\n'),
        (PROMPT, f"call 'say {TAB}\n"),
        (PROMPT, END),
    ]
    house.talk(*SHELL, answers=answers, TERM="xterm")

    typed = ["call say\\ it\\ back message=", 'call "say it back"', "call 'say it back'"]
    assert typed == [line.rstrip() for line in history(house)]
    assert ["say it back"] * 3 == [each.message["params"]["name"] for each in house.server.called("tools/call")]


def completed(session: Session, before: str, word: str = "") -> list[str]:
    """Return what the tab key offers."""
    return Completion(session, Shell.VERBS).candidates(before, word)


def test_completion_splits_a_line_as_the_shell_does(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """A tool whose name has a blank is the same tool quoted and escaped; what has a value already is not offered."""
    server = fake_mcp_servers()
    properties = {"first": {"type": "string"}, "second": {"enum": ["a b", "c"]}}
    server.offer.tools.append({"name": "two words", "inputSchema": {"type": "object", "properties": properties}})
    with HttpConnector(server.url) as connector:
        session = connector.session()

        assert ["two\\ words "] == completed(session, "call ", "two")
        for name in ("two\\ words", '"two words"', "'two words'"):
            assert ["first=", "second="] == completed(session, f"call {name} ")
            assert ["second="] == completed(session, f"call {name} first='x y' ")
            assert ["second=a\\ b ", "second=c "] == completed(session, f"call {name} ", "second=")
        assert [] == completed(session, 'call "two words ')


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        (r"call two\ ", "w", ["words ", r"wor\"lds "]),
        ("call ", "two\\", [r"two\ words ", r"two\ wor\"lds "]),
        ("call ", '"two', ['"two words" ', r'"two wor\"lds" ']),
        ('call "two ', "", ['words" ', r'wor\"lds" ']),
        ("call 'two ", "wor", ["words' ", """wor"lds' """]),
        ("call two' '", "w", ["words ", r"wor\"lds "]),
        ("call ", '"two words"', ['"two words" ']),
        ('call "two words" ', '"a', ['"a key=']),
        (r'call "two words" "a ', "k", ["key="]),
        (r'call "two words" "a ', "key=", ['key=x y" ', r'key=\\" ', """key=it's" """]),
        (r"call two\ words 'a ", "key=i", [r"key=it'\''s' "]),
        (r"call two\ words a\ ", "key=x", [r"key=x\ y "]),
        (r"call two\ words a\ key=x\ ", "", ["y "]),
        (r"call two\ words a\ ", "key=\\", [r"key=\x\ y ", "key=\\\\ ", r"key=\it\'s "]),
        ('call "two words" "a ', "key=\\", []),
        ('call "two words" ', '{"a":1}', []),
        ('call "two words" ', '{"a":', []),
        ("", '"ca', ['"call" ']),
    ],
)
def test_completion_goes_on_in_a_quotation(
    fake_mcp_servers: Callable[..., FakeMcpServer], before: str, word: str, expected: list[str]
) -> None:
    """What is typed stays as it is typed, and what is added fits the quotation and closes it."""
    server = fake_mcp_servers()
    properties = {"a key": {"enum": ["x y", "\\", "it's"]}}
    for name in ("two words", 'two wor"lds'):
        server.offer.tools.append({"name": name, "inputSchema": {"type": "object", "properties": properties}})
    with HttpConnector(server.url) as connector:
        assert expected == completed(connector.session(), before, word)


WORD = st.text(alphabet="ab \\\"'{}=é", min_size=1).filter(lambda word: not word.startswith("{"))


@given(WORD, st.integers(min_value=0), st.sampled_from(["", "'", '"']))
def test_what_is_completed_is_the_word_that_was_meant(word: str, length: int, quoting: str) -> None:
    """Whatever is typed of a word, in whichever quotation: with what is added, the line has that word."""
    typed = word[: length % len(word)]
    begun = f"call {quoting}{continued(typed, quoting)}".removesuffix(quoting)
    words, seen, state = unfinished(begun)

    assert (["call"], typed, quoting) == (words, seen, state)
    assert ["call", word] == words_of(f"{begun}{continued(word[len(typed) :], state)} ")


def test_completion_takes_any_schema(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """What a server writes where an object or a list belongs offers nothing, and is no error."""
    server = fake_mcp_servers()
    server.offer.tools[0] = {"name": "x", "inputSchema": {"properties": {"a": {"enum": 5}, "b": 5}}}
    server.offer.tools[1] = {"name": "y", "inputSchema": 5}
    prompts = [{"name": "p", "arguments": 5}, {"name": "q", "arguments": [5, {"name": "who"}]}]
    server.misbehave("result-of-wrong-shape", on="prompts/list", result={"prompts": prompts})
    with HttpConnector(server.url) as connector:
        session = connector.session()

        assert ["a=", "b="] == completed(session, "call x ")
        assert [[], [], []] == [
            completed(session, *each) for each in (("call x ", "a="), ("call x ", "b="), ("call y ",))
        ]
        assert [[], ["who="]] == [completed(session, each) for each in ("get p ", "get q ")]


def test_history_is_private_and_comes_back(house: House) -> None:
    """The file is for its owner only; the arrow key brings the last line of an earlier shell; shells add to it."""
    house.talk(*SHELL, answers=[(PROMPT, "call echo message=first\n"), (PROMPT, END)])
    assert 0o600 == stat.S_IMODE((house.state / "shell-history").stat().st_mode)

    up = [(PROMPT, "\x1b[A\n"), ("\r\nfirst\r\ndemo> ", "tools add\n"), (PROMPT, END)]
    house.talk(*SHELL, answers=up, TERM="xterm")

    assert ["call echo message=first", "call echo message=first", "tools add"] == history(house)


def test_secrets_are_not_remembered(house: House) -> None:
    """Not the vault's own, nothing that looks like one, no value under a secret's name, no line after a space."""
    lines = [
        f"call echo message={TOKEN}",
        "call echo password=hunter2hunter",
        'call echo {"message": "x", "api_key": "k"}',
        "call echo message=ghp_" + "a" * 36,
        " call echo message=secretly",
        "call echo message=harmless",
    ]
    house.talk(*SHELL, answers=[*((PROMPT, f"{line}\n") for line in lines), (PROMPT, END)])

    assert ["call echo message=harmless"] == history(house)


def test_ctrl_c_cancels_the_call_and_not_the_shell(house: House) -> None:
    """During a call ctrl-C ends it; at the prompt it drops the line; the shell goes on and ends with 0."""
    answers = [
        (PROMPT, "call slow seconds=20 steps=100\n"),
        ("progress: 1/100", INTERRUPT),
        ("interrupted", "nonsense"),
        ("nonsense", INTERRUPT),
        (PROMPT, "call echo message=still-here\n"),
        ("\r\nstill-here\r\ndemo> ", END),
    ]
    assert "there is no verb" not in house.talk(*SHELL, answers=answers)


def test_lines_come_from_stdin(house: House) -> None:
    """Without a terminal there is no prompt and no history; the exit code is that of the last line."""
    done = house.run(*SHELL, stdin="call add a=1 b=2\ncall nothing\n\ncall echo message=last\n")
    assert ("3\nlast\n", 1) == (done.stdout, done.stderr.count("mcpvault: error: "))

    done = house.run(*SHELL, "--json", stdin="call structured city=Bern\ncall nothing", code=5)
    assert ({"city": "Bern", "celsius": 21.5}, "unknown_tool") == (
        *(json.loads(done.stdout), json.loads(done.stderr)["error"]["kind"]),
    )
    assert not (house.state / "shell-history").exists()


@given(st.lists(WORD))
def test_words_that_are_quoted_come_back(words: list[str]) -> None:
    """What ``shlex.quote`` has made one word is that word again."""
    import shlex

    assert words == words_of(" ".join(shlex.quote(word) for word in words))


@given(st.text(alphabet="ab \t\\\"'é="))
def test_a_line_is_split_as_a_shell_does(line: str) -> None:
    """Words, quotations and backslashes are those of ``shlex``, mistakes too."""
    import shlex

    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(UsageError):
            words_of(line)
    else:
        assert expected == words_of(line)


@given(st.text())
def test_any_line_is_words_or_a_usage_error(line: str) -> None:
    """No line that can be typed breaks the splitting, or the judging of what is kept."""
    assert may_be_kept(line) in (True, False)
    try:
        words = words_of(line)
    except UsageError:
        return
    assert bool(line.strip()) is bool(words)


def test_what_a_server_echoes_of_our_token_is_masked(house: House) -> None:
    """A log message that holds the bare token shows a mask, in a call and in the shell."""
    said = {"method": "notifications/message", "params": {"level": "error", "data": f"got {TOKEN}"}}
    house.server.streams.logs = lambda _: iter([{"jsonrpc": "2.0", **said}])  # type: ignore[method-assign, union-attr]

    assert "server: error: got [redacted]\n" == house.run("call", "demo", "log").stderr
    assert "server: error: got [redacted]\n" == house.run(*SHELL, stdin="call log\n").stderr


def test_a_shell_runs_a_command_of_its_entry_once(house: House) -> None:
    """The ``${cmd:}`` that gives the token is run when the session is made and not again for the history."""
    count = house.home / "count"
    script = f"open({str(count)!r}, 'a').write('x'); print({TOKEN!r})"
    with house.open().change() as change:
        change.set_allow_commands(True)
        change.set_plain("demo", "auth.token", "${cmd:" + json.dumps([sys.executable, "-c", script]) + "}")
    answers = [(PROMPT, f"call echo message={TOKEN}\n"), (PROMPT, END)]

    house.talk(*SHELL, answers=answers)

    assert ("x", False) == (count.read_text(), (house.state / "shell-history").exists())
