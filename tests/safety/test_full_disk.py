"""A disk without room: every verb that writes says so and leaves what was there, whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from storm_home import NEW, OLD, OTHER, URL, Home, furnish

CONFIGURATION = 8


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make a home with a vault, once."""
    return furnish(tmp_path_factory.mktemp("disk") / "home")


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")


WRITING = {
    "set": (("set", "demo", "auth.token", "--stdin"), NEW),
    "add": (("add", "new", URL, "--bearer-stdin"), NEW),
    "remove": (("remove", "spare", "--yes"), ""),
    "sign": (("sign", "--yes"), ""),
    "approve": (("approve", "files", "--yes"), ""),
    "slots": (("slots", "add", "web", "--new-key-file", "keys/web.key"), ""),
    "import": (("import", "mcp.json", "--move"), ""),
    "edit": (("edit",), ""),
}


@pytest.mark.parametrize("room", [0, 10, 600])
@pytest.mark.parametrize("verb", WRITING)
def test_a_full_disk_leaves_the_old_file(home: Home, verb: str, room: int) -> None:
    """Where the system takes only a few bytes, the verb says so (exit 8), and the vault is as it was, and whole."""
    words, stdin = WRITING[verb]
    source = (home.path / "mcp.json").read_bytes()

    said = home.refused(*words, stdin=stdin, code=CONFIGURATION, room=room, env={"EDITOR": "sed -i s/first/new/"})

    assert "file too large" in said.lower()
    assert [] == home.leftovers()
    assert source == (home.path / "mcp.json").read_bytes()
    assert [OLD, OTHER] == [home.reveal("demo"), home.reveal("spare", "headers.X-Api-Key")]
    key = home.path / "keys/web.key"
    assert not key.exists() or 64 == key.stat().st_size  # whole or not at all


@pytest.mark.parametrize("room", [0, 10, 600])
def test_a_full_disk_makes_no_vault(tmp_path: Path, room: int) -> None:
    """``init`` leaves no vault, and no half of a key."""
    home = Home(tmp_path)

    home.refused("init", code=CONFIGURATION, room=room)

    assert home.bytes is None
    assert all(64 == key.stat().st_size for key in (tmp_path / ".local/share/mcpvault").glob("*"))
    home.run("init")
