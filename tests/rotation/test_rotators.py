"""The makers of new secrets, each against a server that behaves as real ones do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuer_house import IssuerHouse, issuer_house
from rotation_house import NEW, OLD, RotationHouse, rotation_house

from mcpvault.errors import ConfigurationError, PolicyError, TransportError, UsageError
from mcpvault.rotation.rotator import Rotator, rotator


@pytest.fixture
def house(home: Path) -> Iterator[RotationHouse]:
    """A vault with a bearer token."""
    with rotation_house(home) as made:
        yield made


@pytest.fixture
def at_issuer(home: Path) -> Iterator[IssuerHouse]:
    """A vault, and an authorization server that renews secrets and lets the old one live."""
    with issuer_house(home, renew_secrets=True, old_secret_lifetime=10_000.0) as made:
        yield made


def test_every_rotator_keeps_the_protocol() -> None:
    """What is built in is what an entry point has to be; another name is answered with the nearest."""
    for name in ("manual", "exec", "client-secret", "registration", "private-key"):
        assert isinstance(rotator(name), Rotator)
    with pytest.raises(ConfigurationError, match="none of that name") as told:
        rotator("manul")
    assert "manual" in str(told.value.hint)


def test_an_entry_point_brings_a_rotator(house: RotationHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package's rotator is found under its name, given the case, and used like ours."""
    package = tmp_path / "forge_rotator"
    info = tmp_path / "forge_rotator-1.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text(
        "from mcpvault.rotation.manual import Manual\n"
        "from mcpvault.rotation.rotator import Minted, Plan\n"
        "from mcpvault import Secret\n"
        "class Forge(Manual):\n"
        "    def plan(self, case): return Plan(keeps_old=True, steps=('the forge makes one',))\n"
        f"    def mint(self, case, deadline): return Minted(secret=Secret({NEW!r}))\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: forge-rotator\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mcpvault.rotators]\nforge = forge_rotator:Forge\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    house.issue(NEW)

    assert "grace" == house.machine().start("auth.token", "forge", grace="1h").step
    assert NEW == house.stages()["current"]


# exec

PROGRAM = """
import json, os, sys
asked = json.load(sys.stdin)
with open(os.path.join(os.environ["HOME"], "asked.jsonl"), "a") as log:
    log.write(json.dumps({**asked, "argv": sys.argv[1:], "env": sorted(os.environ)}) + "\\n")
if asked["action"] != "withdraw":
    print(json.dumps(%s if asked["action"] == "mint" else {}))
sys.exit(%d)
"""


def program(house: RotationHouse, answer: object = {"secret": NEW}, code: int = 0) -> tuple[str, ...]:
    """Return the words of a program that answers so."""
    path = Path(house.env["HOME"]) / "mint.py"
    path.write_text(PROGRAM % (repr(answer), code))
    return (sys.executable, str(path), "--forge")


def asked(house: RotationHouse) -> list[dict[str, Any]]:
    """Return what the program was asked."""
    log = Path(house.env["HOME"]) / "asked.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_program_makes_and_ends_secrets(house: RotationHouse) -> None:
    """It is told what to do on stdin, by one id; no secret and no key of ours is among its words and variables."""
    house.issue(NEW)
    words = program(house)

    assert "grace" == house.machine().start("auth.token", "exec", grace="1h", command=words).step
    house.shift = 3601
    house.retire(OLD)
    assert "done" == house.machine().resume().step

    mint, revoke = asked(house)
    assert ("mint", 1, OLD, "demo", "auth.token") == tuple(
        mint[each] for each in ("action", "attempt", "current", "server", "field")
    )
    assert ("revoke", OLD, NEW, mint["id"]) == tuple(revoke[each] for each in ("action", "previous", "current", "id"))
    assert [["--forge"]] * 2 == [mint["argv"], revoke["argv"]]
    assert [] == [name for name in mint["env"] if name.startswith("MCPVAULT")]
    assert OLD not in house.open().document.text


def test_a_secret_that_was_made_in_vain_is_withdrawn(house: RotationHouse) -> None:
    """If the server does not take it, the program is asked to end it."""
    with pytest.raises(PolicyError, match="rolled back"):
        house.machine().start("auth.token", "exec", grace="1h", command=program(house))

    assert [("mint", None), ("withdraw", NEW)] == [(each["action"], each.get("pending")) for each in asked(house)]


@pytest.mark.parametrize(
    ("answer", "code", "error", "step"),
    [
        ({}, 0, PolicyError, "aborted"),
        ([], 0, PolicyError, "aborted"),
        ({"secret": NEW, "not_after": "tomorrow"}, 0, PolicyError, "aborted"),
        ({"secret": NEW}, 3, PolicyError, "aborted"),
        ({"secret": NEW}, 75, TransportError, "minted"),
    ],
)
def test_a_program_that_fails(
    house: RotationHouse, answer: object, code: int, error: type[Exception], step: str
) -> None:
    """No secret, no JSON, another exit status: given up; EX_TEMPFAIL: to be resumed, with the same id."""
    with pytest.raises(error) as told:
        house.machine().start("auth.token", "exec", grace="1h", command=program(house, answer, code))

    assert step == house.journal.step
    assert NEW not in str(told.value)
    if step == "minted":
        house.issue(NEW)
        program(house)
        assert "grace" == house.machine().resume().step
        assert [1, 2] == [each["attempt"] for each in asked(house)]
        assert 1 == len({each["id"] for each in asked(house)})


def test_a_program_that_hangs_is_ended(house: RotationHouse) -> None:
    """After the time allowed it is killed with its children, and can be asked again."""
    with pytest.raises(TransportError, match="took longer"):
        house.machine(timeout=0.3).start("auth.token", "exec", grace="1h", command=("/bin/sh", "-c", "sleep 60 & wait"))
    assert "minted" == house.journal.step


def test_a_program_that_is_not_there(house: RotationHouse) -> None:
    """Nothing begins with it; if it goes meanwhile, the error says how to go on, and the rotation can be given up."""
    before = house.open().document.text
    for words in (("/nowhere/mint",), ("no-such-program",), (house.env["HOME"],)):
        with pytest.raises(UsageError, match=f"this needs a program that can be run: {words[0]!r} is none"):
            house.machine().start("auth.token", "exec", grace="1h", command=words)
    assert before == house.open().document.text

    with pytest.raises(TransportError):
        house.machine().start("auth.token", "exec", grace="1h", command=("/bin/sh", "-c", "exit 75"))
    journal = house.journal.fields() | {"command": ["/nowhere/mint"], "undo": None}
    with house.open().change() as change:
        change.table("demo")["rotation"] = {name: value for name, value in journal.items() if value is not None}
    with pytest.raises(ConfigurationError, match="cannot be run: no such file") as told:
        house.machine().resume()
    assert "rotate demo --resume, or --abort" in str(told.value.hint)
    assert "aborted" == house.machine().abort().step


# private_key_jwt


def test_a_key_rolls_over(at_issuer: IssuerHouse) -> None:
    """Both public keys are published, then only the new one: at no moment has the client no key that is known."""
    old = at_issuer.with_key()
    assert at_issuer.works()

    assert ("grace", "private-key") == (at_issuer.begin().step, at_issuer.robot.rotator)
    kids = [key["kid"] for key in json.loads(at_issuer.published.read_text())["keys"]]
    entry = at_issuer.open().entry("robot")
    assert (2, kids[1]) == (len(kids), entry.auth.key_id)
    assert at_issuer.works()

    assert "done" == at_issuer.finish().step
    [left] = json.loads(at_issuer.published.read_text())["keys"]
    assert (kids[1], 0o644) == (left["kid"], os.stat(at_issuer.published).st_mode & 0o777)
    assert at_issuer.works()
    assert old.pem not in str(at_issuer.stages("robot", "auth.private_key"))


def test_a_key_rolls_back(at_issuer: IssuerHouse) -> None:
    """Within the grace the old key and its kid come back, and the new one is published no more."""
    at_issuer.with_key()
    before = at_issuer.open().entry("robot").auth.key_id
    at_issuer.begin()

    at_issuer.machine("robot").roll_back()

    assert before == at_issuer.open().entry("robot").auth.key_id
    assert 1 == len(json.loads(at_issuer.published.read_text())["keys"])
    assert at_issuer.works()


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA", "ES256"])
def test_a_new_key_is_of_the_old_ones_kind(algorithm: str) -> None:
    """What the client is registered for stays; the JWK is the one that others compute."""
    from mcpvault import Secret
    from mcpvault.oauth.client_keys import new_key, public_jwk, thumbprint
    from mcpvault.testing import SigningKey
    from mcpvault.testing.authorization import jose

    key = new_key(Secret(SigningKey(algorithm).pem))
    ours, theirs = public_jwk(key), SigningKey(algorithm, pem=key.reveal()).jwk

    assert {name: value for name, value in theirs.items() if name != "alg"} == {
        name: value for name, value in ours.items() if name not in ("kid", "use")
    }
    assert jose.thumbprint(theirs) == ours["kid"] == thumbprint(ours)


def test_without_a_place_for_the_keys_nothing_begins(at_issuer: IssuerHouse) -> None:
    """A key that nobody can fetch would only fail."""
    at_issuer.with_key()
    with at_issuer.open().change() as change:
        change.unset("robot", "policy.jwks_file")

    with pytest.raises(UsageError, match=r"policy\.jwks_file"):
        at_issuer.begin()


def test_keys_are_published_through_no_link_that_somebody_has_laid(at_issuer: IssuerHouse) -> None:
    """The folder is a web server's, and others may write there: nothing of theirs is written to."""
    at_issuer.with_key()
    victim = at_issuer.published.with_name("victim")
    victim.write_text("mine")
    at_issuer.published.with_name(f".{at_issuer.published.name}.tmp.{os.getpid()}").symlink_to(victim)

    assert "grace" == at_issuer.begin().step

    assert ("mine", 2) == (victim.read_text(), len(json.loads(at_issuer.published.read_text())["keys"]))


def test_a_narrower_scope_stops_the_rotation(at_issuer: IssuerHouse) -> None:
    """The scopes that are granted are compared, too."""
    at_issuer.with_key()
    at_issuer.issuer.misbehave("members", on="client_credentials", times=1, scope="read")

    with pytest.raises(PolicyError, match="lacks scope 'write'"):
        at_issuer.begin()


# RFC 7591


def test_a_new_client_takes_the_place_of_the_old(at_issuer: IssuerHouse) -> None:
    """Both clients are good during the grace; then the old one is deleted at the server."""
    at_issuer.with_secret()

    assert "grace" == at_issuer.begin("registration").step
    entry = at_issuer.open().entry("robot")
    assert "robot-1" != entry.auth.client_id
    assert entry.auth.registration_client_uri == f"{at_issuer.issuer.url('register')}/{entry.auth.client_id}"
    assert at_issuer.works()

    assert "done" == at_issuer.finish().step
    assert None is at_issuer.issuer.clients.find("robot-1")
    assert at_issuer.works()


def test_a_new_client_that_is_given_up_is_deleted(at_issuer: IssuerHouse) -> None:
    """Rolling back brings id, secret, address and access token of the old client back, and deletes the new one."""
    at_issuer.with_secret()
    before = at_issuer.open().entry("robot").auth.fields()
    at_issuer.begin("registration")
    new = str(at_issuer.open().entry("robot").auth.client_id)

    at_issuer.machine("robot").roll_back()

    after = at_issuer.open().entry("robot").auth.fields()
    assert (before["client_id"], before["registration_client_uri"]) == (
        after["client_id"], after["registration_client_uri"],
    )  # fmt: skip
    assert "registration-of-robot-1" == at_issuer.stages("robot", "auth.registration_access_token")["current"]
    assert None is at_issuer.issuer.clients.find(new)
    assert at_issuer.works()
