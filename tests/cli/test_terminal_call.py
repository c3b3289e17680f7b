"""``call`` for a person: progress, log messages, Markdown, and the end by ctrl-C, on terminals of several kinds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import INTERRUPT, LONGEST, House, furnished

SLOW = ("call", "demo", "slow", '{"seconds": 0.3, "steps": 3}')
TABLE = "| a | b |\n|---|---|\n| 1 | `two` |\n"
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;)[0-9;]*m")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home whose server reports progress, logs, and answers with every kind of content."""
    with furnished(tmp_path, interactive=True, sse=True) as made:
        yield made


def plain(shown: str) -> str:
    """Return what was shown without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r\n", "\n")


def test_progress_is_lines_on_stderr_without_a_terminal(house: House) -> None:
    """The result alone is on stdout; the first and the last step are told on stderr, others once a second at most."""
    done = house.run(*SLOW)

    assert ("done after 3 steps\n", "progress: 1/3\nprogress: 3/3\n") == (done.stdout, done.stderr)


def test_quiet_and_json_are_silent(house: House) -> None:
    """``--quiet`` asks the server for no progress; with ``--json`` stderr is for an error alone."""
    assert ["", ""] == [house.run(*SLOW, option).stderr for option in ("--quiet", "--json")]
    assert [] == [each for each in house.server.called("tools/call") if "progressToken" in each.body.decode()]


@pytest.mark.parametrize("columns", [40, 120])
def test_a_bar_is_drawn_and_taken_away(house: House, columns: int) -> None:
    """On a terminal progress is a bar no wider than it, which is gone when the result comes."""
    shown = house.talk(*SLOW, columns=columns, TERM="xterm-256color")

    bars = [line for line in re.split(r"[\r\n]+", plain(shown)) if "━" in line]
    assert ["1/3", "2/3", "3/3"] == list(dict.fromkeys(line.split()[-1] for line in bars))
    assert {True} == {len(line) <= columns for line in bars}
    assert shown.endswith("\x1b[2Kdone after 3 steps\r\n")


def test_a_terminal_that_cannot_draw_gets_lines(house: House) -> None:
    """With TERM=dumb there is no bar and no escape sequence."""
    shown = house.talk(*SLOW, TERM="dumb")

    assert "progress: 1/3\r\n" in shown
    assert not {"\x1b", "━"} & {*shown}


def test_no_color_is_obeyed(house: House) -> None:
    """NO_COLOR takes the colours away, not the bar."""
    coloured, bare = (house.talk(*SLOW, columns=80, TERM="xterm-256color", **env) for env in ({}, {"NO_COLOR": "1"}))

    assert (True, None, True) == (bool(COLOUR.search(coloured)), COLOUR.search(bare), "━" in bare)


def test_log_messages_are_shown_by_level(house: House) -> None:
    """On stderr, from warning on without a terminal and from info on with one; ``--log`` says otherwise."""
    ends = {
        (): "warning",
        ("--log", "error"): "error",
        ("--log", "debug"): "debug",
    }
    for options, first in ends.items():
        done = house.run("call", "demo", "log", *options)
        assert ("logged\n", f"server: {first}: {first}") == (done.stdout, done.stderr.splitlines()[0])
    assert "" == house.run("call", "demo", "log", "--log", "off").stderr
    assert house.talk("call", "demo", "log").startswith("server: info: info\r\n")


def test_log_messages_that_are_asked_for_come_with_json_too(house: House) -> None:
    """``--json`` alone shows none; with ``--log`` they are on stderr, and stdout is the result's alone."""
    quiet, logged = (house.run("call", "demo", "log", "--json", *options) for options in ((), ("--log", "debug")))

    assert (quiet.stdout, "") == (logged.stdout, quiet.stderr)
    assert "logged" == json.loads(logged.stdout)["content"][0]["text"]
    assert "server: debug: debug" == logged.stderr.splitlines()[0]
    assert "" == house.run("call", "demo", "log", "--json", "--log", "off").stderr


def test_quiet_and_log_contradict_each_other(house: House) -> None:
    """Of two options that cannot both be obeyed none is passed over; nothing is sent."""
    for verb in (("call", "demo", "log"), ("prompts", "demo"), ("shell", "demo")):
        assert "--quiet shows no log messages" in house.run(*verb, "--quiet", "--log", "debug", code=2).stderr
    assert [] == house.server.requests
    assert "logged\n" == house.run("call", "demo", "log", "--quiet", "--log", "off").stdout


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_ctrl_c_cancels_the_call_on_the_server(tmp_path: Path, era: str) -> None:
    """Ctrl-C during a call is 130; the server is told (legacy), or its stream is closed (modern)."""
    with furnished(tmp_path, interactive=True, sse=True, era=era) as house:
        words = ("call", "demo", "slow", '{"seconds": 20, "steps": 100}')
        shown = house.talk(*words, answers=[("progress: 1/100", INTERRUPT)], code=130)

        assert shown.endswith("mcpvault: interrupted\r\n")
        assert (era == "legacy") is bool(house.server.called("notifications/cancelled"))
        ends = time.monotonic() + LONGEST
        while era == "modern" and not house.server.abandoned:
            assert time.monotonic() < ends, "the server still writes to an open stream"
            time.sleep(0.01)


def test_markdown_is_laid_out_on_a_terminal_only(house: House) -> None:
    """Headings lose their marks and tables get lines on a terminal; a pipe gets the server's text."""
    house.server.offer.gallery = [  # type: ignore[attr-defined]
        {"type": "text", "text": "# Title\n\nsome **strong** words"},
        {"type": "resource", "resource": {"uri": "x:y", "mimeType": "text/markdown", "text": TABLE}},
        {"type": "text", "text": "# not a title\nexit 1  # *plain*"},
    ]

    shown = plain(house.talk("call", "demo", "gallery", columns=60, TERM="xterm"))

    assert ("Title", False) == (shown.split()[0], "**" in shown)
    assert ("a  b", "1  two") == tuple(line.strip() for line in shown.splitlines() if line.startswith((" a", " 1")))
    assert shown.endswith("# not a title\nexit 1  # *plain*\n")
    assert "# Title\n\nsome **strong** words\n" + TABLE + "\n# not" in house.run("call", "demo", "gallery").stdout


def test_a_link_shows_where_it_leads(house: House) -> None:
    """Laid-out Markdown has no hidden links: the address is printed, without an escape sequence around it."""
    text = "**see** [your bank](https://evil.example/)\n"
    house.server.offer.gallery = [{"type": "text", "text": text}]  # type: ignore[attr-defined]

    shown = house.talk("call", "demo", "gallery", TERM="xterm")

    assert ("https://evil.example/" in plain(shown), "\x1b]8" in shown) == (True, False)


def test_structured_content_is_json(house: House) -> None:
    """It is printed as JSON where no text says something else; on a terminal it follows the text."""
    words = ("call", "demo", "structured", '{"city": "Bern"}')

    assert "21.5 °C\n" == house.run(*words).stdout
    text, _, rest = house.talk(*words).partition("\r\n")
    assert ("21.5 °C", {"city": "Bern", "celsius": 21.5}) == (text, json.loads(rest))


def test_json_on_a_terminal_has_no_control_characters(house: House) -> None:
    """C1 control characters, which JSON leaves alone, are escaped where a terminal would obey them."""
    shown = house.talk("call", "demo", "structured", '{"city": "a\\u009b31m"}', "--json")

    assert ("\\u009b31m", False) == (shown[shown.index("\\u") :][:9], "\x9b" in shown)
    assert "a\x9b31m" == json.loads(shown)["city"]
