"""
A fake MCP server over stdio: ``python -m mcpvault.testing.stdio_server [OPTION…]``.

    --era modern|legacy|both   which requests it understands
    --exit-on METHOD           ends at once when METHOD arrives, as some legacy servers do before initialize
    --deaf-to METHOD           never answers METHOD
    --noise                    writes lines that are no JSON to stdout
    --stderr BYTES             writes so many bytes to stderr before every answer
    --garble METHOD            answers METHOD with bytes that are no UTF-8
    --stay                     ignores the end of stdin and SIGTERM

The tool ``environment`` (beside those of ``FakeMcpServer``) answers with the server's whole environment.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from mcpvault.testing.offer import META_SERVER, META_VERSION, MODERN, SERVER_INFO, Json, Offer, Refusal, text

ENVIRONMENT = {
    "name": "environment",
    "description": "shows the server's environment",
    "inputSchema": {"type": "object", "properties": {}},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one client on stdin and stdout."""
    parser = argparse.ArgumentParser(prog="mcpvault.testing.stdio_server", description="a fake MCP server over stdio")
    parser.add_argument("--era", choices=["modern", "legacy", "both"], default="both")
    parser.add_argument("--exit-on")
    parser.add_argument("--deaf-to")
    parser.add_argument("--garble")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--stderr", type=int, default=0)
    parser.add_argument("--stay", action="store_true")
    options = parser.parse_args(arguments)
    offer = Offer(wait=time.sleep)
    offer.tools.append(ENVIRONMENT)
    if options.stay:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        method = message.get("method")
        if method == options.exit_on:
            return 1
        if method == options.deaf_to or "id" not in message or method is None:
            continue
        if options.noise:
            _write(b"listening \xe2\x80\xa8 on stdio\n\n")
        sys.stderr.buffer.write(b"e" * options.stderr)
        sys.stderr.buffer.flush()
        if method == options.garble:
            _write(b'{"jsonrpc":"2.0","id":%d,"result":{"pad":"\xff"}}\n' % message["id"])
            continue
        _write(json.dumps(_answer(offer, message, options.era)).encode() + b"\n")
    while options.stay:
        time.sleep(60)
    return 0


def _answer(offer: Offer, message: Json, era: str) -> Json:
    head = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        return {**head, "result": _result(offer, message, era)}
    except Refusal as refusal:
        return {**head, "error": refusal.as_error()}


def _result(offer: Offer, message: Json, era: str) -> Json:
    method, params = message["method"], message.get("params") or {}
    named = (params.get("_meta") or {}).get(META_VERSION)
    if era == "legacy" and method == "server/discover":
        raise Refusal(-32601, "method not found: server/discover")
    if era == "modern" and named is None:
        raise Refusal(-32602, f"missing _meta[{META_VERSION!r}]")
    if named is None:
        if method == "initialize":
            return offer.initialize(params)
        return {} if method == "ping" else _own(offer, method, params)
    if named != MODERN:
        raise Refusal(-32022, "unsupported protocol version", data={"supported": [MODERN], "requested": named})
    found = offer.discover() if method == "server/discover" else _own(offer, method, params)
    return {"resultType": "complete", **found, "_meta": {META_SERVER: SERVER_INFO}}


def _own(offer: Offer, method: str, params: dict[str, Any]) -> Json:
    if method == "tools/call" and params.get("name") == ENVIRONMENT["name"]:
        return text(json.dumps(dict(os.environ)))
    return offer.answer(method, params, _tell(params))


def _tell(params: dict[str, Any]) -> Any:
    token = (params.get("_meta") or {}).get("progressToken")
    if token is None:
        return None

    def progress(done: float, total: float) -> None:
        told = {"progressToken": token, "progress": done, "total": total}
        notification = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
        _write(json.dumps(notification).encode() + b"\n")

    return progress


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
