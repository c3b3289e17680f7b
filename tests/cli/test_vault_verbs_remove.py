"""``remove`` and ``approve``: what is asked first, and what follows from the answer."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import INTERRUPT, TOKEN, Home, new_vault

from mcpvault import Secret


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault, and a command that was imported into it."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("other", {"url": "https://other.example.com/mcp"})
        args = ["-e", "print(1)\nprint(2)", "\u202etxt.exe"]
        env = {"LD_PRELOAD": "/tmp/x.so", "PATH": "/tmp/evil\u202e:/bin", "REGION": "eu", "ROOM": "${env:ROOM:-x}"}
        change.add_server("child", {"command": "/opt/x", "args": args, "cwd": "/srv", "env": env, "approved": False})
        change.set_secret("child", "env.DB_PASSWORD", Secret(TOKEN))
    return made


def servers(home: Home) -> dict[str, Any]:
    """Return the entries of the file."""
    found: dict[str, Any] = tomllib.loads(home.vault.read_text())["servers"]
    return found


def test_remove_asks_on_a_terminal(home: Home) -> None:
    """The names are shown; only a yes removes, with the secrets."""
    before = home.files()
    home.talk("remove", "demo", "other", answers=[("remove demo, other [y/N]: ", "\n")], code=2)
    home.talk("remove", "demo", "other", answers=[("remove demo, other [y/N]: ", "n\n")], code=2)
    home.talk("remove", "demo", "other", answers=[("remove demo, other [y/N]: ", INTERRUPT)], code=130)
    assert before == home.files()

    home.talk("remove", "demo", "other", answers=[("remove demo, other [y/N]: ", "y\n")])
    assert {"child"} == {*servers(home)}


def test_remove_without_a_terminal_needs_yes(home: Home) -> None:
    """Nothing is read from stdin: a script says ``--yes``, and is told where copies stay."""
    assert "--yes" in home.refused("remove", "demo", code=2, stdin="y\n")

    done = home.run("remove", "demo", "--yes")
    assert "removed demo\n" == done.stdout
    assert "revoke" in done.stderr
    assert "demo" not in servers(home)
    # The generation before still held the sealed values: it goes with them.
    assert [] == [*home.vault.parent.glob("*.prev")]


def test_remove_leaves_nothing_of_a_dead_writer(home: Home) -> None:
    """A temporary file that a killed writer left holds the sealed value: it goes too, however young it is."""
    draft = home.vault.with_name(".vault.toml.tmp.4194304.0a1b2c3d")
    draft.write_bytes(home.vault.read_bytes())
    sealed = next(line for line in home.vault.read_text().splitlines() if "mv1." in line)

    home.run("remove", "demo", "--yes")

    assert ["vault.toml"] == [path.name for path in home.vault.parent.iterdir() if path.suffix != ".lock"]
    assert sealed not in home.vault.read_text()


def test_one_unknown_name_removes_nothing(home: Home) -> None:
    """All names are looked at first."""
    assert "did you mean 'demo'?" in home.refused("remove", "other", "demon", "--yes", code=8)


def test_a_name_given_twice_is_removed_once(home: Home) -> None:
    """A script that repeats itself is no error."""
    home.run("remove", "demo", "demo", "--yes")

    assert {"other", "child"} == {*servers(home)}


def test_remove_as_json(home: Home) -> None:
    """``--json`` lists what was removed; ``--dry-run`` asks nothing and removes nothing."""
    before = home.files()
    dry = home.run("remove", "demo", "other", "--dry-run", "--json")
    assert {"removed": ["demo", "other"], "dry_run": True, "tokens": []} == json.loads(dry.stdout)
    assert before == home.files()

    done = home.run("remove", "demo", "--yes", "--json")
    assert {"removed": ["demo"], "dry_run": False, "tokens": []} == json.loads(done.stdout)
    assert "" == done.stderr


def test_approve_shows_the_whole_command(home: Home) -> None:
    """Every word, variable and folder, on one line and with nothing that could draw over it; what steers is marked."""
    shown = home.talk("approve", "child", answers=[("allow it [y/N]: ", "y\n")])

    assert r"/opt/x -e 'print(1)\nprint(2)' '\u202etxt.exe'" in shown
    for line in (
        "with LD_PRELOAD=/tmp/x.so  <- steers what is loaded or run",
        r"with PATH=/tmp/evil\u202e:/bin  <- steers what is loaded or run",
        "with REGION=eu\r\n",
        "with ROOM=${env:ROOM:-x}\r\n",
        "with DB_PASSWORD=<sealed>\r\n",
        "warning: LD_PRELOAD, PATH: can make",
    ):
        assert line in shown
    assert TOKEN not in shown
    assert "in /srv" in shown
    assert servers(home)["child"]["approved"] is True


def test_approve_can_be_declined(home: Home) -> None:
    """A no, ctrl-C or the lack of a terminal leaves the command refused."""
    before = home.files()
    home.talk("approve", "child", answers=[("allow it [y/N]: ", "n\n")], code=2)
    home.talk("approve", "child", answers=[("allow it [y/N]: ", INTERRUPT)], code=130)
    done = home.run("approve", "child", stdin="y\n", code=2)
    assert "give --yes" in done.stderr
    assert before == home.files()

    assert "mcpvault approve child" in home.refused("tools", "child", code=8)


def test_approve_as_json(home: Home) -> None:
    """``--json`` has words, variables and folder, and no secret; ``--dry-run`` approves nothing."""
    before = home.files()
    dry = json.loads(home.run("approve", "child", "--dry-run", "--json").stdout)
    assert ("child", "/opt/x", True) == (dry["server"], dry["command"][0], dry["dry_run"])
    assert ("/srv", ["LD_PRELOAD", "PATH"]) == (dry["cwd"], dry["steering"])
    assert ("/tmp/x.so", "${env:ROOM:-x}", "<sealed>") == tuple(
        dry["env"][n] for n in ("LD_PRELOAD", "ROOM", "DB_PASSWORD")
    )
    assert before == home.files()

    home.run("approve", "child", "--yes", "--json")
    assert servers(home)["child"]["approved"] is True


def test_only_a_command_is_approved(home: Home) -> None:
    """A URL runs nothing, and an unknown name gets a suggestion."""
    assert "runs no command" in home.refused("approve", "demo", "--yes", code=2)
    assert "did you mean 'child'?" in home.refused("approve", "chid", "--yes", code=8)
