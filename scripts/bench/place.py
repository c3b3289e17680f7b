"""Where the figures are taken: the thin server, and a vault that leads to it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thin_server import TOKEN

HERE = Path(__file__).parent
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Place:
    """A home with a vault whose entry ``thin`` leads to the thin server."""

    folder: Path
    url: str
    env: Mapping[str, str]


def new_vault(env: Mapping[str, str], entries: Mapping[str, tuple[str, str]]) -> None:
    """Write the vault that *env* names, opened by its key file, with a sealed bearer token in each entry."""
    from mcpvault.connect import Vault
    from mcpvault.secret import Secret
    from mcpvault.vault.slots import NewSlot, RawKey

    key = RawKey.generate()
    file = Path(env["MCPVAULT_KEY_FILE"])
    file.touch(mode=0o600)
    file.write_text(key.text.reveal() + "\n")
    with Vault.create(env=env, slots=[NewSlot.raw("bench", key)]) as vault, vault.change() as change:
        for name, (url, token) in entries.items():
            change.add_server(name, {"url": url, "note": "one of many", "auth": {"kind": "bearer"}, "max_message": 256})
            change.set_secret(name, "auth.token", Secret(token))


@contextmanager
def place() -> Iterator[Place]:
    """Start the thin server, make the vault, and let one call remember the era."""
    from mcpvault.connect import Vault

    server = subprocess.Popen([PYTHON, str(HERE / "thin_server.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/mcp"
        with tempfile.TemporaryDirectory(prefix="mcpvault-bench-") as name:
            env = {"PATH": os.environ["PATH"], "HOME": name, "LANG": "C.UTF-8", "BENCH_URL": url, "BENCH_TOKEN": TOKEN}
            env["MCPVAULT_KEY_FILE"] = f"{name}/vault.key"
            new_vault(env, {"thin": (url, TOKEN)})
            with Vault.open(env=env) as vault, vault.session("thin") as session:
                session.call_tool("echo", {"message": "hi"})
            yield Place(Path(name), url, env)
    finally:
        server.kill()
        server.wait()
