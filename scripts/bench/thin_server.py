"""
An MCP server without a framework: so little per answer that the client is what is measured.

Prints its port. Speaks both eras, checks nothing but the bearer token. The tool ``echo`` answers with a
JSON document, ``tell`` with an event, ``late`` with a document after 20 ms, and ``big`` and ``large`` with
an event and a document of as many bytes as their argument ``size`` says.
"""

from __future__ import annotations

import json
import socket
import threading
import time

TOKEN = "bench-token-0123456789"
TOOLS = [
    {
        "name": name,
        "description": "a tool",
        "inputSchema": {"type": "object", "properties": {"message": {"type": "string"}, "size": {"type": "integer"}}},
    }
    for name in ("echo", "big", "other", "tell", "late", "large")
]
_LATE = 0.02  # seconds
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
META = {SERVER_INFO: {"name": "thin", "version": "1"}}


def result_of(method: str, params: dict[str, object], *, modern: bool) -> dict[str, object]:
    """Return the result of one request."""
    match method:
        case "server/discover":
            found = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        case "initialize":
            found = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": META[SERVER_INFO]}
        case "tools/list":
            found = {"tools": TOOLS}
        case _:
            found = {"content": [{"type": "text", "text": params["arguments"].get("message", "")}]}
    return {"resultType": "complete", **found, "_meta": META} if modern else found


def head(status: str, length: int, kind: str, more: str = "") -> bytes:
    """Return the head of an answer."""
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def answer(headers: bytes, body: bytes) -> bytes:
    """Return the bytes that answer one request."""
    if headers.startswith(b"post /token "):
        granted = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "next"}
        data = json.dumps(granted).encode()
        return head("200 OK", len(data), "application/json") + data
    if b"bearer " + TOKEN.encode() not in headers:
        return head("401 Unauthorized", 0, "text/plain")
    if headers.startswith(b"get"):
        return head("405 Method Not Allowed", 0, "text/plain")
    if headers.startswith(b"delete"):
        return head("200 OK", 0, "text/plain")
    message = json.loads(body)
    if "id" not in message:
        return head("202 Accepted", 0, "text/plain")
    method, params = message["method"], message.get("params") or {}
    modern = b"mcp-protocol-version: 2026-07-28" in headers
    tool = params["name"] if method == "tools/call" else ""
    if tool in ("big", "large"):
        pad = b"x" * params["arguments"]["size"]
        data = b'{"jsonrpc":"2.0","id":%d,"result":{"resultType":"complete","content":[{"type":"text","text":"%b"}]}}'
        data %= (message["id"], pad)
    else:
        data = json.dumps(
            {"jsonrpc": "2.0", "id": message["id"], "result": result_of(method, params, modern=modern)}
        ).encode()
    if tool == "late":
        time.sleep(_LATE)
    if tool in ("big", "tell"):
        event = b"event: message\ndata: " + data + b"\n\n"
        return head("200 OK", len(event), "text/event-stream") + event
    session = "Mcp-Session-Id: thin-session\r\n" if method == "initialize" else ""
    return head("200 OK", len(data), "application/json", session) + data


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = b""
    with connection:
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                piece = connection.recv(65536)
                if not piece:
                    return
                buffer += piece
            headers = buffer[:end].lower()
            length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            while len(buffer) < end + 4 + length:
                buffer += connection.recv(65536)
            body, buffer = buffer[end + 4 : end + 4 + length], buffer[end + 4 + length :]
            connection.sendall(answer(headers, body))


def main() -> None:
    """Listen on loopback until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
