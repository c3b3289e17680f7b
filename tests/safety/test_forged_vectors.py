"""The bad files of the testkit, through the real command line: each is refused with the code that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from storm_home import Home

KIT = Path(__file__).parents[2] / "vault_schema" / "testkit"
CODES = {"format": 6, "literal": 8, "wrong-key": 6, "untrusted": 6, "tampered": 6, "rollback": 6, "binding": 8}


def facts_of(path: Path) -> dict[str, str]:
    """Return the head of a vector (SPEC §17.5)."""
    head = path.read_bytes().partition(b"\n---\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\n"))


def is_for_the_command_line(path: Path) -> bool:
    """Leave out passphrases, which come from terminals only, and what a host remembers."""
    facts = facts_of(path)
    return "key" in facts and "seen" not in facts and "trusted" not in facts


VECTORS = [path for path in sorted(KIT.glob("*.vault")) if is_for_the_command_line(path)]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_at_the_command_line(path: Path, tmp_path: Path) -> None:
    """A good vector gives its secret; a bad one gives one line and the code of its reason, in words and as JSON."""
    facts, home = facts_of(path), Home(tmp_path)
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(facts["key"] + "\n")
    env = {"MCPVAULT_KEY_FILE": str(key)}
    home.folder.mkdir(parents=True)
    home.vault.write_bytes(path.read_bytes().partition(b"\n---\n")[2])
    server, field, stage, text = facts.get("reveal", "github auth.token current -").split(" ", 3)
    words = ("get", server, field, "--reveal", "--stage", stage)

    if facts["expect"] == "success" and "reveal" in facts:
        assert f"{text}\n" == home.run(*words, env=env).stdout
    elif facts["expect"] == "success":
        assert "" == home.run("list", env=env).stdout
    else:
        code = CODES[facts["expect"]]
        home.refused(*words, code=code, env=env)
        told = json.loads(home.run(*words, "--json", code=code, env=env).stderr)  # one line, or this fails
        assert code == told["error"]["code"]
