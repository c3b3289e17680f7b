"""What a server asks of the person at the terminal: forms and pages, and the declining where there is nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from house import END, INTERRUPT, House, furnished

ASK, VISIT = ("call", "demo", "ask"), ("call", "demo", "visit")
TAGS = [{"const": "a", "title": "Alpha"}, {"const": "b"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "mail": {"type": "string", "format": "email", "title": "E-mail"},
        "tags": {"type": "array", "items": {"anyOf": TAGS}, "minItems": 1},
        "share": {"type": "number", "maximum": 1},
        "news": {"type": "boolean", "default": False, "description": "one a \x1b[31mweek"},
        "nick": {"type": "string"},
    },
    "required": ["mail", "tags"],
}


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """A home whose server asks; in the modern way, unless a test wants it otherwise."""
    with furnished(tmp_path, interactive=True, era=getattr(request, "param", "modern")) as made:
        yield made


both_eras = pytest.mark.parametrize("house", ["modern", "legacy"], indirect=True)


def answer(shown: str) -> Any:
    """Return what the server says it was answered."""
    return json.loads(shown.strip().splitlines()[-1])


@both_eras
def test_a_form_is_filled_in(house: House) -> None:
    """Defaults are taken by Enter, choices by number or name, and what does not fit is asked for again."""
    answers = [
        ("demo asks: who are you?\r\nFill in 3 fields? [Y/n]: ", "\n"),
        ("Your name (text, 2 characters or more)\r\n  : ", "A\n"),
        ("Your name must be 2 characters or more\r\n  : ", "Ada\n"),
        ("1) red\r\n  2) green\r\n  [green]: ", "1\n"),
        ("[7]: ", "-3\n"),
        ("age must be 0 or more\r\n  [7]: ", "\n"),
        ("Your name: Ada\r\n  color: red\r\n  age: 7\r\nSend it? [Y]es, [c]hange, [n]o: ", "\n"),
    ]
    shown = house.talk(*ASK, answers=answers)

    assert {"action": "accept", "content": {"name": "Ada", "color": "red", "age": 7}} == answer(shown)


def test_every_kind_of_field(house: House) -> None:
    """Formats, choices, numbers, booleans and fields that may be left out; a change begins with what was said."""
    answers = [
        ("[Y/n]: ", "y\n"),
        ("E-mail (text, email)\r\n  : ", "ada\n"),
        ("E-mail is no email\r\n  : ", "\n"),
        ("E-mail must be filled in\r\n  : ", "ada@example.com\n"),
        ("tags (several, separated by commas, 1 choices or more)\r\n  1) Alpha (a)\r\n  2) b\r\n  : ", "1, c\n"),
        ("tags is none of the choices\r\n  : ", "1, b\n"),
        ("share (number, 1 or less, optional)\r\n  : ", "much\n"),
        ("share is no number\r\n  : ", "0.5\n"),
        ("news (y or n, optional)\r\n  one a [31mweek\r\n  [no]: ", "perhaps\n"),
        ("news is neither true nor false\r\n  [no]: ", "y\n"),
        ("nick (text, optional)\r\n  : ", "\n"),
        ("tags: Alpha, b\r\n  share: 0.5\r\n  news: yes\r\n  nick: (left out)\r\nSend it?", "c\n"),
        ("[ada@example.com]: ", "\n"),
        ("[Alpha, b]: ", "a\n"),
        ("[0.5]: ", "\n"),
        ("[yes]: ", "\n"),
        ("nick (text, optional)\r\n  : ", "\n"),
        ("Send it?", "y\n"),
    ]
    shown = house.talk(*ASK, json.dumps({"schema": SCHEMA}), answers=answers)

    assert "\x1b" not in shown
    sent = {"mail": "ada@example.com", "tags": ["a"], "share": 0.5, "news": True}
    assert {"action": "accept", "content": sent} == answer(shown)


@pytest.mark.parametrize(
    ("answers", "action"),
    [
        ([("[Y/n]: ", "n\n")], "decline"),
        ([("[Y/n]: ", END)], "cancel"),
        ([("[Y/n]: ", "y\n"), ("  : ", END)], "cancel"),
        ([("[Y/n]: ", "y\n"), ("  : ", "Ada\n"), ("[green]: ", "\n"), ("[7]: ", "\n"), ("[n]o: ", "n\n")], "decline"),
    ],
)
def test_no_is_an_answer(house: House, answers: list[tuple[str, str]], action: str) -> None:
    """A person may decline before and after filling in, and close the form at any field; nothing of it is sent then."""
    assert {"action": action} == answer(house.talk(*ASK, answers=answers))


def test_ctrl_c_in_a_form_ends_the_call(house: House) -> None:
    """Ctrl-C at a question is no answer to it: the call ends with 130."""
    shown = house.talk(*ASK, answers=[("[Y/n]: ", "\n"), ("  : ", INTERRUPT)], code=130)

    assert shown.endswith("mcpvault: interrupted\r\n")


@both_eras
def test_without_a_terminal_everything_is_declined(house: House) -> None:
    """Nobody waits: the server hears "decline", and stderr says what was asked, unless it is to be quiet."""
    done = house.run(*ASK)

    assert {"action": "decline"} == answer(done.stdout)
    assert "demo asks: who are you?\n  declined: there is no terminal to ask on\n" == done.stderr
    assert ("decline\n", "") == ((quiet := house.run(*VISIT, "--quiet")).stdout, quiet.stderr)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Count a visit."""
        self.server.visits.append(self.path)  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    """A page on loopback that counts its visits."""
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        server.visits = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("agrees", [True, False])
def test_a_page_is_opened_after_consent_and_without_a_shell(house: House, page: HTTPServer, agrees: bool) -> None:
    """The whole address is shown; the browser gets it as one word; without a yes nobody fetches anything."""
    url = f"http://127.0.0.1:{page.server_port}/visit?a=$(id)&b=1;c"
    browser = house.home / "browser"
    browser.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" > "$HOME/visited"\n')
    browser.chmod(0o755)
    asked = f"\r\n  {url}\r\n\r\n  it leads to 127.0.0.1\r\nOpen it in your browser? [y/N]: "
    begun = [(asked, "y\n" if agrees else "\n")]
    done = [("Press Enter when you are done there: ", "\n")] if agrees else []

    shown = house.talk(*VISIT, json.dumps({"url": url}), answers=begun + done, BROWSER=f"{browser} %s")

    assert ("accept" if agrees else "decline") == shown.split()[-1]
    assert [] == page.visits  # type: ignore[attr-defined]
    visited = house.home / "visited"
    assert (url + "\n" if agrees else None) == (visited.read_text() if visited.exists() else None)


def test_a_page_that_looks_like_another_is_warned_of(house: House) -> None:
    """Punycode, a user name that looks like a host, and plain http are pointed out before anybody agrees."""
    url = "http://bank.example@xn--bnk-ula.example/"
    shown = house.talk(*VISIT, json.dumps({"url": url}), answers=[("[y/N]: ", END)])

    assert ["Punycode", "user name", "not encrypted"] == [
        word for word in ("Punycode", "user name", "not encrypted") if word in shown.partition("Open it")[0]
    ]
    assert "cancel" == shown.split()[-1]


@pytest.mark.parametrize("url", ["https://%D0%B0pple.com/", r"https://evil.example\@good.example/"])
def test_a_page_that_leads_elsewhere_is_not_asked_about(house: House, url: str) -> None:
    """Nobody is told to visit an address whose host browsers read otherwise; the call ends with exit 5."""
    shown = house.talk(*VISIT, json.dumps({"url": url}), answers=[], code=5)

    assert "the server wants a visit to" in shown
    assert url not in shown
    assert "Open it" not in shown
