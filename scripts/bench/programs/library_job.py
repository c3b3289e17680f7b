"""The same cron job through mcpvault."""

import os

import mcpvault

with mcpvault.connect(os.environ.get("BENCH_ENTRY", "thin")) as thin:
    assert thin.list_tools()[0].name == "echo"
    assert thin.call_tool("echo", {"message": "hi"}).text() == "hi"
