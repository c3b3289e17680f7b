"""``rotate``, ``rollback`` and ``due`` as a person and a timer use them."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import TOKEN, House, furnished, home_env

from mcpvault import Secret, Vault
from mcpvault.errors import PolicyError
from mcpvault.rotation.ground import Conditions
from mcpvault.rotation.machine import Machine

NEW = "new-token-of-the-verb-tests-8Kd"


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    """A home whose server takes the token of its vault, and a new one."""
    with furnished(home) as made:
        made.server.tokens[NEW] = None
        yield made


def test_a_token_is_rotated_and_its_timer_ends_it(house: House) -> None:
    """One line for a person, JSON for a script; the timer waits for the grace, then for the old token's death."""
    said = house.run("rotate", "demo", "--stdin", "--grace", "1s", stdin=NEW + "\n").stdout
    assert said.startswith("demo.auth.token: the new one is in use, the old one good until 20")

    house.server.token = "refuses-the-old-one"
    told = json.loads(house.run("rotate", "--resume", "--all", "--json").stdout)
    while [each["step"] for each in told] == ["grace"]:
        told = json.loads(house.run("rotate", "--resume", "--all", "--json").stdout)
    assert [("demo", "auth.token", "done")] == [(each["server"], each["field"], each["step"]) for each in told]
    assert "[]" == house.run("rotate", "--resume", "--all", "--json").stdout.strip()


def test_a_plan_asks_and_writes_nothing(house: House) -> None:
    """``--plan`` and ``--dry-run`` say what would happen, what is needed, and whether there is a way back."""
    before = house.files()

    shown = house.run("rotate", "demo", "--plan").stdout
    facts = json.loads(house.run("rotate", "demo", "--dry-run", "--json").stdout)

    assert "needs the new secret" in shown
    assert (True, "manual", "auth.token") == (facts["keeps_old"], facts["rotator"], facts["field"])
    assert (before, []) == (house.files(), house.server.requests)


def test_a_refused_token_is_exit_9_and_says_why(house: House) -> None:
    """The old token stays in use; the error names the reason."""
    said = house.run("rotate", "demo", "--stdin", stdin="no-such-token\n", code=9).stderr

    assert "rejected the credential (401); rolled back" in said
    assert TOKEN == house.open().token("demo").reveal()
    [failed] = json.loads(house.run("audit", "show", "demo", "--failed", "--json").stdout)
    assert ("rotate", "aborted", "policy", True) == (
        failed["ev"], failed["step"], failed["why"], "rejected the credential (401)" in failed["problem"],
    )  # fmt: skip


def test_what_could_not_be_decided_is_in_the_log_too(house: House) -> None:
    """An unreachable server leaves the rotation open: who looks at what failed sees it, at the step where it waits."""
    house.server.misbehave("bad-gateway")
    house.run("rotate", "demo", "--stdin", "--timeout", "1", stdin=NEW + "\n", code=4)

    [failed] = json.loads(house.run("audit", "show", "demo", "--failed", "--json").stdout)
    assert ("rotate", "stored", False) == (failed["ev"], failed["step"], failed["ok"])
    house.server.behave()
    house.run("rotate", "demo", "--abort")
    assert 1 == len(json.loads(house.run("audit", "show", "demo", "--failed", "--json").stdout))


def test_rollback_in_the_grace(house: House) -> None:
    """``rollback`` brings the old token back; a dry run only says so."""
    house.run("rotate", "demo", "--stdin", stdin=NEW + "\n")

    assert "would roll demo.auth.token back\n" == house.run("rollback", "demo", "--dry-run").stdout
    assert NEW == house.open().token("demo").reveal()
    assert "rolled demo.auth.token back\n" == house.run("rollback", "demo").stdout
    assert TOKEN == house.open().token("demo").reveal()


def test_the_only_secret_is_meant_where_none_is_named(house: House) -> None:
    """Several secrets have to be told apart; a reference is rotated where it comes from."""
    with house.open().change() as change:
        change.set_secret("demo", "headers.X-API-Key", Secret("k1"))
        change.add_server("ref", {"url": house.server.url, "auth": {"kind": "bearer", "token": "${env:T}"}})

    assert "auth.token, headers.X-API-Key" in house.refused("rotate", "demo", "--plan", code=2)
    assert "rotate it where it comes from" in house.refused("rotate", "ref", "--plan", code=2)


def test_nothing_is_planned_for_what_is_not_there(house: House) -> None:
    """A field without a sealed value is exit 8, with the nearest name; a program that cannot be run is named."""
    said = house.refused("rotate", "demo", "auth.tokne", "--plan", code=8)
    assert ("servers.demo.auth.tokne: holds no sealed value" in said, "'auth.token'" in said) == (True, True)
    said = house.run("rotate", "demo", "--plan", "--exec", "--", "/nowhere/mint").stdout
    assert "needs a program that can be run: '/nowhere/mint' is none" in said
    house.refused("rotate", "demo", "--exec", "--", "/nowhere/mint", code=2)


@pytest.mark.parametrize(
    "words",
    ["", "demo --resume --abort", "demo --all", "demo --exec", "demo -- mint", "demo auth.token --abort",
     "demo --stdin --prompt"],
)  # fmt: skip
def test_words_that_make_no_sense_together(house: House, words: str) -> None:
    """Contradictions are usage errors, before anything is read."""
    house.refused("rotate", *words.split(), code=2)


# due


def policy(house: House, **policy: str) -> None:
    """Give ``demo`` a policy."""
    with house.open().change() as change:
        for name, value in policy.items():
            change.set_plain("demo", f"policy.{name}", value)


def test_due_needs_no_key(house: House) -> None:
    """Table, JSON, textfile and exit code come from the vault file alone."""
    policy(house, max_age="1s", warn="1s")
    house.key.unlink()
    while json.loads(house.run("due", "--json").stdout)["items"][0]["state"] != "overdue":
        pass

    [item] = json.loads(house.run("due", "--json").stdout)["items"]
    assert ("demo", "auth.token", "policy", 0) == (
        item["server"], item["field"], item["reason"], item["max_age_days"],
    )  # fmt: skip
    assert house.run("due").stdout.startswith("demo\tauth.token\toverdue\t")
    said = house.run("due", "--fail", code=9)
    assert ("run: mcpvault rotate demo auth.token" in said.stderr, True) == (True, "overdue" in said.stdout)


def test_due_writes_a_textfile_for_prometheus(house: House) -> None:
    """The file is whole, readable by the exporter, and tells states, dates and open rotations."""
    policy(house, max_age="90d")
    house.run("rotate", "demo", "--stdin", stdin=NEW + "\n")
    target = house.home / "mcpvault.prom"

    house.run("due", "--prometheus", str(target))

    lines = target.read_text().splitlines()
    assert 0o644 == stat.S_IMODE(target.stat().st_mode)
    assert 'mcpvault_secret_state{server="demo",field="auth.token",state="ok"} 1' in lines
    assert 'mcpvault_secret_state{server="demo",field="auth.token",state="overdue"} 0' in lines
    assert 'mcpvault_rotation_open{server="demo",field="auth.token",step="grace"} 1' in lines
    assert [] == [line for line in lines if NEW in line or TOKEN in line]


def test_due_lists_what_is_open(house: House) -> None:
    """An open rotation shows its step and the end of its grace."""
    house.run("rotate", "demo", "--stdin", stdin=NEW + "\n")

    [row] = house.run("due").stdout.splitlines()
    [item] = json.loads(house.run("due", "--json").stdout)["items"]

    assert "\tgrace until 20" in row
    assert item["journal"] == "grace"


def test_an_old_token_that_lives_on_is_told_until_it_is_dead(house: House) -> None:
    """Exit 9, then the journal says it to every verb; a timer looks again, and what is dead then ends the rotation."""
    house.run("rotate", "demo", "--stdin", "--grace", "1s", stdin=NEW + "\n")
    told = Conditions(require_dead=True, dead_within=0.0)
    with pytest.raises(PolicyError):
        Machine(Vault.open(env=home_env(house.home)), "demo", told, now=lambda: time.time() + 1.5).resume()
    alive = "the old auth.token is still accepted, since 20"

    [item] = json.loads(house.run("due", "--json").stdout)["items"]
    assert ("revoked", True) == (item["journal"], item["problem"].startswith(f"{alive}{item['journal_ended'][2:]}"))
    [old] = [each for each in json.loads(house.run("history", "demo", "--json").stdout) if each["stage"] == "previous"]
    [*_, told] = [each for each in json.loads(house.run("audit", "show", "demo", "--json").stdout) if "problem" in each]
    assert 1 == len({item["problem"], old["problem"], told["problem"]})
    for verb in ("due", "status", "doctor"):
        assert alive in house.run(verb).stdout, verb
    assert alive in house.run("history", "demo").stderr

    assert alive in house.refused("rotate", "--resume", "--all", "--require-dead", code=9)
    said = house.run("rotate", "--resume", "--all")
    assert ("demo.auth.token: open, at 'revoked'\n", True) == (said.stdout, alive in said.stderr)
    house.server.token = "refuses-the-old-one"
    [done] = json.loads(house.run("rotate", "--resume", "--all", "--json").stdout)
    assert ("done", None) == (done["step"], done["problem"])
    assert "accepted" not in "".join(house.run(verb).stdout for verb in ("due", "status", "doctor"))


def test_the_policy_of_all_entries(house: House) -> None:
    """``set '*'`` says what holds for entries that do not say it; ``due`` goes by it."""
    house.run("set", "*", "policy.max_age", "90d")
    house.run("set", "*", "owner", "ops")
    assert "policy.max_age" in house.refused("set", "*", "url", "https://h.example/", code=2)

    [item] = json.loads(house.run("due", "--json").stdout)["items"]
    assert (90, "ops") == (item["max_age_days"], item["owner"])

    house.run("set", "*", "policy.max_age", "--unset")
    house.run("set", "*", "owner", "--unset")
    assert "policy" not in house.open().document.tree["vault"]


def test_the_data_key_is_rotated(house: House) -> None:
    """The vault's own key is one rotator among the others: what ``rekey`` does."""
    before = house.open().document.header.epoch

    house.run("rotate", "--rotator", "data-key", "--plan")
    assert before == house.open().document.header.epoch
    house.run("rotate", "--rotator", "data-key")

    assert (before + 1, TOKEN) == (house.open().document.header.epoch, house.open().token("demo").reveal())
    house.refused("rotate", "demo", "--rotator", "data-key", code=2)


def test_the_vault_may_get_a_new_key_in_the_middle_of_a_rotation(house: House) -> None:
    """What is previous and pending is sealed again too, and the rotation goes on."""
    house.run("rotate", "demo", "--stdin", stdin=NEW + "\n")
    house.run("rotate", "--rotator", "data-key")

    house.run("rollback", "demo")
    assert TOKEN == house.open().token("demo").reveal()


def test_forecast_names_what_people_owe(house: House) -> None:
    """Secrets that will be due are listed with date, command and owner; no key is needed."""
    policy(house, max_age="30d")
    house.key.unlink()

    [duty] = json.loads(house.run("forecast", "--days", "40", "--json").stdout)["duties"]
    assert ("demo", "rotate", "mcpvault rotate demo auth.token") == (duty["server"], duty["what"], duty["command"])
    assert [] == json.loads(house.run("forecast", "--days", "20", "--json").stdout)["duties"]
    assert "0 logins, 0 refreshes, 1 rotation" in house.run("forecast").stderr


def test_a_program_behind_the_dashes_makes_the_token(house: House) -> None:
    """``--exec -- PROGRAM``: its words stand in the journal, the token nowhere in clear."""
    program = house.home / "mint.sh"
    program.write_text(f"""#!/bin/sh\ncat > /dev/null\necho '{{"secret": "{NEW}"}}'\n""")
    program.chmod(0o700)

    secret_word = ("rotate", "demo", "--exec", "--", str(program), f"ghp_{'x' * 36}")
    assert "looks like a secret" in house.refused(*secret_word, code=8)
    house.run("rotate", "demo", "--grace", "1s", "--exec", "--", str(program), "--forge")

    assert NEW == house.open().token("demo").reveal()
    journal = house.open().entry("demo").rotation
    assert journal is not None
    assert (str(program), "--forge") == journal.command
    assert NEW not in house.vault.read_text()


def test_a_person_is_asked_for_the_new_token(house: House) -> None:
    """On a terminal it is prompted for, without echo; without one the error says how to give it."""
    shown = house.talk("rotate", "demo", answers=[("New auth.token: ", NEW + "\n")])

    assert ("the new one is in use" in shown, NEW in shown) == (True, False)
    assert NEW == house.open().token("demo").reveal()


def test_what_went_wrong_is_one_json_error(house: House) -> None:
    """With ``--json`` a rotation that was rolled back is an error of kind ``policy``, and nothing on stdout."""
    done = house.run("rotate", "demo", "--stdin", "--json", stdin="no-such-token\n", code=9)

    said = json.loads(done.stderr.splitlines()[-1])["error"]
    assert ("", "policy", 9) == (done.stdout, said["kind"], said["code"])
