"""``stdio``: an HTTP entry as a stdio server, for clients and servers of either era."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from house import LONGEST, TOKEN, Home, new_vault
from oauth_house import oauth_house

from mcpvault.interop.bridge import MOST_AT_ONCE
from mcpvault.testing import FakeMcpServer

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}


class Client:
    """A client that speaks to ``mcpvault stdio`` in lines of JSON."""

    def __init__(self, home: Home, *words: str, modern: bool = False, **env: str) -> None:
        command, variables = home.command(("stdio", *words), env)
        self.process = subprocess.Popen(
            command, env=variables, cwd=home.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.watchdog = threading.Timer(LONGEST, self.process.kill)
        self.watchdog.start()
        self.modern = modern
        self.heard: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self._id = 0

    def send(self, message: Any) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> Any:
        """Read one line."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request and return its id."""
        self._id += 1
        if self.modern:
            params = {**(params or {}), "_meta": {**META, **(params or {}).get("_meta", {})}}
        self.send({"jsonrpc": "2.0", "id": self._id, "method": method, **({"params": params} if params else {})})
        return self._id

    def outcome(self, id_: int) -> dict[str, Any]:
        """Read until the answer to *id_*; answer what is asked meanwhile, keep what is heard."""
        while True:
            message: dict[str, Any] = self.line()
            if "method" not in message:
                assert id_ == message["id"]
                return message
            self.heard.append(message)
            if "id" in message:
                self.send({"jsonrpc": "2.0", "id": message["id"], "result": self.answers[message["method"]]})

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Return the result of a request."""
        return self.outcome(self.begin(method, params))["result"]

    def initialize(self) -> Any:
        """Shake hands as a legacy client does."""
        params = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "clientInfo": {"name": "t"}}
        told = self.ask("initialize", params)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return told


@contextmanager
def client(home: Home, *words: str, code: int = 0, **options: Any) -> Iterator[Client]:
    """Start the bridge, close its stdin at the end, and see it end."""
    made = Client(home, *words, **options)
    try:
        yield made
        assert made.process.stdin is not None and made.process.stderr is not None
        made.process.stdin.close()
        assert code == made.process.wait(LONGEST)
        said = made.process.stderr.read()
        assert b"" == said
    finally:
        made.watchdog.cancel()
        made.process.kill()
        made.process.wait()
        for stream in (made.process.stdin, made.process.stdout, made.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture(params=["modern", "legacy"])
def server(request: pytest.FixtureRequest) -> Iterator[FakeMcpServer]:
    """A server of each era that asks its client for things."""
    with FakeMcpServer(era=request.param, token=TOKEN, interactive=True) as made:
        yield made


def test_a_legacy_client_meets_either_era(tmp_path: Path, server: FakeMcpServer) -> None:
    """initialize, ping, a list, a call, an error with the server's code; the credential is the vault's."""
    home = new_vault(tmp_path, server.url)
    with client(home, "demo") as bridge:
        told = bridge.initialize()
        assert ("2025-06-18", "mcpvault-fake") == (told["protocolVersion"], told["serverInfo"]["name"])
        assert {} == bridge.ask("ping")
        assert "echo" in {tool["name"] for tool in bridge.ask("tools/list")["tools"]}
        assert "hi" == bridge.ask("tools/call", {"name": "echo", "arguments": {"message": "hi"}})["content"][0]["text"]
        assert -32602 == bridge.outcome(bridge.begin("prompts/get", {"name": "nobody"}))["error"]["code"]

    assert {f"Bearer {TOKEN}"} == {request.headers.get("authorization") for request in server.requests}


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_only_methods_and_parameters_go_on(tmp_path: Path, era: str) -> None:
    """The client's ids and whatever else stands in its messages stay here; progress comes back under its token."""
    with (
        FakeMcpServer(era=era, token=TOKEN, sse=True) as server,
        client(new_vault(tmp_path, server.url), "demo") as bridge,
    ):
        bridge.initialize()
        own = {"Authorization": "Bearer astray", "Cookie": "c=astray", "Mcp-Session-Id": "astray"}
        asked = {"name": "slow", "arguments": {"seconds": 0.2}, "_meta": {"progressToken": "p-1"}}
        bridge.send(
            {"jsonrpc": "2.0", "id": "astray-7", "method": "tools/call", "params": asked, **own, "headers": own}
        )
        while "method" in (answer := bridge.line()):
            bridge.heard.append(answer)

    assert ("astray-7", True) == (answer["id"], "result" in answer)
    assert {"p-1"} == {each["params"]["progressToken"] for each in bridge.heard if "progress" in each["method"]}
    sent = [(request.body, *request.headers.values()) for request in server.requests]
    assert [] == [each for each in sent if "astray" in str(each)]
    assert [] == [request for request in server.requests if "cookie" in request.headers]


def test_a_modern_client_meets_either_era(tmp_path: Path, server: FakeMcpServer) -> None:
    """server/discover and per-request ``_meta`` work whatever the server speaks, which sees only its own era."""
    home = new_vault(tmp_path, server.url)
    with client(home, "demo", modern=True) as bridge:
        told = bridge.ask("server/discover")
        assert ("2026-07-28", True) == (told["supportedVersions"][0], "tools" in told["capabilities"])
        assert "echo" in {tool["name"] for tool in bridge.ask("tools/list")["tools"]}
        assert "hi" == bridge.ask("tools/call", {"name": "echo", "arguments": {"message": "hi"}})["content"][0]["text"]
        error = bridge.outcome(
            bridge.begin("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}})
        )["error"]
        assert (-32022, ["2026-07-28"]) == (error["code"], error["data"]["supported"])


def test_what_the_server_asks_reaches_a_legacy_client(tmp_path: Path, server: FakeMcpServer) -> None:
    """Requests of a legacy server and rounds of a modern one become requests to the client, under ids of ours."""
    model = {"role": "assistant", "content": {"type": "text", "text": "4"}, "model": "m", "stopReason": "endTurn"}
    home = new_vault(tmp_path, server.url)
    with client(home, "demo") as bridge:
        bridge.answers = {
            "elicitation/create": {"action": "accept", "content": {"name": "Ada"}},
            "sampling/createMessage": model,
            "roots/list": {"roots": [{"uri": "file:///srv"}]},
        }
        bridge.initialize()
        for tool in ("ask", "sample", "roots"):
            assert not bridge.ask("tools/call", {"name": tool, "arguments": {}}).get("isError")

    asked = [message for message in bridge.heard if "id" in message]
    assert [*bridge.answers] == [message["method"] for message in asked]
    assert all(str(message["id"]).startswith("mcpvault-") for message in asked)


def test_a_missing_grant_is_an_error_with_the_command(tmp_path: Path) -> None:
    """No browser and no end: the client is told, and the same bridge works once somebody has logged in."""
    with oauth_house(tmp_path) as house, client(house, "demo", BROWSER="false") as bridge:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        error = bridge.outcome(bridge.begin("initialize", params))["error"]
        assert ("mcpvault login demo", 3) == (error["data"]["loginCommand"], error["data"]["exitCode"])
        assert "mcpvault login demo" in error["message"]

        house.log_in()

        bridge.initialize()
        assert "echo" in {tool["name"] for tool in bridge.ask("tools/list")["tools"]}


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_request_is_called_off(tmp_path: Path, era: str) -> None:
    """notifications/cancelled cuts it off at the server as that era does; no answer comes, others go on."""
    with FakeMcpServer(era=era, token=TOKEN, interactive=True) as server:
        home = new_vault(tmp_path, server.url)
        with client(home, "demo") as bridge:
            bridge.initialize()
            id_ = bridge.begin("tools/call", {"name": "slow", "arguments": {"seconds": 60}})
            while not any(r.rpc_method == "tools/call" for r in server.requests):
                bridge.ask("ping")
            bridge.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id_}})
            assert (
                "hi" == bridge.ask("tools/call", {"name": "echo", "arguments": {"message": "hi"}})["content"][0]["text"]
            )
            if era == "legacy":
                while not any(r.rpc_method == "notifications/cancelled" for r in server.requests):
                    bridge.ask("ping")


def test_what_was_asked_before_the_end_is_answered(tmp_path: Path, server: FakeMcpServer) -> None:
    """A pipe of requests gets all its answers, a slow one's too; then the bridge ends."""
    params = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "clientInfo": {"name": "t"}}
    slow = {"name": "slow", "arguments": {"seconds": 0.3}}
    bridge = Client(new_vault(tmp_path, server.url), "demo")
    asked = [bridge.begin("initialize", params)]
    bridge.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    asked += [bridge.begin("tools/list"), bridge.begin("tools/call", slow), bridge.begin("ping")]

    out, said = bridge.process.communicate(timeout=LONGEST)
    bridge.watchdog.cancel()

    answers = [message for message in map(json.loads, out.splitlines()) if "id" in message]
    assert asked == sorted(answer["id"] for answer in answers)
    assert [True] * len(asked) == ["result" in answer for answer in answers]
    assert (0, b"") == (bridge.process.returncode, said)


def test_what_has_no_end_of_its_own_does_not_outlast_the_client(tmp_path: Path) -> None:
    """A subscription, and a call that waits for the client's word, end with stdin; what times out is an error."""
    with FakeMcpServer(era="modern", token=TOKEN, interactive=True) as server:
        home = new_vault(tmp_path, server.url)
        bridge = Client(home, "demo", modern=True)
        bridge.begin("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        assert "notifications/subscriptions/acknowledged" == bridge.line()["method"]
        out, said = bridge.process.communicate(timeout=LONGEST)
        bridge.watchdog.cancel()
        assert (0, b"", b"") == (bridge.process.returncode, out, said)

        asking = Client(home, "demo")
        asking.initialize()
        id_ = asking.begin("tools/call", {"name": "ask", "arguments": {}})
        assert "elicitation/create" == asking.line()["method"]
        out, said = asking.process.communicate(timeout=LONGEST)
        asking.watchdog.cancel()
        assert (0, id_, b"") == (asking.process.returncode, json.loads(out)["id"], said)

        waiting = Client(home, "demo", "--timeout", "0.5")
        id_ = waiting.begin("tools/call", {"name": "slow", "arguments": {"seconds": 600}})
        out, said = waiting.process.communicate(timeout=LONGEST)
        waiting.watchdog.cancel()
        assert (0, id_, b"") == (waiting.process.returncode, json.loads(out)["id"], said)
        assert 4 == json.loads(out)["error"]["data"]["exitCode"]


def test_nothing_is_carried_on_for_a_client_that_has_gone(tmp_path: Path) -> None:
    """Where nobody reads the answers any more a slow call is called off at the end of stdin."""
    with FakeMcpServer(token=TOKEN, interactive=True) as server:
        bridge = Client(new_vault(tmp_path, server.url), "demo")
        bridge.initialize()
        bridge.begin("tools/call", {"name": "slow", "arguments": {"seconds": 600}})
        while not server.called("tools/call"):
            bridge.ask("ping")
        assert bridge.process.stdin is not None and bridge.process.stdout is not None
        assert bridge.process.stderr is not None
        bridge.process.stdout.close()
        bridge.begin("tools/list")
        bridge.process.stdin.close()

        said = bridge.process.stderr.read()
        bridge.process.wait(LONGEST)
        bridge.watchdog.cancel()
        bridge.process.stderr.close()

    assert b"" == said
    assert -signal.SIGKILL != bridge.process.returncode


WRONG = [
    (b"nonsense", -32700, None),
    (b"7", -32600, None),
    (b"[]", -32600, None),
    (b'{"jsonrpc": "2.0", "id": 5, "method": 7}', -32600, 5),
    (b'{"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": []}', -32600, 5),
    (b'{"jsonrpc": "2.0", "id": 5, "method": "no/such"}', -32601, 5),
]


@pytest.mark.parametrize(("line", "code", "id_"), WRONG)
def test_a_wrong_message_ends_nothing(tmp_path: Path, line: bytes, code: int, id_: int | None) -> None:
    """It is answered with JSON-RPC's own error, and the next message is served."""
    with FakeMcpServer(token=TOKEN) as server, client(new_vault(tmp_path, server.url), "demo") as bridge:
        assert bridge.process.stdin is not None
        bridge.process.stdin.write(line + b"\n\n")
        bridge.process.stdin.flush()
        told = bridge.line()
        assert (code, id_) == (told["error"]["code"], told["id"])
        assert {} == bridge.ask("ping")


def test_ping_and_a_call_off_wait_for_no_call(tmp_path: Path) -> None:
    """With as many calls under way as there can be: alone and in a batch, and a call that has not begun never does."""
    slow = {"name": "slow", "arguments": {"seconds": 600}}
    with (
        FakeMcpServer(token=TOKEN, interactive=True) as server,
        client(new_vault(tmp_path, server.url), "demo") as bridge,
    ):
        bridge.initialize()
        begun = [bridge.begin("tools/call", slow) for _ in range(MOST_AT_ONCE)]
        while len(server.called("tools/call")) < MOST_AT_ONCE:
            assert {} == bridge.ask("ping")
        begun.append(bridge.begin("tools/call", slow))
        ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
        bridge.send([ping, *({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id_}}
                             for id_ in begun)])  # fmt: skip
        assert [{"jsonrpc": "2.0", "id": "p", "result": {}}] == bridge.line()
        assert "echo" in {tool["name"] for tool in bridge.ask("tools/list")["tools"]}

    assert MOST_AT_ONCE == len(server.called("tools/call"))


def test_a_batch_gets_a_batch(tmp_path: Path) -> None:
    """2025-03-26: an array of messages is answered by an array; notifications in it by nothing."""
    with FakeMcpServer(token=TOKEN) as server, client(new_vault(tmp_path, server.url), "demo") as bridge:
        note = {"jsonrpc": "2.0", "method": "notifications/x"}
        bridge.send(
            [{"jsonrpc": "2.0", "id": "a", "method": "ping"}, note, {"jsonrpc": "2.0", "id": 2, "method": "x/y"}]
        )
        first, second = bridge.line()

    assert ("a", {}, 2, True) == (first["id"], first["result"], second["id"], "error" in second)


def test_a_command_becomes_the_server(home: Path) -> None:
    """An entry with a command is started as it is, with its secrets in its environment; without approval it is not."""
    made = new_vault(home)
    code = "import os; print(os.environ['DB_PASSWORD'], 'HOME' in os.environ, os.environ.get('OTHER'))"
    with made.open().change() as change:
        change.add_server(
            "local", {"command": sys.executable, "args": ["-c", code], "env": {"DB_PASSWORD": "${env:PW}"}}
        )
        change.add_server("imported", {"command": "true", "approved": False})

    assert "s3cret True None\n" == made.run("stdio", "local", PW="s3cret", OTHER="x").stdout
    assert "mcpvault approve imported" in made.refused("stdio", "imported", code=8)


def test_sigterm_ends_it_quietly(tmp_path: Path) -> None:
    """A client that is done with it may simply say so."""
    with FakeMcpServer(token=TOKEN) as server:
        bridge = Client(new_vault(tmp_path, server.url), "demo")
        bridge.initialize()
        bridge.process.send_signal(signal.SIGTERM)
        _, said = bridge.process.communicate(timeout=LONGEST)
        bridge.watchdog.cancel()

    assert (0, b"") == (bridge.process.returncode, said)
