"""``completion``: the scripts, in the shells that read them."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from house import LONGEST, Home, new_vault


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_read_by_the_shell(home: Home, shell: str) -> None:
    """The script is valid where the shell is installed, and ``--json`` holds the same text."""
    script = home.run("completion", shell).stdout
    assert {"shell": shell, "script": script.removesuffix("\n")} == json.loads(
        home.run("completion", shell, "--json").stdout
    )
    try:
        done = subprocess.run([shell, "-n"], input=script, text=True, check=False, capture_output=True, timeout=LONGEST)
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")
    assert (0, "") == (done.returncode, done.stderr)


# Asks the function that the script has registered, as the shell does when tab is pressed.
ASK = """
ask() { COMP_WORDS=(mcpvault "$@"); COMP_CWORD=$#; COMPREPLY=(); _mcpvault_completion mcpvault; echo ${COMPREPLY[@]}; }
ask his
ask show d
ask slots li
"""


def test_bash_completes_verbs_and_servers(home: Home) -> None:
    """The real shell with the real script completes verbs and entries; no key is needed."""
    script = home.run("completion", "bash").stdout + ASK
    home.key.unlink()
    command, env = home.command((), {})
    program = home.home / "mcpvault"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
    env |= {"PATH": f"{home.home}:{env['PATH']}"}

    done = subprocess.run(
        ["bash", "--norc"], input=script, env=env, text=True, capture_output=True, timeout=LONGEST, check=False
    )

    assert ["history", "demo", "list"] == done.stdout.split()
