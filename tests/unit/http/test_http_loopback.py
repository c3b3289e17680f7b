"""The listener for the browser's return: what it takes for the answer, and what it does not let itself be held by."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_servers import CANARY

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError, UsageError
from mcpvault.http import Loopback, loopback

QUERY = f"code={CANARY}&state=ours&iss=https%3A%2F%2Fas.example.com"


class Waiting:
    """A listener that waits on a thread of its own, and what came of it."""

    def __init__(self, loop: Loopback, judge: Callable[[str], bool], seconds: float) -> None:
        self.loop = loop
        self.judged: list[str] = []
        self.outcome: object = None

        def noting(url: str) -> bool:
            self.judged.append(url)
            return judge(url)

        def wait() -> None:
            try:
                self.outcome = loop.wait(noting, Deadline(seconds))
            except Exception as e:
                self.outcome = e

        self.thread = threading.Thread(target=wait)
        self.thread.start()

    def ended(self) -> object:
        """Wait for the end; return the URL or the error."""
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.outcome

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.loop.port), timeout=20)

    def ask(self, request: str | bytes) -> tuple[int, str]:
        """Send raw text; return the status and all that was answered."""
        with self.connect() as connection:
            connection.sendall(request.encode("latin-1") if isinstance(request, str) else request)
            return self.read(connection)

    @staticmethod
    def read(connection: socket.socket) -> tuple[int, str]:
        """Read to the end."""
        said = b""
        while piece := connection.recv(65536):
            said += piece
        return int(said.split(b" ")[1]), said.decode()

    def get(self, target: str, host: str | None = None, more: str = "") -> tuple[int, str]:
        """Send a GET as browsers do."""
        return self.ask(f"GET {target} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{self.loop.port}'}\r\n{more}\r\n")


@pytest.fixture
def waiting() -> Iterator[Callable[..., Waiting]]:
    """Return a function that makes a listener wait for ``state=ours``."""
    made: list[Waiting] = []

    def make(judge: Callable[[str], bool] | None = None, *, seconds: float = 30, **options: Any) -> Waiting:
        loop = Loopback(**options)
        made.append(Waiting(loop, judge or (lambda url: "state=ours" in url), seconds))
        return made[-1]

    yield make
    for one in made:
        with one.connect() as last:  # it may be waiting still
            last.sendall(f"GET /callback?state=ours HTTP/1.1\r\nHost: localhost:{one.loop.port}\r\n\r\n".encode())
            one.thread.join(30)
        one.loop.close()


def test_the_answer_arrives(waiting: Any) -> None:
    """The URL comes back whole, with every parameter, and the browser gets a page."""
    here = waiting()

    status = here.get(f"/callback?{QUERY}")[0]

    assert f"{here.loop.redirect_uri}?{QUERY}" == here.ended()
    assert f"http://127.0.0.1:{here.loop.port}/callback" == here.loop.redirect_uri
    assert 200 == status


def test_the_page_leaks_nothing(waiting: Any) -> None:
    """Neither code nor state is in it, nothing is loaded from elsewhere, nothing is kept or told to others."""
    said = waiting().get(f"/callback?{QUERY}")[1]
    head, _, page = said.partition("\r\n\r\n")

    assert [] == [word for word in (CANARY, "ours", "as.example.com") if word in said]
    assert [] == re.findall(r"(?:src|href|action)=|<script|url\(", page)
    assert {
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Content-Type-Options: nosniff",
        "Content-Type: text/html; charset=utf-8",
        "Connection: close",
        f"Content-Length: {len(page.encode())}",
    } == set(head.split("\r\n")[1:])


def test_the_page_is_accessible(waiting: Any) -> None:
    """It has a language, a title, a main part and a heading, and follows the reader's colours."""
    _, said = waiting().get(f"/callback?{QUERY}")

    for part in ('<html lang="en">', "<title>", "<main>", "<h1>", "width=device-width", "light dark"):
        assert part in said


def test_a_real_client_is_served(waiting: Any) -> None:
    """The standard library's HTTP client reads the page as it reads others."""
    here = waiting()
    with urllib.request.urlopen(f"{here.loop.redirect_uri}?{QUERY}", timeout=20) as response:
        assert b"Back to the terminal" in response.read()
    assert f"{here.loop.redirect_uri}?{QUERY}" == here.ended()


def test_what_is_not_the_answer_does_not_end_the_waiting(waiting: Any) -> None:
    """An icon, another page, a foreign state: each gets its status, and the answer is still awaited."""
    here = waiting()

    assert [404, 404, 404, 400, 400, 400] == [
        here.get(target)[0]
        for target in (
            "/favicon.ico",
            "/",
            "/callback/x?state=ours",
            "/callback?state=theirs",
            "/callback?error=access_denied",
            "/callback",
        )
    ]
    assert 200 == here.get(f"/callback?{QUERY}")[0]
    assert f"{here.loop.redirect_uri}?{QUERY}" == here.ended()


def test_a_refusal_is_an_answer_too(waiting: Any) -> None:
    """``error=`` with our state ends the waiting; what it means is not for the listener or its page to say."""
    here = waiting()
    status, said = here.get("/callback?error=access_denied&error_description=%3Cb%3Eevil&state=ours")

    assert f"{here.loop.redirect_uri}?error=access_denied&error_description=%3Cb%3Eevil&state=ours" == here.ended()
    assert (200, False, False) == (status, "evil" in said, "denied" in said)


def test_the_page_says_no_only_where_the_judge_does(waiting: Any) -> None:
    """``error=`` is not read here: another authorization server's must not be acted upon."""
    here = waiting(lambda url: "refusal" if "iss=ours" in url else "answer")
    assert "Back to the terminal" in here.get("/callback?error=access_denied&iss=theirs&state=ours")[1]
    here.ended()
    here = waiting(lambda url: "refusal" if "iss=ours" in url else "answer")
    assert "The answer was no" in here.get("/callback?error=access_denied&iss=ours&state=ours")[1]


@pytest.mark.parametrize("error", [UsageError("not the redirect"), ValueError("no URL")])
def test_a_judge_that_fails_says_no(waiting: Any, error: Exception) -> None:
    """What the judge cannot read is not ours; nobody ends a login by sending rubbish."""

    def judge(url: str) -> bool:
        if "rubbish" in url:
            raise error
        return True

    here = waiting(judge)
    assert [400, 200] == [here.get("/callback?rubbish")[0], here.get("/callback?x=1")[0]]
    assert f"{here.loop.redirect_uri}?x=1" == here.ended()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_another_host_is_refused(waiting: Any, host: str) -> None:
    """A name that somebody's DNS leads here (rebinding) is not ours; the judge is not even asked."""
    here = waiting()

    assert 400 == here.get("/callback?state=ours", host.format(port=here.loop.port) or " ")[0]
    assert [] == here.judged


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_this_machine_has_two_names(waiting: Any, host: str) -> None:
    """A redirect URI may name either."""
    here = waiting()

    assert 200 == here.get("/callback?state=ours", host.format(port=here.loop.port))[0]


@pytest.mark.parametrize(
    "request_, status",
    [
        ("POST /callback?state=ours HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nx=1&y", 405),
        ("HEAD /callback?state=ours HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
        ("GET http://{host}/callback?state=ours HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        ("GET /callback?state=ours HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n", 400),
        ("GET /callback?state=ours HTTP/1.1\r\nAccept: */*\r\n\r\n", 400),
        ("GET /callback?state=ours\r\nHost: {host}\r\n\r\n", 400),
        ("GET  /callback?state=ours HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        ("GET /callback?state=ours&\xe9 HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        ("GET /callback?state=ours HTTP/2.0\r\nHost: {host}\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        ("\r\n\r\n", 400),
        ("GET /callback?state=ours&x=" + "x" * 17_000 + " HTTP/1.1\r\nHost: {host}\r\n\r\n", 431),
        ("GET /callback?state=ours HTTP/1.1\r\nX: " + "x" * 60_000, 431),
    ],
)
def test_only_a_plain_get_is_an_answer(waiting: Any, request_: str, status: int) -> None:
    """Everything else is told so, and the waiting goes on."""
    here = waiting()

    assert status == here.ask(request_.format(host=f"127.0.0.1:{here.loop.port}"))[0]
    assert [] == here.judged
    assert 200 == here.get("/callback?state=ours")[0]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_an_answer_may_come_in_pieces(waiting: Any, size: int) -> None:
    """Where a request is cut does not matter."""
    here = waiting()
    request = f"GET /callback?{QUERY} HTTP/1.1\r\nHost: localhost:{here.loop.port}\r\nAccept: */*\r\n\r\n".encode()
    with here.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(request), size):
            connection.send(request[i : i + size])
        assert 200 == here.read(connection)[0]

    assert f"{here.loop.redirect_uri}?{QUERY}" == here.ended()


def test_idle_connections_hold_nobody(waiting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers open connections in advance: they neither delay the answer nor stay open beyond their two seconds."""
    assert 2 == loopback._PATIENCE
    monkeypatch.setattr("mcpvault.http.loopback._PATIENCE", 0.5)
    here = waiting()
    idle = [here.connect() for _ in range(8)]
    idle[0].sendall(b"GET /callback?state=ours HT")
    with here.connect() as late:
        late.settimeout(20)
        assert b"" == late.recv(1)  # its time was over
    assert [b""] * 8 == [one.recv(1) for one in idle]
    assert 200 == here.get("/callback?state=ours")[0]
    for one in idle:
        one.close()


def test_many_connections_do_not_keep_the_answer_out(waiting: Any) -> None:
    """Beyond a number the oldest is closed in favour of the newest, and only that one."""
    here = waiting()
    crowd = [here.connect() for _ in range(65)]

    assert b"" == crowd[0].recv(1)
    crowd[1].sendall(f"GET /callback?state=ours HTTP/1.1\r\nHost: localhost:{here.loop.port}\r\n\r\n".encode())
    assert 200 == here.read(crowd[1])[0]
    for one in crowd:
        one.close()


def test_the_answer_is_not_closed_in_favour_of_the_newest(waiting: Any) -> None:
    """An answer that was judged good stays when one connection too many comes in the same turn."""
    crowd: list[socket.socket] = []

    def judge(url: str) -> bool:
        if "state=ours" in url:
            return True
        crowd[0].sendall(request("ours"))  # while the listener is at another request: both are in its next turn
        crowd.append(here.connect())
        return False

    here = waiting(judge)

    def request(state: str) -> bytes:
        return f"GET /callback?state={state} HTTP/1.1\r\nHost: localhost:{here.loop.port}\r\n\r\n".encode()

    crowd += [here.connect() for _ in range(64)]
    crowd[-1].sendall(request("wrong"))

    assert 200 == here.read(crowd[0])[0]
    assert f"{here.loop.redirect_uri}?state=ours" == here.ended()
    for one in crowd:
        one.close()


def test_an_answer_whose_sender_is_gone_still_counts(waiting: Any) -> None:
    """The page cannot be delivered; the code has arrived."""
    here = waiting()
    with here.connect() as connection:
        connection.sendall(f"GET /callback?{QUERY} HTTP/1.1\r\nHost: localhost:{here.loop.port}\r\n\r\n".encode())

    assert f"{here.loop.redirect_uri}?{QUERY}" == here.ended()


def test_the_waiting_ends_with_the_deadline() -> None:
    """Nobody comes: an error that says what to do instead."""
    with Loopback() as loop, pytest.raises(DeadlineExceededError, match="nobody came back to http://127") as caught:
        loop.wait(lambda _: True, Deadline(0.2))

    assert (4, True) == (caught.value.exit_code, "--method paste" in str(caught.value.hint))


def test_the_waiting_ends_with_ctrl_c() -> None:
    """An interrupt is heard at once."""
    code = (
        "import sys\nfrom mcpvault.deadline import Deadline\nfrom mcpvault.http import Loopback\n"
        "with Loopback() as loop:\n"
        "    print(loop.port, flush=True)\n"
        "    try:\n        loop.wait(lambda _: True, Deadline(60))\n"
        "    except KeyboardInterrupt:\n        sys.exit(77)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    port = int(child.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=20) as visit:
        visit.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        visit.recv(1)  # so it waits
        child.send_signal(signal.SIGINT)
    assert 77 == child.wait(30)
    child.stdout.close()
