"""The cron job as people write it without a vault: two requests with plain requests."""

import os
import sys

import requests

URL = os.environ["BENCH_URL"]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
}
HEADERS = {
    "Authorization": "Bearer " + os.environ["BENCH_TOKEN"],
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
}

with requests.Session() as session:
    if len(sys.argv) > 1:  # the token is due: redeem a refresh token first
        form = {"grant_type": "refresh_token", "refresh_token": "old", "client_id": "bench"}
        granted = session.post(URL.removesuffix("/mcp") + "/token", data=form, timeout=30)
        HEADERS["Authorization"] = "Bearer " + granted.json()["access_token"]

    def call(number: int, method: str, **params: object) -> dict:
        """Send one request and return its result."""
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}
        named = {"Mcp-Name": params["name"]} if "name" in params else {}
        answer = session.post(URL, json=message, headers={**HEADERS, "Mcp-Method": method, **named}, timeout=30)
        answer.raise_for_status()
        return answer.json()["result"]

    assert call(1, "tools/list")["tools"][0]["name"] == "echo"
    assert call(2, "tools/call", name="echo", arguments={"message": "hi"})["content"][0]["text"] == "hi"
