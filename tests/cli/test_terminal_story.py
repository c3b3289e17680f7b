"""
A new user's first hour at a terminal, wide and narrow, with and without colour: what is shown is pinned.

With PIN=1 in the environment the pinned texts are written anew.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import TOKEN, Home

from mcpvault.testing import FakeMcpServer

PINNED = Path(__file__).parent / "stories"
NEW = "new-token-of-the-story-2bQ7xW4m"
# What differs from run to run, and has the same length in each, so that lines break in the same places.
_TIMES = re.compile(r"20\d\d-\d\d-\d\d(?:T[\d:]+Z)?")
VOLATILE = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"/tmp/story-[a-z0-9_]{8}", "/tmp/story-HOMEHOME"),
    (r"127\.0\.0\.1:\d{5}", "127.0.0.1:PORTS"),
    (r"mvr1-[0-9a-z-]+", "mvr1-ROOT"),
    (r"(?:[a-z]{5} ){5}[a-z]{5}", "words words words words words words"),
    (r"\b[0-9a-f]{8}\b", "FINGERPR"),
    (r"[A-Za-z0-9_-]{22}\.key", "VAULTIDVAULTIDVAULTIDV.key"),
)


@pytest.fixture
def home() -> Iterator[Home]:
    """An empty home whose path has the same length in each run."""
    folder = tempfile.mkdtemp(prefix="story-", dir="/tmp")
    yield Home(Path(folder))
    shutil.rmtree(folder)


def normal(shown: str) -> str:
    """Return what was shown without what differs from run to run."""
    text = shown.replace("\r\n", "\n")
    for form, instead in VOLATILE:
        text = re.sub(form, instead, text)
    text = _TIMES.sub(lambda found: re.sub(r"\d", "0", found[0]), text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def audited(shown: str) -> str:
    """Return the events of a log as it was shown; who and where is another machine's business."""
    events = re.findall(r"^ {1,2}[02]0\S+\s+([a-z]+)", normal(shown), re.MULTILINE)
    return " ".join(events) + "\n"


def story(home: Home, columns: int, term: str) -> tuple[str, str]:
    """Live through it; return everything as it was shown, and as it is pinned."""
    raw, pinned = "", ""

    def talk(*words: str, answers: tuple[tuple[str, str], ...] = (), keep: bool = True) -> None:
        nonlocal raw, pinned
        shown = home.talk(*words, answers=answers, columns=columns, TERM=term)
        raw += shown
        pinned += f"$ mcpvault {' '.join(words)}\n".replace(server.url, "http://127.0.0.1:PORTS/mcp")
        pinned += normal(shown) if keep else audited(shown)

    with FakeMcpServer(token=TOKEN) as server:
        server.tokens[NEW] = None
        talk("init")
        talk("add", "demo", server.url, "--bearer-prompt", answers=((": ", f"{TOKEN}\n"),))
        talk("list")
        talk("call", "demo", "echo", "-a", "message=hello")
        talk("set", "demo", "policy.max_age", "90d")
        talk("rotate", "demo", "--prompt", "--grace", "2h", answers=((": ", f"{NEW}\n"),))
        talk("due")
        talk("forecast", "--days", "100")
        talk("status")
        talk("history", "demo")
        talk("audit", "show", "demo", keep=False)
    for secret in (TOKEN, NEW, home.key.read_text().strip()):
        assert secret not in raw
    return raw, pinned


@pytest.mark.parametrize(
    ("columns", "term"),
    [
        (120, "xterm-256color"),
        (60, "dumb"),
        (44, "xterm-256color"),
        pytest.param(120, "dumb", marks=pytest.mark.storm),
        pytest.param(60, "xterm-256color", marks=pytest.mark.storm),
    ],
)
def test_the_first_hour(home: Home, columns: int, term: str) -> None:
    """From ``init`` to the audit log the text is the same in colour and without, and no line is wider than it may."""
    raw, pinned = story(home, columns, term)

    file = PINNED / f"first-hour-{columns}.txt"
    if os.environ.get("PIN"):
        file.write_text(pinned, "utf-8")
    assert file.read_text("utf-8") == pinned
    assert ("\x1b[" in raw) is (term != "dumb")
    drawn = [line for line in re.sub(VOLATILE[0][0], "", raw).split("\r\n") if "─" in line or "  " in line.strip()]
    assert [] == [line for line in drawn if len(line) > columns]
