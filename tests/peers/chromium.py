"""
Debian's Chromium without a window, driven over its own debugging protocol on a pipe: pages are clicked and looked at.

Only what a login needs is here. It reaches nothing but this machine: every other name is mapped to nowhere.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE = 30  # seconds
_FRAME = 3.0  # seconds for a picture: one that falls into the change of a page's process is never answered
_BETWEEN_PAGES = ("context", "Not attached to an active page")
# The protocol is spoken on the descriptors 3 and 4; messages end with a zero byte.
_ON_PIPE = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
_FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=900,600", "--no-proxy-server"),
    *("--password-store=basic", "--disable-extensions"),
    *("--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)


class Browser:
    """One browser with one page."""

    def __init__(self, reader: int, writer: int) -> None:
        self.requested: list[dict[str, Any]] = []  # every request of the page, as the browser sent it
        self._reader, self._writer = reader, writer
        self._received = b""
        self._number = 0
        self._session: str | None = None
        # The page that the browser begins with is in front; one in the background need not be painted at all.
        self.wait(lambda _: self._pages())
        target = self._pages()[0]["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Accessibility"):
            self.command(f"{domain}.enable")

    def visit(self, url: str) -> None:
        """Type *url* into the address bar."""
        self.command("Page.navigate", url=url)

    def text(self, script: str) -> Any:
        """Return what an expression on the page is."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True)["result"]
        return result.get("value")

    def click(self, selector: str) -> None:
        """Move the mouse over an element and press its button, as a person does."""
        middle = "(r => [r.x + r.width / 2, r.y + r.height / 2])"
        x, y = self.text(f"{middle}(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wait(self, fits: Callable[[Browser], Any]) -> None:
        """Wait until something is true of the page."""
        ends = time.monotonic() + PATIENCE
        while not fits(self):
            assert time.monotonic() < ends, self.text("location.href + document.body.innerText.slice(0, 500)")
            self._receive(0.05)

    def at(self, beginning: str) -> None:
        """Wait until a page whose address begins so is there, whole."""
        where = f"document.readyState == 'complete' && location.href.startsWith({json.dumps(beginning)})"
        self.wait(lambda browser: browser.text(where))

    def at_callback(self) -> None:
        """Wait until the loopback page of a login is there, whole."""
        where = "document.readyState == 'complete' && location.pathname.endsWith('/callback')"
        self.wait(lambda browser: browser.text(where))

    def headings(self) -> list[str]:
        """Return the headings that a screen reader finds."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "heading"]

    def screenshot(self, file: Path) -> bytes:
        """Keep a picture of the page; return it."""
        ends = time.monotonic() + PATIENCE
        answer = None
        while answer is None:
            assert time.monotonic() < ends, "the page is not painted"
            self.command("Page.bringToFront")
            answer = self._answer(self._say("Page.captureScreenshot", format="png"), _FRAME)
        picture = base64.b64decode(answer["data"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
        return picture

    def command(self, method: str, **parameters: Any) -> Any:
        """Give an order and return what came of it; between two pages it is given again."""
        ends = time.monotonic() + PATIENCE
        while (result := self._answer(self._say(method, **parameters), PATIENCE)) is None:
            assert time.monotonic() < ends, f"{method}: no answer"
        return result

    def _pages(self) -> list[dict[str, Any]]:
        targets = self.command("Target.getTargets")["targetInfos"]
        return [each for each in targets if each["type"] == "page"]

    def _say(self, method: str, **parameters: Any) -> int:
        self._number += 1
        told = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            told["sessionId"] = self._session
        os.write(self._writer, json.dumps(told).encode() + b"\0")
        return self._number

    def _answer(self, number: int, seconds: float) -> Any:
        """Return what came of an order; None when nothing did in time, or the page is about to be another."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for message in self._receive(1.0):
                if message.get("id") != number:
                    continue
                error = message.get("error")
                if any(each in str(error) for each in _BETWEEN_PAGES):
                    return None
                assert error is None, error
                return message["result"]
        return None

    def _receive(self, seconds: float) -> list[dict[str, Any]]:
        if select.select([self._reader], [], [], seconds)[0]:
            piece = os.read(self._reader, 1 << 20)
            assert piece, "the browser has ended"
            self._received += piece
        *whole, self._received = self._received.split(b"\0")
        messages = [json.loads(each) for each in whole]
        for message in messages:
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"])
        return messages


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Run Chromium with an empty profile; it and all of its processes are gone at the end of the block."""
    program = shutil.which("chromium")
    assert program is not None
    theirs, writer = os.pipe()
    reader, back = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-c", _ON_PIPE, str(theirs), str(back), program),
            *(*_FLAGS, f"--user-data-dir={profile}", "about:blank"),
        ],
        pass_fds=(theirs, back),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(profile.parent), "LANG": "C.UTF-8"},
    )
    os.close(theirs)
    os.close(back)
    try:
        yield Browser(reader, writer)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        os.close(reader)
        os.close(writer)
