"""A machine's token is of one client, one kind of grant, and one person or workload: it is sent as nobody else's."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from library_house import House

from mcpvault import Secret, Vault
from mcpvault.errors import BindingMismatchError
from mcpvault.testing import FakeAuthorizationServer
from mcpvault.testing.authorization.jose import SigningKey

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
EVERY = ("authorization_code", "refresh_token", "client_credentials", JWT)


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house without entries, whose authorization server takes people and machines, ``robot-a`` and ``robot-b``."""
    house = build(policy={"grant_types": EVERY})
    for name in ("robot-a", "robot-b"):
        house.issuer.register(
            name, auth_method="client_secret_basic", secret=f"of-{name}", grant_types=["client_credentials"]
        )
    return house


def machine(house: House) -> None:
    """Add ``x``: client credentials of ``robot-a``."""
    house.add(
        kind="client_credentials", client_id="robot-a", issuer=house.issuer.issuer,
        secrets={"client_secret": "of-robot-a"},
    )  # fmt: skip


def become_robot_b(house: House) -> None:
    """Let ``x`` be another client's entry."""
    with house.vault.change() as change:
        change.set_plain("x", "auth.client_id", "robot-b")
        change.set_secret("x", "auth.client_secret", Secret("of-robot-b"))


def whose(house: House, claim: str = "client_id", name: str = "x") -> object:
    """Return whose the token is that another run has of the entry."""
    return house.issuer.introspect(Vault.open(env=house.env).token(name).reveal())[claim]


def untold(house: House) -> None:
    """Let the record be one of a version that did not write down as whom a machine had asked."""
    store = house.vault.authorization("x").store
    with store.exclusive():
        store.write(house.record().replaced(kind=None, client_id=None, idp_issuer=None, subject=None))


def test_a_token_of_one_client_is_not_anothers(house: House) -> None:
    """Where the entry names another client, the next run is that client, however good the old token is."""
    machine(house)
    assert "robot-a" == whose(house)

    become_robot_b(house)

    assert ["robot-b", "robot-b"] == [whose(house), whose(house)]
    assert 2 == len(house.issuer.called("client_credentials"))


def test_a_session_becomes_the_new_client(house: House) -> None:
    """A rotation may bring another client: a session that goes on gets its tokens as that one, and shares them."""
    machine(house)
    session = house.session()
    session.list_tools()
    become_robot_b(house)
    house.issuer.ledger.revoke_client("robot-a")

    assert [6, 6] == [len(session.list_tools()) for _ in range(2)]

    assert "robot-b" == whose(house)
    assert 2 == len(house.issuer.called("client_credentials"))


def test_a_machine_is_not_the_person(house: House) -> None:
    """An entry whose kind was changed does not go on with the token of who had logged in; nor a person with its."""
    house.add()
    house.log_in()
    person = whose(house, "sub")
    house.env["CI"] = workload(house, "job")
    was = {"url": house.server.url, "auth": {"kind": "oauth"}}
    now = {"kind": "jwt_bearer", "issuer": house.issuer.issuer, "assertion": "${env:CI}"}
    with house.vault.change() as change:
        change.replace_server("x", {**was, "auth": now})

    assert ("job", True) == (whose(house, "sub"), person != "job")
    with house.vault.change() as change:
        change.replace_server("x", was)
    assert not house.vault.authorization("x").has_grant()


def test_a_token_of_one_workload_is_not_anothers(house: House) -> None:
    """A JWT that is new and of the same subject changes nothing; the token of another subject's is another."""
    house.env["CI"] = workload(house, "job-1")
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:CI}")
    assert "job-1" == whose(house, "sub")

    house.env["CI"] = workload(house, "job-1")
    assert ("job-1", 1) == (whose(house, "sub"), len(house.issuer.called(JWT)))
    house.env["CI"] = workload(house, "job-2")
    assert ("job-2", 2) == (whose(house, "sub"), len(house.issuer.called(JWT)))


def test_a_token_of_one_person_is_not_anothers(
    build: Callable[..., House], fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> None:
    """Who the subject token names is whose token is sent: after a change, and beside an entry with the same state."""
    provider = fake_authorization_servers(grant_types=(EXCHANGE,))
    provider.register("sso", auth_method="client_secret_basic", secret="of-sso", grant_types=[EXCHANGE])
    provider.elsewhere["sso"] = "robot"
    house = build(policy={"grant_types": (JWT,)})
    house.issuer.trust(provider)
    house.issuer.register("robot", auth_method="client_secret_post", secret="of-robot", grant_types=[JWT])
    auth = {
        "kind": "id_jag", "client_id": "robot", "issuer": house.issuer.issuer, "idp_issuer": provider.issuer,
        "idp_client_id": "sso", "token_endpoint_auth_method": "client_secret_post",
    }  # fmt: skip
    sealed = {"client_secret": "of-robot", "idp_client_secret": "of-sso"}
    house.add("x", **auth, secrets={**sealed, "subject_token": provider.id_token("alice", "sso")})
    house.add("y", **auth, credential="x", secrets={**sealed, "subject_token": provider.id_token("carol", "sso")})
    assert ["alice", "carol"] == [whose(house, "sub", name) for name in ("x", "y")]

    with house.vault.change() as change:
        change.set_secret("x", "auth.subject_token", Secret(provider.id_token("bob", "sso")))
    assert ["bob", "carol"] == [whose(house, "sub", name) for name in ("x", "y")]

    house.env["S"] = provider.id_token("bob", "sso")
    another = {**auth, "idp_issuer": house.issuer.issuer, "subject_token": "${env:S}"}
    house.add("z", **another, credential="x", secrets=sealed)
    with pytest.raises(BindingMismatchError, match="their idp_issuer differs"):
        Vault.open(env=house.env).token("z")


def test_a_machines_record_that_does_not_say_whose_is_replaced(house: House) -> None:
    """Records of earlier versions do not name the client: its token could be any client's, and another is obtained."""
    machine(house)
    whose(house)
    untold(house)

    assert ["robot-a", "robot-a"] == [whose(house), whose(house)]

    assert 2 == len(house.issuer.called("client_credentials"))


def test_a_persons_record_that_does_not_say_its_kind_is_kept(house: House) -> None:
    """What earlier versions have written of a person's grant is used, and refreshed, as before."""
    house.add()
    house.log_in()
    untold(house)

    house.session().list_tools()
    house.age(3600)
    house.session().list_tools()

    assert (1, 0) == (house.issuer.redemptions, len(house.issuer.called("authorize")))


def workload(house: House, subject: str) -> str:
    """Return a JWT of a platform that the house trusts."""
    key = SigningKey("ES256")
    house.issuer.trust("https://ci.example", key.jwk)
    now = int(time.time())
    claims = {"iss": "https://ci.example", "sub": subject, "aud": house.issuer.url("token"), "iat": now}
    return key.sign({**claims, "exp": now + 300, "jti": key.jwk["x"]})
