"""
A large result, read by ``bare`` requests or by mcpvault (``ours``); prints milliseconds and peak kB.

Arguments: who, the tool (``big``: an event, ``large``: a JSON document), bytes, and how often: the median is printed.
The first of several is not counted, for what it loads and learns.
"""

import json
import os
import resource
import statistics
import sys
import time

URL, TOKEN = os.environ["BENCH_URL"], os.environ["BENCH_TOKEN"]
who, tool, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
times = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def bare() -> None:
    """Read the whole body; of an event, take the data line apart."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    params = {"name": tool, "arguments": {"size": size}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"Authorization": f"Bearer {TOKEN}", "MCP-Protocol-Version": "2026-07-28"}
    answer = session.post(URL, json=message, headers=headers, timeout=60)
    if tool == "large":
        found = answer.json()
    else:
        found = next(json.loads(line[6:]) for line in answer.content.split(b"\n") if line.startswith(b"data: "))
    assert len(found["result"]["content"][0]["text"]) == size


def ours() -> None:
    """Call the tool."""
    assert len(session.call_tool(tool, {"size": size}).text()) == size


if who == "bare":
    import requests

    session = requests.Session()
    session.post(URL, json={"jsonrpc": "2.0", "method": "x"}, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=9)
else:
    import mcpvault

    session = mcpvault.connect("thin")
    session.call_tool("echo", {"message": "warm"})
taken = []
for _ in range(times if times == 1 else times + 1):
    begin = time.perf_counter()
    bare() if who == "bare" else ours()
    taken.append((time.perf_counter() - begin) * 1000)
print(statistics.median(taken[-times:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
