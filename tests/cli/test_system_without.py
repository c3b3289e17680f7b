"""A system that lacks what only Unix has: the verbs run in a process from which it was taken away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from house import LONGEST, home_env

# What Python documents as missing on Windows; fchmod is there from 3.13 on, with no geteuid beside it.
WITHOUT = """
import os, signal, sys, types
import asyncio, filelock, requests  # others look for themselves

whole = types.ModuleType("os")
vars(whole).update(vars(os))
for each in [each for name, each in sys.modules.items() if name.startswith("filelock") and hasattr(each, "os")]:
    each.os = whole  # it was made for this system
for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "geteuid", "getuid", "getegid", "getgid",
             "fchown", "chown", "pread", "pwrite", "posix_fallocate", "register_at_fork", "memfd_create"):
    delattr(os, name)
for name in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
    delattr(signal, name)
sys.modules["fcntl"] = None

from mcpvault.cli.main import main
sys.exit(main())
"""


def run(home: Path, *words: str, stdin: str = "") -> str:
    """Run ``mcpvault`` there and return what it printed; it has succeeded."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], input=stdin, env=home_env(home), cwd=home, capture_output=True,
        encoding="utf-8", timeout=LONGEST, check=False,
    )  # fmt: skip
    assert (words, 0) == (words, done.returncode), done.stdout + done.stderr
    return done.stdout


def test_a_vault_is_made_opened_and_changed_without_what_unix_has(tmp_path: Path) -> None:
    """Key file, vault, state, audit log and a masked program need no flag and no call that Windows lacks."""
    run(tmp_path, "init")
    run(tmp_path, "add", "api", "https://mcp.example.com/mcp", "--bearer-stdin", stdin="token-of-the-test-Ue7\n")
    run(tmp_path, "set", "api", "note", "changed")

    assert "token-of-the-test-Ue7\n" == run(tmp_path, "get", "api", "auth.token", "--reveal")
    assert "changed" in run(tmp_path, "show", "api")
    assert "api" in run(tmp_path, "list")
    assert run(tmp_path, "audit", "verify")
    shows = (sys.executable, "-c", "import os; print(os.environ['TOKEN'])")
    assert "[redacted]\n" == run(tmp_path, "run", "--mask", "--set", "TOKEN=api", "--", *shows)
