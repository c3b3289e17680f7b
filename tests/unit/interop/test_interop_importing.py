"""``import_file``: foreign servers in a real vault; nothing overwritten, nothing expanded, nothing half done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop_samples import RANDOM, TOKEN, URL

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError, RoleError, UnresolvedReferenceError
from mcpvault.interop.importing import Report, import_file
from mcpvault.secret import Secret
from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import NewSlot, RawKey

WEB = {"url": URL, "headers": {"Authorization": f"Bearer {TOKEN}"}}
REF = {"url": URL, "headers": {"Authorization": "Bearer ${CUSTOM_TOKEN}"}}
TOOL = {"command": "tool", "args": ["--ro"], "env": {"API_KEY": RANDOM}}


class Place:
    """A vault, and the folder that foreign files are in."""

    def __init__(self, folder: Path) -> None:
        admin, reader = RawKey.generate(), RawKey.generate()
        self.folder = folder
        self.env = {"HOME": str(folder / "home"), "CUSTOM_TOKEN": "must-not-be-expanded"}
        slots = [NewSlot.raw("me", admin), NewSlot.raw("cron", reader, role="reader")]
        self.key, self.reader = (Key(kind="text", secret=each.text, source="the test") for each in (admin, reader))
        self.vault = Vault.create(slots=slots, env=self.env, key=self.key)

    def file(self, content: object, name: str = "mcp.json") -> Path:
        """Write a configuration."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        return path

    def take(self, servers: dict[str, Any], **options: Any) -> Report:
        """Import servers of mcp-use's form."""
        return import_file(self.vault, self.file({"mcpServers": servers}), **options)

    @property
    def text(self) -> str:
        """The text of the vault file."""
        return self.vault.file.path.read_text()

    def again(self) -> Vault:
        """Open the vault anew."""
        return Vault.open(env=self.env, key=self.key)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A new vault."""
    yield Place(tmp_path)


def test_everything_comes_in_with_one_write(place: Place) -> None:
    """Sealed, referring, waiting for approval; the source is as it was."""
    report = place.take({"web": WEB, "ref": REF, "tool": TOOL})

    vault = place.again()
    assert ("web", "ref", "tool") == vault.names()
    assert 2 == vault.document.header.serial
    assert Secret(TOKEN) == vault.file.secret("web", "auth.token")
    assert Secret(RANDOM) == vault.file.secret("tool", "env.API_KEY")
    assert "${env:CUSTOM_TOKEN}" == vault.entry("ref").auth.token
    assert not vault.entry("tool").approved
    assert report.complete
    assert {"mcpServers": {"web": WEB, "ref": REF, "tool": TOOL}} == json.loads((place.folder / "mcp.json").read_text())


def test_no_secret_is_in_clear_and_none_is_expanded(place: Place) -> None:
    """Neither in the vault nor in the report."""
    report = place.take({"web": WEB, "ref": REF, "tool": TOOL})

    told = place.text + json.dumps(report.as_json()) + repr(report)
    assert [] == [secret for secret in (TOKEN, RANDOM, "must-not-be-expanded") if secret in told]


def test_the_report_tells_what_became_of_each(place: Place) -> None:
    """Where it leads, what was sealed, what it refers to."""
    report = place.take({"web": {**WEB, "url": f"{URL}?x=1"}, "ref": REF, "my tool": TOOL, "bad": {}})

    rows = {row.source_name: row for row in report.rows}
    assert (True, "http", URL, ("auth.token",)) == (
        rows["web"].added,
        rows["web"].kind,
        rows["web"].leads_to,
        rows["web"].sealed,
    )
    assert ("CUSTOM_TOKEN",) == rows["ref"].references
    assert ("my-tool", "stdio", "tool --ro") == (rows["my tool"].name, rows["my tool"].kind, rows["my tool"].leads_to)
    assert (False, "names neither a command nor a url") == (rows["bad"].added, rows["bad"].why)
    assert not report.complete


def test_the_report_as_json(place: Place) -> None:
    """Lists and plain values, ready to be written."""
    report = place.take({"web": WEB}).as_json()

    assert {"path", "from", "dry_run", "active", "losses", "servers"} == set(report)
    assert ("mcp-use", False, ["auth.token"]) == (report["from"], report["dry_run"], report["servers"][0]["sealed"])
    assert report == json.loads(json.dumps(report))


def test_what_is_there_is_never_overwritten(place: Place) -> None:
    """Regardless of case; the others come in."""
    place.take({"web": REF})
    before = place.again().file.table("web")

    report = place.take({"WEB": WEB, "tool": TOOL})

    assert [(False, ()), (True, ("env.API_KEY",))] == [
        (row.added, row.sealed if row.added else ()) for row in report.rows
    ]
    assert "there is a server 'web' already" in (report.rows[0].why or "")
    assert before == place.again().file.table("web")
    assert ("web", "tool") == place.again().names()


def test_a_dry_run_tells_the_same_and_writes_nothing(place: Place) -> None:
    """Neither the vault nor the source."""
    before = place.text

    report = place.take({"web": WEB, "bad": 3}, dry_run=True, move=True)

    assert (True, [True, False], [True, False]) == (
        report.dry_run,
        [row.added for row in report.rows],
        [row.moved for row in report.rows],
    )
    assert before == place.text
    assert TOKEN in (place.folder / "mcp.json").read_text()


def test_a_named_client_is_believed(place: Place) -> None:
    """The same file means other things to other clients."""
    path = place.file({"mcpServers": {"s": {"command": "t", "cwd": "${workspaceFolder}"}}})

    import_file(place.vault, path, kind="cursor")

    assert "${env:WORKSPACE_FOLDER}" == place.again().entry("s").cwd


def test_the_active_session_is_told(place: Place) -> None:
    """Unless its entry did not come in."""
    content = {"activeSession": "web", "sessions": {"web": REF}}

    assert "web" == import_file(place.vault, place.file(content)).active
    assert import_file(place.vault, place.file(content)).active is None


def test_a_reader_imports_nothing(place: Place) -> None:
    """Also not in a dry run."""
    reader = Vault.open(env=place.env, key=place.reader)
    for dry_run in (False, True):
        with pytest.raises(RoleError):
            import_file(reader, place.file({"mcpServers": {"web": WEB}}), dry_run=dry_run)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_file_of_nobody_is_exit_8_and_changes_nothing(place: Place, content: str) -> None:
    """Before the vault is touched."""
    before = place.text
    with pytest.raises(ConfigurationError) as caught:
        import_file(place.vault, place.file(content))

    assert (8, before) == (caught.value.exit_code, place.text)


def test_jsonc_is_read(place: Place) -> None:
    """Comments and trailing commas, as VS Code writes them."""
    text = '// mine\n{"servers": {"s": {"url": "https://a.example/mcp", /* x */ }, }, }'

    assert import_file(place.vault, place.file(text)).complete
    assert "https://a.example/mcp" == place.again().entry("s").url


def test_an_imported_entry_works_like_any(place: Place) -> None:
    """Its references are looked up where it runs, its secrets open there."""
    place.take({"web": WEB, "ref": REF})
    vault = place.again()

    assert Secret(TOKEN) == vault.token("web")
    assert Secret("must-not-be-expanded") == vault.token("ref")
    place.env.pop("CUSTOM_TOKEN")
    with pytest.raises(UnresolvedReferenceError):
        place.again().token("ref")


# Moving


def test_moved_servers_ask_the_vault(place: Place) -> None:
    """No secret is left in the source."""
    report = place.take({"web": WEB, "tool": TOOL}, move=True)

    left = json.loads((place.folder / "mcp.json").read_text())["mcpServers"]
    assert {"web": ["stdio", "web"], "tool": ["stdio", "tool"]} == {name: entry["args"] for name, entry in left.items()}
    assert [True, True] == [row.moved for row in report.rows]
    assert Secret(TOKEN) == place.again().file.secret("web", "auth.token")


def test_a_server_that_did_not_come_in_is_not_moved(place: Place) -> None:
    """Nor one whose secret the source must keep; it is told why."""
    place.take({"taken": REF})
    servers = {"taken": WEB, "bad": 3, "half": {"url": f"https://a.example/mcp?token={TOKEN}"}, "web": WEB}

    report = place.take(servers, move=True)

    left = json.loads((place.folder / "mcp.json").read_text())["mcpServers"]
    assert {**servers, "web": {"command": "mcpvault", "args": ["stdio", "web"]}} == left
    moved = {row.source_name: row.moved for row in report.rows}
    assert {"taken": False, "bad": False, "half": False, "web": True} == moved
    assert any("not moved: the source holds a secret" in loss for row in report.rows for loss in row.losses)


def test_what_is_there_and_the_same_is_moved(place: Place) -> None:
    """The vault says all that the file says, and more: nothing is added, and the file asks it."""
    place.take({"web": {**WEB, "timeout": 5}, "tool": TOOL}, kind="cursor")
    with place.vault.change() as change:
        change.set_plain("web", "headers.X-More", "of the vault's")

    report = place.take({"web": {**WEB, "timeout": 5, "disabled": True}, "tool": TOOL}, kind="cursor", move=True)

    assert [(True, True, True)] * 2 == [(row.there, row.moved, row.added) for row in report.rows]
    left = json.loads((place.folder / "mcp.json").read_text())["mcpServers"]
    assert [["stdio", "web"], ["stdio", "tool"]] == [left[name]["args"] for name in left]
    assert left["web"]["disabled"] is True


@pytest.mark.parametrize("move", [False, True])
def test_what_differs_from_the_vault_is_named_and_stays(place: Place, move: bool) -> None:
    """Header, key of the client, address, secret: by field and without values, and the file keeps them."""
    place.take({"web": {**WEB, "timeout": 5}}, kind="cursor")
    other = {"url": f"{URL}/2", "headers": {"Authorization": f"Bearer {RANDOM}", "X-Tenant": "acme"}, "timeout": 9}
    before = place.text

    report = place.take({"web": other}, kind="cursor", move=move)

    [row] = report.rows
    assert (False, False, False) == (row.added, row.moved, row.there)
    assert "differs in url, headers.X-Tenant, x-cursor.timeout, auth.token: set that there" in (row.why or "")
    assert [] == [value for value in ("acme", RANDOM, "9") if value in json.dumps(report.as_json()["servers"])]
    assert (before, {"mcpServers": {"web": other}}) == (place.text, json.loads((place.folder / "mcp.json").read_text()))


def test_a_renamed_server_asks_for_its_new_name(place: Place) -> None:
    """The source keeps its own."""
    place.take({"my server": WEB}, move=True)

    left = json.loads((place.folder / "mcp.json").read_text())["mcpServers"]
    assert {"my server": {"command": "mcpvault", "args": ["stdio", "my-server"]}} == left


def test_vscode_gets_its_type(place: Place) -> None:
    """It starts nothing without."""
    path = place.file({"servers": {"s": {"url": URL}}})

    import_file(place.vault, path, move=True)

    assert {"type": "stdio", "command": "mcpvault", "args": ["stdio", "s"]} == json.loads(path.read_text())["servers"][
        "s"
    ]


def test_a_file_that_must_not_be_rewritten_stops_before_the_vault(place: Place) -> None:
    """Nothing was written anywhere; without ``--move`` it comes in."""
    path = place.file(json.dumps({"mcpServers": {"web": WEB}}), ".claude.json")
    before = place.text

    with pytest.raises(ConfigurationError):
        import_file(place.vault, path, move=True)
    assert before == place.text

    assert import_file(place.vault, path).complete


def test_importing_a_moved_file_again_overwrites_nothing(place: Place) -> None:
    """Its entries are there."""
    place.take({"web": WEB}, move=True)

    report = import_file(place.vault, place.folder / "mcp.json")

    assert [False] == [row.added for row in report.rows]
    assert URL == place.again().entry("web").url


def test_a_secret_that_reads_like_a_reference_is_told(place: Place) -> None:
    """It is sealed as it stands, nothing is run or read, and the report names the field and quotes nothing."""
    evil = {"url": URL, "authToken": '${cmd:["touch", "/pwned"]}', "headers": {"X-Api-Key": "${S3cr!t}"}}

    report = place.take({"web": evil})

    told = "what looks like a reference in it is not taken over: it is sealed as it stands"
    assert (f"auth.token: {told}", f"headers.X-Api-Key: {told}") == report.rows[0].todo
    assert Secret(evil["authToken"]) == place.again().file.secret("web", "auth.token")
    assert "S3cr" not in json.dumps(report.as_json())
