"""
MCP servers on stdio that misbehave: ``python -IS hostile_child.py HABIT [METHOD]``, with the standard library alone.

A habit shows when METHOD comes (``tools/call`` by default; ``start``: before anything is read). Everything else is
answered properly, as 2025-11-25 has it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, repeat
from typing import Any

Json = dict[str, Any]
HABITS: dict[str, Callable[[Json], None]] = {}
PIECE = b"x" * 65536
TOKEN = os.environ.get("TOKEN", "")


def habit(function: Callable[[Json], None]) -> Callable[[Json], None]:
    """Register *function* under its name, with hyphens."""
    HABITS[function.__name__.replace("_", "-")] = function
    return function


def write(data: bytes) -> None:
    """Write to stdout at once."""
    while data:
        data = data[os.write(1, data) :]


def said(message: Any) -> bytes:
    """Return *message* as a line."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def proper(message: Json) -> Json:
    """Return the right answer."""
    head = {"jsonrpc": "2.0", "id": message.get("id", 0)}
    match message["method"]:
        case "server/discover":
            return {**head, "error": {"code": -32601, "message": "method not found"}}
        case "initialize":
            return {**head, "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}}
        case "tools/call":
            words = message["params"]["arguments"].get("message", "")
            return {**head, "result": {"content": [{"type": "text", "text": words}]}}
        case "tools/list":
            return {**head, "result": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}}
    return {**head, "result": {}}


def for_ever(lines: Iterator[bytes], every: float = 0.0) -> None:
    """Write all *lines*."""
    for line in lines:
        write(line)
        time.sleep(every)


# never


@habit
def silent(message: Json) -> None:
    """Answer nothing, and go on."""


@habit
def deaf(message: Json) -> None:
    """Answer nothing, and never read again."""
    time.sleep(600)


@habit
def stopped(message: Json) -> None:
    """Be stopped by a signal: no exit, and no ear for SIGTERM."""
    os.kill(os.getpid(), signal.SIGSTOP)


@habit
def half_a_line(message: Json) -> None:
    """Begin an answer and never end it."""
    write(said(proper(message))[:-10])


@habit
def drip(message: Json) -> None:
    """Write an answer that does not end, byte by byte."""
    write(b'{"jsonrpc":"2.0","pad":"')
    for_ever(repeat(b"x"), 0.01)


@habit
def wrong_id(message: Json) -> None:
    """Answer another request."""
    write(said({**proper(message), "id": 987654}))


@habit
def id_of_other_type(message: Json) -> None:
    """Write the right id as text."""
    write(said({**proper(message), "id": str(message["id"])}))


@habit
def missing_id(message: Json) -> None:
    """Answer without an id."""
    write(said({key: value for key, value in proper(message).items() if key != "id"}))


@habit
def no_version(message: Json) -> None:
    """Answer without saying that it is JSON-RPC."""
    write(said({key: value for key, value in proper(message).items() if key != "jsonrpc"}))


@habit
def carriage_returns(message: Json) -> None:
    """End lines as typewriters do."""
    write(said(proper(message)).replace(b"\n", b"\r"))


@habit
def utf_16(message: Json) -> None:
    """Answer in another encoding."""
    write(said(proper(message)).decode().encode("utf-16"))


@habit
def endless_blank_lines(message: Json) -> None:
    """Write line feeds."""
    for_ever(repeat(b"\n" * 65536))


@habit
def endless_notifications(message: Json) -> None:
    """Notify of what nobody knows."""
    for_ever(repeat(said({"jsonrpc": "2.0", "method": "notifications/noise", "params": {"n": 1}}) * 1000))


@habit
def endless_progress(message: Json) -> None:
    """Report the progress of this call and of others."""
    token = (message["params"].get("_meta") or {}).get("progressToken")
    told = ({"progressToken": each, "progress": n} for n in count() for each in (token, "of another", None, n))
    for_ever(said({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}) for params in told)


@habit
def endless_answers(message: Json) -> None:
    """Answer all requests but ours."""
    for_ever(said({"jsonrpc": "2.0", "id": -n, "result": {}}) for n in count(1))


@habit
def endless_questions(message: Json) -> None:
    """Ask for ever, and read what is answered."""
    threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(0, 65536), b"")], daemon=True).start()
    for_ever(said({"jsonrpc": "2.0", "id": n, "method": "sampling/createMessage", "params": {}}) for n in count())


@habit
def endless_stderr(message: Json) -> None:
    """Complain for ever."""
    while True:
        os.write(2, PIECE)


@habit
def endless_stderr_and_stdout(message: Json) -> None:
    """Complain and notify for ever."""
    line = said({"jsonrpc": "2.0", "method": "notifications/noise"})
    while True:
        os.write(2, PIECE)
        write(line)


# too much


@habit
def endless_line(message: Json) -> None:
    """Write one line without end."""
    for_ever(repeat(PIECE))


def at_length(message: Json, size: int) -> None:
    """Write a right answer of *size* bytes, in pieces."""
    begin, end = said(proper({**message, "params": {"arguments": {"message": "|"}}})).split(b"|")
    for_ever(iter([begin, *repeat(PIECE, size // len(PIECE)), end]))


@habit
def gigabyte(message: Json) -> None:
    """Answer with a result of a gigabyte."""
    at_length(message, 1 << 30)


@habit
def many_megabytes(message: Json) -> None:
    """Answer with a result of 64 MiB."""
    at_length(message, 1 << 26)


@habit
def gigabyte_of_space(message: Json) -> None:
    """Indent the answer by a gigabyte."""
    for_ever(iter([*repeat(b" " * 65536, 1 << 14), said(proper(message))]))


@habit
def unread_answers(message: Json) -> None:
    """Ask for ever, and read nothing of what is answered."""
    for_ever(said({"jsonrpc": "2.0", "id": n, "method": "ping"}) for n in count())


@habit
def deep_json(message: Json) -> None:
    """Put arrays into arrays."""
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"deep":%s%s}}\n' % (message["id"], b"[" * 100_000, b"]" * 100_000))


@habit
def huge_number(message: Json) -> None:
    """Count beyond reason."""
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"value":%s}}\n' % (message["id"], b"9" * 1_000_000))


@habit
def endless_noise(message: Json) -> None:
    """Print what is no message."""
    for_ever(repeat(b"npm warn \xff deprecated\n" * 1000))


@habit
def endless_pages(message: Json) -> None:
    """List without end."""
    cursor = int((message.get("params") or {}).get("cursor") or 0)
    write(said({**proper(message), "result": {**proper(message)["result"], "nextCursor": str(cursor + 1)}}))


@habit
def cursor_loop(message: Json) -> None:
    """List the same page again and again."""
    write(said({**proper(message), "result": {**proper(message)["result"], "nextCursor": "again"}}))


# gone


@habit
def die(message: Json) -> None:
    """Say something on stderr, and end."""
    os.write(2, f"cannot go on with {TOKEN}\n".encode())
    os._exit(3)


@habit
def die_of_a_signal(message: Json) -> None:
    """Crash."""
    os.kill(os.getpid(), signal.SIGKILL)


@habit
def die_mid_answer(message: Json) -> None:
    """End in the middle of a line."""
    write(said(proper(message))[:20])
    os._exit(3)


@habit
def die_with_a_long_line(message: Json) -> None:
    """Leave a last word of megabytes behind on stderr."""
    os.write(2, PIECE * 8)
    os._exit(3)


@habit
def leave_a_child_behind(message: Json) -> None:
    """End, and leave somebody who holds all pipes."""
    subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(600)"])
    os._exit(3)


@habit
def close_stdout(message: Json) -> None:
    """Stop talking, and live on."""
    os.close(1)
    time.sleep(600)


@habit
def close_stdin(message: Json) -> None:
    """Stop listening after this answer, and live on."""
    os.close(0)
    write(said(proper(message)))
    time.sleep(600)


# not what was asked for


@habit
def error_without_id(message: Json) -> None:
    """Report an error that names no request."""
    write(said({"jsonrpc": "2.0", "error": {"code": -32603, "message": "no id here"}}))


@habit
def misshapen_error(message: Json) -> None:
    """Report an error that is no object."""
    write(said({"jsonrpc": "2.0", "id": message["id"], "error": "it broke"}))


@habit
def result_and_error(message: Json) -> None:
    """Say both."""
    write(said({**proper(message), "error": {"code": 1, "message": "both"}}))


@habit
def neither_result_nor_error(message: Json) -> None:
    """Say nothing at length."""
    write(said({"jsonrpc": "2.0", "id": message["id"]}))


@habit
def result_of_wrong_shape(message: Json) -> None:
    """Answer with a list."""
    write(said({"jsonrpc": "2.0", "id": message["id"], "result": ["not", "an", "object"]}))


@habit
def wrong_fields(message: Json) -> None:
    """Give the known fields the wrong types."""
    wrong = {"tools": {"name": 1}, "content": "text", "protocolVersion": 7, "capabilities": []}
    write(said({"jsonrpc": "2.0", "id": message["id"], "result": wrong}))


@habit
def unknown_result_type(message: Json) -> None:
    """Answer with a riddle."""
    write(said({**proper(message), "result": {**proper(message)["result"], "resultType": "riddle"}}))


@habit
def batch(message: Json) -> None:
    """Put the answer into an array, which only 2025-03-26 has."""
    write(said([proper(message)]))


@habit
def other_version(message: Json) -> None:
    """Speak JSON-RPC 1.0."""
    write(said({**proper(message), "jsonrpc": "1.0"}))


@habit
def invalid_utf8(message: Json) -> None:
    """Answer with bytes that are no text."""
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"pad":"\xff\xfe"}}\n' % message["id"])


@habit
def nan(message: Json) -> None:
    """Answer with a number that is none."""
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"value":NaN}}\n' % message["id"])


@habit
def byte_order_mark(message: Json) -> None:
    """Begin with a byte order mark."""
    write(b"\xef\xbb\xbf" + said(proper(message)))


@habit
def glued(message: Json) -> None:
    """Print something, and the answer on the same line."""
    write(b"loading... " + said(proper(message)))


@habit
def tells_the_secret(message: Json) -> None:
    """Say a secret of its environment in an error and on stderr."""
    os.write(2, f"token {TOKEN}\n".encode())
    error = {"code": -32603, "message": f"bad token {TOKEN}", "data": {"token": TOKEN}}
    write(said({"jsonrpc": "2.0", "id": message["id"], "error": error}))


# borne


@habit
def duplicate_answer(message: Json) -> None:
    """Answer twice, differently."""
    second = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32603, "message": "second thoughts"}}
    write(said(proper(message)) + said(second))


@habit
def asks_back(message: Json) -> None:
    """Ask what may and may not be asked, and what does not exist, before the answer."""
    for id_, method in (("a", "ping"), (2, "sampling/createMessage"), (3.5, "no/such"), (None, "ping"), ([], "ping")):
        write(said({"jsonrpc": "2.0", "id": id_, "method": method}))
    write(said({"jsonrpc": "2.0", "method": 7}) + said(proper(message)))


@habit
def noise(message: Json) -> None:
    """Print a banner of nine hundred lines before the answer."""
    write(b"\xff\xfe welcome \xe2\x80\xa8\r\n\n[]\n3\n" * 300 + said(proper(message)))


@habit
def long_stderr(message: Json) -> None:
    """Fill stderr with more than a pipe holds before the answer."""
    for _ in range(64):
        os.write(2, PIECE)
    write(said(proper(message)))


def main(name: str, method: str = "tools/call") -> None:
    """Serve on stdin and stdout."""
    if method == "start":
        HABITS[name]({"jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {}})
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == method:
            HABITS[name](message)
        elif "method" in message and "id" in message:
            write(said(proper(message)))


if __name__ == "__main__":
    main(*sys.argv[1:])
