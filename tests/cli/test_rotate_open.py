"""A secret whose rotation is open, in other hands: what may change it, and how it is replaced at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import TOKEN, House, furnished

from mcpvault import Secret

NEW, LEAKED = "new-token-of-the-open-tests-2Wq", "token-that-others-know-7Hs"


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    """A home whose token is being rotated: the new one is in use, the old one in its grace."""
    with furnished(home) as made:
        made.server.tokens[NEW] = None
        made.run("rotate", "demo", "--stdin", stdin=NEW + "\n")
        yield made


def held(house: House) -> dict[str, str]:
    """Return the versions of the token, by stage."""
    file = house.open().file
    return {each.stage: file.secret("demo", each.field, stage=each.stage).reveal() for each in file.history("demo")}


def test_nobody_pushes_out_what_a_rotation_has_to_end(house: House) -> None:
    """``set``, ``edit`` and ``--unset`` of that secret, or of the journal, are refused with what to do instead."""
    before, editor = house.vault.read_text(), house.home / "editor.sh"
    words = ("set", "demo", "auth.token")
    said = [house.refused(*words, "--stdin", stdin="by-hand\n", code=8)]
    said += [house.refused(*words, *end, code=8) for end in (("--unset",), ("${env:TOKEN}", "--yes"))]
    said += [house.refused("set", "demo", "auth.token", "--stdin", "--dry-run", stdin="by-hand\n", code=8)]
    for script in ('s/^token = .*/token = "by-hand"/', "/^.servers.demo.rotation/,$d"):
        editor.write_text(f"""sed -i '{script}' "$1" """)
        said += [house.refused("edit", "demo", code=8, EDITOR="sh editor.sh")]

    assert 6 == len(said) == len([each for each in said if "servers.demo.auth.token: its rotation is open" in each])
    assert ["mcpvault rotate demo --resume, or at once: --abort" in each for each in said] == [True] * 6
    assert (before, {"current": NEW, "previous": TOKEN}) == (house.vault.read_text(), held(house))


def test_what_is_beside_it_can_be_changed(house: House) -> None:
    """Other fields, another key of the vault, and an address that the secret follows to leave the versions alone."""
    house.run("set", "demo", "note", "in rotation")
    house.run("set", "demo", "headers.X-API-Key", "--stdin", stdin="k1\n")
    house.run("rekey", "--yes")
    house.run("set", "demo", "url", "https://elsewhere.example/mcp", "--yes")

    assert {"current": NEW, "previous": TOKEN} == {
        stage: secret for stage, secret in held(house).items() if secret != "k1"
    }


def test_a_leaked_secret_is_replaced_at_once(house: House) -> None:
    """Given up, the rotation lets go of the secret: two commands, and nothing is left that nobody knows of."""
    house.run("rotate", "demo", "--abort")
    house.run("set", "demo", "auth.token", "--stdin", stdin="by-hand\n")

    assert {"current": "by-hand", "previous": TOKEN} == held(house)


def test_a_rotation_can_be_given_up_though_its_program_is_gone(house: House) -> None:
    """What cannot be ended keeps it open, until somebody says ``--force``; what stays alive is said."""
    program = house.home / "mint.sh"
    program.write_text(f"""#!/bin/sh\ncat >/dev/null; rm "$0"; echo '{{"secret": "{LEAKED}"}}'\n""")
    program.chmod(0o700)
    house.run("rotate", "demo", "--abort")
    house.server.tokens[LEAKED] = None
    house.run("rotate", "demo", "--exec", "--", str(program))
    assert "cannot be run" in house.run("rotate", "demo", "--abort", code=8).stderr
    house.refused("set", "demo", "auth.token", "--stdin", stdin="by-hand\n", code=8)
    house.refused("rotate", "demo", "--force", code=2)

    said = house.run("rotate", "demo", "--abort", "--force", "--json")
    [told] = json.loads(said.stdout)
    assert ("aborted", True) == (told["step"], "the new auth.token was not ended" in told["remarks"][0])
    assert TOKEN == held(house)["current"]


def test_a_journal_that_only_moves_is_a_step_of_the_rotation(house: House) -> None:
    """Another host's step writes versions and journal together: that is no edit."""
    with house.open().change() as change:
        change.table("demo")["rotation"]["step"] = "promoted"
        change.set_secret("demo", "auth.token", Secret(LEAKED))
    assert LEAKED == held(house)["current"]


def test_a_timer_waits_for_the_old_ones_together(house: House) -> None:
    """All are ended before the first is waited for, so that many take no longer than one; each is told of."""
    house.run("rotate", "demo", "--abort")
    program = house.home / "mint.sh"
    program.write_text(f"""#!/bin/sh\ngrep -q '"mint"' && echo '{{"secret": "{LEAKED}"}}'; exit 0\n""")
    program.chmod(0o700)
    house.server.tokens[LEAKED] = None
    with house.open().change() as change:
        change.add_server("twin", {"url": house.server.url, "auth": {"kind": "bearer"}})
        change.set_secret("twin", "auth.token", Secret(TOKEN))
    for name in ("demo", "twin"):
        house.run("rotate", name, "--exec", "--", str(program))
    with house.open().change() as change:
        for name in ("demo", "twin"):
            change.table(name)["rotation"]["until"] = "2026-01-01T00:00:00Z"

    told = json.loads(house.run("rotate", "--resume", "--all", "--wait", "2s", "--json").stdout)
    assert [("done", True)] * 2 == [(each["step"], "still accepted" in each["problem"]) for each in told]
    lines = json.loads(house.run("audit", "show", "--json").stdout)
    steps = [(each["server"], each["step"]) for each in lines if each.get("step") in ("revoked", "done")]
    assert [("demo", "revoked"), ("twin", "revoked"), ("demo", "done"), ("twin", "done")] == steps


def test_a_person_says_that_the_old_one_may_live(house: House) -> None:
    """``--resume`` alone leaves it open, ``--resume --force`` ends it; then the next one can be brought."""
    with house.open().change() as change:
        change.table("demo")["rotation"]["until"] = "2026-01-01T00:00:00Z"
    assert "demo.auth.token: open, at 'revoked'\n" == house.run("rotate", "demo", "--resume").stdout
    said = house.refused("set", "demo", "auth.token", "--stdin", stdin="by-hand\n", code=8)
    assert "rotate demo --resume; with --force it ends as it is" in said
    house.refused("rotate", "--resume", "--all", "--force", code=2)
    house.refused("rotate", "demo", "--resume", "--force", "--require-dead", code=2)

    done = house.run("rotate", "demo", "--resume", "--force").stdout
    assert done.startswith("demo.auth.token: done: the old auth.token is still accepted, since 20")
    house.run("set", "demo", "auth.token", "--stdin", stdin="by-hand\n")
