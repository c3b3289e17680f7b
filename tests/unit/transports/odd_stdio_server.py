"""
MCP servers on stdio with habits: ``python -IS odd_stdio_server.py HABIT [WORD…]``, with the standard library alone.

Every request is written to the file named by JOURNAL before anything else happens, one line each, as is "start".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
out, err = sys.stdout.buffer, sys.stderr.buffer


def note(word: str) -> None:
    """Write to the journal."""
    if path := os.environ.get("JOURNAL"):
        with open(path, "a") as journal:
            journal.write(word + "\n")


def write(data: bytes) -> None:
    """Write to stdout at once."""
    out.write(data)
    out.flush()


def line(message: Json) -> bytes:
    """Return *message* as a line."""
    return json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode() + b"\n"


def requests() -> Any:
    """Yield what comes."""
    note("start")
    for one in sys.stdin.buffer:
        message = json.loads(one)
        note(message.get("method", "response"))
        yield message


def result_of(message: Json) -> Json:
    """Return the result of a well-behaved legacy server with the tool ``echo``."""
    match message["method"]:
        case "initialize":
            return {"protocolVersion": os.environ.get("REVISION", "2025-11-25"), "capabilities": {"tools": {}}}
        case "tools/call":
            return {"content": [{"type": "text", "text": message["params"]["arguments"].get("message", "")}]}
        case "tools/list":
            return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    return {}


def discovered(message: Json) -> Json:
    """Return the result of a modern server."""
    found = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    return found if message["method"] == "server/discover" else result_of(message)


def serve(answer: Callable[[Json], bytes | None]) -> None:
    """Answer each request; "method not found" to a probe."""
    for message in requests():
        if "id" not in message:
            continue
        if message["method"] == "server/discover":
            write(line({"id": message["id"], "error": {"code": -32601, "message": "method not found"}}))
        elif (data := answer(message)) is not None:
            write(data)


def proper(message: Json) -> bytes:
    """Return a line with the right answer."""
    return line({"id": message["id"], "result": result_of(message)})


def in_calls(odd: Callable[[Json], bytes | None]) -> Callable[[Json], bytes | None]:
    """Be odd in ``tools/call`` only."""
    return lambda message: odd(message) if message["method"] == "tools/call" else proper(message)


def byte_by_byte(message: Json) -> None:
    """Answer in the smallest pieces."""
    for byte in proper(message):
        write(bytes([byte]))


def noise(count: int) -> Callable[[Json], bytes]:
    """Print *count* lines that are no messages before the answer."""
    return lambda message: b"npm warn \xff deprecated\n\n" * count + proper(message)


def endless(message: Json) -> None:
    """Write one line without end."""
    while True:
        write(b"x" * 65536)


def die(message: Json) -> None:
    """Say why on stderr, and end."""
    err.write(b"cannot go on: " + os.environ.get("TOKEN", "").encode() + b"\n")
    err.flush()
    os._exit(3)


def die_mid_answer(message: Json) -> None:
    """End in the middle of a line."""
    write(proper(message)[:20])
    os._exit(3)


def talk(message: Json) -> bytes:
    """Fill stderr with more than a pipe holds, the secret last, before the answer."""
    err.write(b"e" * (4 << 20) + b"\nthe token is " + os.environ.get("TOKEN", "").encode() + b"\n")
    err.flush()
    return proper(message)


def talk_afterwards(message: Json) -> None:
    """Answer, then write a megabyte to stderr while nobody asks anything, and note that it is written."""
    write(proper(message))
    err.write(b"e" * (1 << 20) + b"\nsaid last: " + message["params"]["arguments"]["message"].encode() + b"\n")
    err.flush()
    note("said")


def with_family(message: Json) -> bytes:
    """Start a grandchild that holds every pipe, and answer with its process id."""
    child = subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(600)"])
    return line({"id": message["id"], "result": {"content": [{"type": "text", "text": str(child.pid)}]}})


def deaf(message: Json) -> None:
    """Never read again."""
    time.sleep(600)


def silent_probe() -> None:
    """Say nothing to a request before initialize, as some legacy servers do."""
    for message in requests():
        if "id" in message and message["method"] != "server/discover":
            write(proper(message))


def late_probe() -> None:
    """Answer the probe when initialize comes: a modern server that was slow to start."""
    probe: Json = {}
    for message in requests():
        if message["method"] == "server/discover":
            probe = message
        elif message["method"] == "initialize":
            write(line({"id": probe["id"], "result": discovered(probe)}))
            write(line({"id": message["id"], "error": {"code": -32601, "message": "no"}}))
        elif "id" in message:
            write(line({"id": message["id"], "result": discovered(message)}))


def exit_on_probe() -> None:
    """End on a request before initialize, as servers on some SDKs do."""
    ready = False
    for message in requests():
        ready = ready or message["method"] == "initialize"
        if not ready:
            os._exit(1)
        if "id" in message:
            write(proper(message))


def probe_error(code: str) -> None:
    """Answer the probe with an error of any code."""
    for message in requests():
        if message["method"] == "server/discover":
            write(line({"id": message["id"], "error": {"code": int(code), "message": "what?"}}))
        elif "id" in message:
            write(proper(message))


def strict() -> None:
    """Know no method before initialize."""
    ready = False
    for message in requests():
        ready = ready or message["method"] == "initialize"
        if "id" in message:
            error = {"code": -32601, "message": "initialize first"}
            write(proper(message) if ready else line({"id": message["id"], "error": error}))


def half_done(code: str) -> None:
    """Answer the first call with an error, as if after half of the work."""
    errors = [int(code)]

    def answer(message: Json) -> bytes:
        if message["method"] == "tools/call" and errors:
            return line({"id": message["id"], "error": {"code": errors.pop(), "message": "half done"}})
        return proper(message)

    serve(answer)


def modern() -> None:
    """Be a modern server, which has no initialize."""
    for message in requests():
        if message["method"] == "initialize":
            write(line({"id": message["id"], "error": {"code": -32601, "message": "method not found"}}))
        elif "id" in message:
            write(line({"id": message["id"], "result": discovered(message)}))


def late_answer() -> None:
    """Answer calls when they are cancelled."""
    kept: list[Json] = []
    for message in requests():
        if message.get("method") == "notifications/cancelled":
            write(b"".join(map(proper, kept)))
        elif message.get("method") == "tools/call":
            kept.append(message)
        elif "id" in message:
            write(proper(message))


def listens(*, agrees: bool = True) -> None:
    """Be a modern server that asks something in each call, and tells each subscription of its resources."""
    listening: dict[int, list[str]] = {}

    def tell(id_: int, method: str, **params: Any) -> bytes:
        meta = {"io.modelcontextprotocol/subscriptionId": id_}
        return line({"method": f"notifications/{method}", "params": {"_meta": meta, **params}})

    for message in requests():
        if message["method"] == "subscriptions/listen":
            if not agrees:
                continue
            wanted = message["params"]["notifications"]
            listening[message["id"]] = wanted.get("resourceSubscriptions", [])
            write(tell(message["id"], "subscriptions/acknowledged", notifications=wanted))
            continue
        if message["method"] == "tools/call":
            write(line({"id": "question", "method": "ping"}))
            told = [(id_, uri) for id_, uris in reversed(listening.items()) for uri in uris]
            write(b"".join(tell(id_, "resources/updated", uri=uri) for id_, uri in told))
        if "id" in message:
            write(line({"id": message["id"], "result": discovered(message)}))


def farewell() -> None:
    """Say something on stderr when stdin ends."""
    serve(proper)
    err.write(b"e" * 50_000 + b"\ngood bye\n")
    err.flush()


def stay() -> None:
    """Ignore the end of stdin and SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(proper)
    time.sleep(600)


HABITS: dict[str, Callable[..., None]] = {
    "proper": lambda: serve(proper),
    "modern": modern,
    "strict": strict,
    "half-done": half_done,
    "byte-by-byte": lambda: serve(byte_by_byte),
    "crlf": lambda: serve(lambda message: proper(message).replace(b"\n", b"\r\n")),
    "noise": lambda count: serve(in_calls(noise(int(count)))),
    "garbled": lambda: serve(in_calls(lambda message: b'{"jsonrpc":"2.0","id":%d,"result":\xff}\n' % message["id"])),
    "batch": lambda: serve(
        in_calls(lambda m: b"[" + line({"method": "n"}).strip() + b"," + proper(m).strip() + b"]\n")
    ),
    "endless": lambda: serve(in_calls(endless)),
    "die": lambda: serve(in_calls(die)),
    "die-on-list": lambda: serve(
        lambda message: die(message) if message["method"] == "tools/list" else proper(message)
    ),
    "die-mid-answer": lambda: serve(in_calls(die_mid_answer)),
    "die-at-once": lambda: die({}) if note("start") is None else None,
    "talk": lambda: serve(in_calls(talk)),
    "talk-afterwards": lambda: serve(in_calls(talk_afterwards)),
    "family": lambda: serve(in_calls(with_family)),
    "deaf": lambda: serve(in_calls(deaf)),
    "silent": lambda: serve(in_calls(lambda message: None)),
    "silent-probe": silent_probe,
    "late-probe": late_probe,
    "exit-on-probe": exit_on_probe,
    "probe-error": probe_error,
    "late-answer": late_answer,
    "listens": listens,
    "never-agrees": lambda: listens(agrees=False),
    "farewell": farewell,
    "stay": stay,
}

if __name__ == "__main__":
    HABITS[sys.argv[1]](*sys.argv[2:])
