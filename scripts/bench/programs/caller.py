"""
Calls in one process, by ``bare`` requests or by mcpvault (``ours``).

Arguments: who, the tool, calls, threads. Does all of it for each line on its stdin, and answers
with the milliseconds that passed and those that the processor worked.
"""

import json
import os
import sys
import threading
import time

URL, TOKEN = os.environ["BENCH_URL"], os.environ["BENCH_TOKEN"]
who, tool, count, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def bare():
    """Return what makes one call with plain requests, as well as one can."""
    import requests

    session = requests.Session()
    session.trust_env = False
    if width > 1:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=width))
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
    }
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    params = {"name": tool, "arguments": {"message": "hi"}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    def call() -> str:
        answer = session.post(URL, json=message, headers=headers, timeout=30)
        if tool == "tell":
            found = next(json.loads(line[6:]) for line in answer.content.split(b"\n") if line.startswith(b"data: "))
        else:
            found = answer.json()
        return found["result"]["content"][0]["text"]

    return call


def ours():
    """Return what makes one call on one session."""
    import mcpvault

    session = mcpvault.connect("thin")
    return lambda: session.call_tool(tool, {"message": "hi"}).text()


call = bare() if who == "bare" else ours()


def some(number: int) -> None:
    """Make so many calls."""
    for _ in range(number):
        assert call() == "hi"


some(1)
for _ in sys.stdin:
    begin, worked = time.perf_counter(), time.process_time()
    if width == 1:
        some(count)
    else:
        threads = [threading.Thread(target=some, args=(count // width,)) for _ in range(width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print((time.perf_counter() - begin) * 1000, (time.process_time() - worked) * 1000, flush=True)
