"""``import``: files that are refused, readers that are named, and nothing asked. What comes in is in ``mcp_verbs``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from house import Home, new_vault

from mcpvault.vault.slots import NewSlot, RawKey

SERVER = {"url": "https://i.example.com/mcp", "headers": {"Authorization": "Bearer sealed-at-once-2Tb6"}}


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


def source(home: Home, servers: dict[str, object]) -> Path:
    """Write another client's file."""
    path = home.home / "mcp.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


FILES = [
    (8, "is not JSON (line 1, column 2)", b"{"),
    (8, "expected a JSON object", b"[]"),
    (8, "UTF-8", b"\xff"),
    (8, "JSON", b""),
]


@pytest.mark.parametrize(("code", "says", "data"), FILES)
def test_a_file_that_is_none_of_theirs(home: Home, code: int, says: str, data: bytes) -> None:
    """One clear line with the place in it; neither vault nor file is touched."""
    (home.home / "mcp.json").write_bytes(data)

    assert says in home.refused("import", "mcp.json", code=code)


@pytest.mark.parametrize(
    ("code", "says", "words"),
    [
        (2, "does not exist", ["nowhere.json"]),
        (2, "is a directory", ["."]),
        (2, "missing argument", []),
        (8, "cursor", ["mcp.json", "--from", "nobody"]),
    ],
)
def test_what_cannot_be_imported(home: Home, code: int, says: str, words: list[str]) -> None:
    """A missing file is a usage error; an unknown reader is told which there are."""
    source(home, {"in": SERVER})

    assert says in home.refused("import", *words, code=code)


def test_a_name_with_a_dot_is_mapped_and_said(home: Home) -> None:
    """Names of a vault have no dots: the report says what a server is called here."""
    source(home, {"my.server": SERVER})
    done = home.run("import", "mcp.json")

    assert ("my-server\tadded: http" in done.stdout, "'my.server' is called 'my-server' here" in done.stderr) == (
        True,
        True,
    )
    assert "sealed-at-once" not in done.stdout + done.stderr + home.vault.read_text()


def test_what_does_not_come_in_is_exit_8(home: Home) -> None:
    """What could be taken is taken; the rest is named with its reason."""
    source(home, {"good": SERVER, "bad": {"nonsense": 1}})
    done = home.run("import", "mcp.json", code=8)

    assert ["good\tadded", "bad\tleft out"] == [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert "not everything came in: bad" in done.stderr


def test_a_reader_imports_nothing(home: Home) -> None:
    """It needs an admin's key, also for a dry run."""
    source(home, {"in": SERVER})
    key = RawKey.generate()
    with home.open().change() as change:
        change.add_slot(NewSlot.raw("cron", key, role="reader"))
    variables = {"MCPVAULT_KEY": key.text.reveal()}
    home.run("get", "demo", **variables)

    for options in ([], ["--dry-run"], ["--move"]):
        assert "'cron' is a reader's" in home.refused("import", "mcp.json", *options, code=8, **variables)
