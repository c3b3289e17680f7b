"""``exit-codes`` and ``completion``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished

from mcpvault import errors


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_exit_codes_come_from_the_tree_of_errors(house: House) -> None:
    """Every class of error is listed once, under the code with which it ends."""
    rows = json.loads(house.run("exit-codes", "--json").stdout)

    listed = {kind: row["code"] for row in rows for kind in row["kinds"]}
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.McpVaultError)]
    assert {cls.kind: cls.exit_code for cls in classes} == listed
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130] == [row["code"] for row in rows]


def test_exit_codes_are_a_table(house: House) -> None:
    """Without ``--json`` each code is one line with its meaning, and needs no vault."""
    lines = house.run("exit-codes", HOME="/nonexistent").stdout.splitlines()

    assert ["0", "done"] == lines[0].split()
    assert ["130", "interrupted"] == lines[-1].split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(house: House, shell: str) -> None:
    """The script is click's own, for the command ``mcpvault``."""
    script = house.run("completion", shell).stdout

    assert "_MCPVAULT_COMPLETE" in script
    assert f"{shell}_complete" in script


def test_completion_knows_verbs_and_servers(house: House) -> None:
    """What the script asks for is answered: verbs first, then the vault's names, with nothing unlocked."""

    def completed(*words: str) -> str:
        return house.run(_MCPVAULT_COMPLETE="bash_complete", COMP_WORDS=" ".join(["mcpvault", *words]),
                         COMP_CWORD=str(len(words)), XDG_DATA_HOME="/nonexistent").stdout  # fmt: skip

    assert "tools" in completed("too")
    assert "demo" in completed("tools", "d")


def test_the_bash_script_is_valid(house: House) -> None:
    """Bash reads the script without complaint."""
    script = house.run("completion", "bash").stdout

    assert 0 == subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode


def test_an_unknown_shell_is_exit_2(house: House) -> None:
    """A shell that click does not know is a usage error."""
    house.run("completion", "csh", code=2)
