"""``audit``: every use of the vault is written down, and a log that was touched is exit 6."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import TOKEN, Home, House, furnished, new_vault
from oauth_house import oauth_house

from mcpvault.vault.slots import RawKey


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home, and the server that its vault names."""
    with furnished(tmp_path) as made:
        yield made


def log(home: Home, *words: str) -> list[dict[str, Any]]:
    """Return what ``audit show`` tells."""
    found: list[dict[str, Any]] = json.loads(home.run("audit", "show", *words, "--json").stdout)
    return found


def done(home: Home, *words: str) -> list[tuple[str, str | None, bool]]:
    """Return event, server and outcome of each, unlocking left out."""
    return [(each["ev"], each.get("server"), each["ok"]) for each in log(home, *words) if each["ev"] != "unlock"]


def test_what_is_done_is_written_down(house: House) -> None:
    """A call, a look, a change, a secret given away: who, what, which secret by fingerprint, and no secret."""
    house.run("call", "demo", "echo", '{"message": "x"}')
    house.run("get", "demo", "auth.token", "--reveal")
    house.run("set", "demo", "note", "n")
    house.run("token", "demo")
    house.run("run", "--set", "T=demo", "--", "true")
    house.run("call", "nobody", "echo", code=8)

    assert [
        ("resolve", "demo", True),
        ("reveal", "demo", True),
        ("change", None, True),
        ("give", "demo", True),
        ("give", "demo", True),
        ("resolve", "nobody", False),
    ] == done(house)[-6:]
    told = log(house, "demo", "--event", "reveal")[0]
    [version] = json.loads(house.run("history", "demo", "--json").stdout)
    assert {"auth.token": version["fingerprint"]} == told["fp"]
    changed = log(house, "demo", "--event", "change")[-1]
    assert (["demo"], {"demo": ["note"]}) == (changed["servers"], changed["fields"])
    assert {"uid", "pid", "host", "prog", "serial"} <= {*told}
    assert TOKEN not in "".join(path.read_text() for path in house.state.glob("audit*"))
    assert [] != log(house, "--fingerprint", version["fingerprint"])
    assert ["unknown_server"] == [each["why"] for each in log(house, "--failed")]
    assert "whole: " in house.run("audit", "verify").stdout


def test_a_change_names_the_fields_and_no_value(house: House) -> None:
    """Whichever verb it was: ``add``, ``set``, ``import``, ``edit``, ``rotate`` or ``sign``."""
    home, secret = house.home, "new-token-of-this-test-7Qp"
    house.server.tokens[secret] = house.server.tokens[f"{secret}-3"] = None
    (home / "editor").write_text('#!/bin/sh\nsed s/the-blue-ones/the-red-ones/ "$1" > "$1.new" && mv "$1.new" "$1"\n')
    (home / "editor").chmod(0o700)
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"taken": {"url": house.server.url}}}))
    acts: list[tuple[tuple[str, ...], str | None]] = [
        (("add", "other", "https://other.example/mcp", "--bearer-stdin"), f"{secret}-2\n"),
        (("set", "demo", "headers.X-Team", "the-blue-ones"), None),
        (("set", "demo", "auth.token", "--stdin"), f"{secret}\n"),
        (("import", str(home / "mcp.json")), None),
        (("edit", "demo"), None),
        (("rotate", "demo", "--stdin"), f"{secret}-3\n"),
        (("set", "*", "policy.max_age", "90d"), None),
    ]
    told = []
    for words, stdin in acts:
        house.run(*words, stdin=stdin, EDITOR=str(home / "editor"))
        told.append({**log(house, "--event", "change")[-1]})
    house.vault.write_text(house.vault.read_text().replace("the-red-ones", "the-green-ones"))
    house.run("sign", "--yes")
    told.append(log(house, "--event", "change")[-1])

    assert [
        {"other": ["auth.kind", "auth.token", "url"]},
        {"demo": ["headers.X-Team"]},
        {"demo": ["auth.token"]},
        {"taken": ["url"]},
        {"demo": ["headers.X-Team"]},
        {"demo": ["rotation"]},
        {},
        {"demo": ["headers.X-Team"]},
    ] == [each["fields"] for each in told]
    assert ["policy.max_age"] == told[6]["vault"]
    assert {"demo": ["auth.token", "rotation"]} in [each["fields"] for each in log(house, "--event", "change")]
    written = "".join(path.read_text() for path in house.state.glob("audit*"))
    assert [] == [value for value in (secret, "the-blue-ones", "the-red-ones", "other.example") if value in written]
    assert "auth.token, rotation" in house.run("audit", "show", "demo").stdout
    assert "whole: " in house.run("audit", "verify").stdout


def test_a_vault_that_does_not_open_is_written_down(house: House) -> None:
    """Nobody has a key to sign that with; the next line vouches for it."""
    house.run("get", "demo", MCPVAULT_KEY=RawKey.generate().text.reveal(), code=6)
    assert ["unlock"] == [each["ev"] for each in log(house, "--failed")]

    house.run("get", "demo")

    assert [] == json.loads(house.run("audit", "verify", "--json").stdout)["faults"]


def test_the_life_of_a_grant_is_written_down(tmp_path: Path) -> None:
    """Login, refresh and logout, each with the generation; the token by fingerprint."""
    with oauth_house(tmp_path) as house:
        house.log_in()
        house.run("refresh", "demo")
        house.run("logout", "demo")
        told = [each for each in log(house, "demo") if each["ev"] in ("login", "refresh", "logout")]

    assert [("login", 2, True), ("refresh", 3, True), ("logout", 3, True)] == [
        (each["ev"], each["gen"], each["ok"]) for each in told
    ]
    assert told[0]["fp"] != told[1]["fp"]


def test_a_line_that_was_changed_is_exit_6(house: House) -> None:
    """``verify`` names file and line; ``--json`` lists every fault on stdout."""
    house.run("get", "demo")
    [path] = house.state.glob("audit-*.jsonl")
    path.write_text(path.read_text().replace('"ev":"unlock"', '"ev":"unlocked"', 1))

    done = house.run("audit", "verify", "--json", code=6)

    assert "audit_broken" == json.loads(done.stderr)["error"]["kind"]
    assert path.name == json.loads(done.stdout)["faults"][0]["file"]
    assert f"{path.name}:" in house.run("audit", "verify", code=6).stderr


def required(home: Home) -> None:
    """Let the vault demand that everything is written down."""
    home.vault.write_text(home.vault.read_text().replace("[vault]\n", '[vault]\naudit = "required"\n', 1))
    home.run("sign", "--yes")


@pytest.mark.parametrize("must", [False, True])
def test_a_log_that_cannot_be_written(house: House, must: bool) -> None:
    """It is a warning, once; where the vault demands it, nothing is done."""
    if must:
        required(house)
    [path] = house.state.glob("audit-*.jsonl")
    path.unlink()
    path.mkdir()

    done = house.run("get", "demo", "auth.token", "--reveal", code=8 if must else 0)

    assert (not must, 1) == (TOKEN in done.stdout, done.stderr.count("the audit log cannot be written"))


def test_an_older_file_is_believed_only_where_that_is_written_down(house: House) -> None:
    """``trust --accept`` is an event, with what the host had seen; where it cannot be written, the host stays firm."""
    required(house)
    older = house.vault.read_bytes()
    house.run("set", "demo", "note", "newer")
    seen = house.open().document.header.serial
    house.vault.write_bytes(older)
    [path] = house.state.glob("audit-*.jsonl")
    kept = path.rename(house.home / "kept")
    path.mkdir()
    assert "the audit log cannot be written" in house.run("trust", "--accept", "--yes", code=8).stderr
    path.rmdir()
    kept.rename(path)
    assert "rolled back" in house.run("get", "demo", code=6).stderr

    house.run("trust", "--accept", "--yes")
    [told] = log(house, "--event", "trust")
    assert (f"serial {seen}", seen - 1, True) == (told["seen"], told["serial"], told["ok"])


def test_a_vault_may_keep_no_log(home: Path) -> None:
    """``audit = "off"`` below ``[vault]``, signed by an admin."""
    made = new_vault(home)
    made.vault.write_text(made.vault.read_text().replace("[vault]\n", '[vault]\naudit = "off"\n', 1))
    made.run("sign", "--yes")
    before = len(log(made))

    made.run("get", "demo")

    assert before == len(log(made))


def test_a_narrow_terminal_shows_it_by_process(house: House) -> None:
    """In 60 columns each process is named once, no line is wider, and what may be copied is in one piece."""
    house.run("get", "demo", "auth.token", "--reveal")
    reveal = log(house, "--event", "reveal")[0]

    lines = house.talk("audit", "show", columns=60).splitlines()

    who = f"mcpvault of uid {reveal['uid']} on {reveal['host']}, pid {reveal['pid']}"
    begins = lines.index(who)
    assert re.fullmatch(r"  20\S+Z unlock slot me", lines[begins + 1])
    shown = " ".join(each.strip() for each in lines[begins + 2 : begins + 4])
    assert shown.startswith(
        f"{reveal['t']} reveal demo.auth.token stage current; auth.token {reveal['fp']['auth.token']}"
    )
    assert max(map(len, lines)) <= 60
    assert "who" in house.talk("audit", "show", columns=120)
