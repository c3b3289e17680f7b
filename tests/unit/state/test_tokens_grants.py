"""What a person decides about a credential: login, logout, adoption; and what a damaged record becomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from token_samples import CLIENT, HOST, LIFE, SERVER, House, access, store_of

from mcpvault.errors import AuthorizationRequiredError, TamperedError, VaultError
from mcpvault.secret import Secret
from mcpvault.state.grants import adopt, grant, login_needed, remember_client, withdraw
from mcpvault.state.record import Bound, TokenRecord
from mcpvault.tokens import TokenSet

FILE = "token-linear.toml"


def test_a_login_goes_on_counting(house: House) -> None:
    """A new grant has the next generation, and forgets the journal and the troubles of the old one."""
    house.server.revoked = True
    house.clock.move(LIFE + 1)
    with pytest.raises(AuthorizationRequiredError):
        house.current()
    record = house.login()
    assert (2, "ok", None, None) == (record.generation, record.status, record.intent, record.trouble)


def test_entries_that_share_a_credential_are_all_named(house: House) -> None:
    """A logout can say whom it concerns."""
    shared = store_of(house.place, server="linear-admin")
    record = grant(shared, house.server.login(), server=SERVER, registration=CLIENT, resource=None)
    assert ("linear", "linear-admin") == record.entries


@pytest.mark.parametrize(
    ("damage", "generation"),
    [
        (lambda data: b"", 1),
        (lambda data: b"nonsense", 1),
        (lambda data: data.replace(b'host_name = "web01"', b'host_name = "web02"'), 2),
    ],
    ids=["empty", "nonsense", "altered"],
)
def test_a_login_replaces_what_cannot_be_read(house: House, damage: Callable[[bytes], bytes], generation: int) -> None:
    """The file that did not open is kept beside the new one; what it says in clear still counts."""
    file = house.place / FILE
    data = damage(file.read_bytes())
    file.write_bytes(data)
    with pytest.raises(VaultError):
        house.again().read()

    record = house.login()
    assert (generation, record) == (record.generation, house.record())
    assert data == (house.place / f"{FILE}.damaged").read_bytes()


def test_a_record_that_does_not_open_says_what_to_do(house: House) -> None:
    """Neither reading nor refreshing it changes the file."""
    file = house.place / FILE
    file.write_bytes(file.read_bytes().replace(b'host_name = "web01"', b'host_name = "web02"'))
    before = file.read_bytes()
    with pytest.raises(TamperedError) as caught:
        house.current(store=house.again())
    assert 6 == caught.value.exit_code
    assert before == file.read_bytes()


def test_a_registration_is_kept_before_the_login(tmp_path: Path) -> None:
    """An abandoned login need not register again; without tokens the error is still the login."""
    store = store_of(tmp_path / "state")
    remember_client(store, server=SERVER, registration=CLIENT)
    record = store.read()
    assert ("none", CLIENT, SERVER, None) == (record.status, record.registration, record.server, record.tokens)


def test_an_abandoned_login_does_not_cost_the_grant(house: House) -> None:
    """Where there is a grant, another client is not kept before it has one."""
    before = house.record()
    remember_client(house.store, server=SERVER, registration=CLIENT.replaced(client_id="client-2"))
    assert before == house.record()


def test_a_logout_keeps_the_client(house: House) -> None:
    """The old record is returned, so that its tokens can be revoked; the new one holds none."""
    before = withdraw(house.store)
    assert before is not None
    assert "refresh-0001-token" == before.tokens.refresh_token.reveal()
    record = house.record()
    assert ("none", 2, None, CLIENT) == (record.status, record.generation, record.tokens, record.registration)
    with pytest.raises(AuthorizationRequiredError, match="nobody has logged in"):
        house.current()
    assert None is withdraw(store_of(house.place, credential="other"))


def test_there_is_nothing_to_adopt_without_a_grant(tmp_path: Path) -> None:
    """Adopting is for a grant; without one the error is the login."""
    with pytest.raises(AuthorizationRequiredError):
        adopt(store_of(tmp_path / "state"))


def test_adopting_what_is_ours_writes_nothing(house: House) -> None:
    """It is harmless to repeat."""
    before = (house.place / FILE).read_bytes()
    assert HOST == adopt(house.store).host
    assert before == (house.place / FILE).read_bytes()


def test_the_error_of_a_missing_login_has_the_command(house: House) -> None:
    """Cron jobs mail it: the entry, the command, exit 3."""
    error = login_needed(house.store, "why")
    assert ("linear: why", "run: mcpvault login linear", "linear", "mcpvault login linear", 3) == (
        error.message,
        error.hint,
        error.server,
        error.login_command,
        error.exit_code,
    )


BOUND = Bound(origin="https://h.example:443", issuer=SERVER.issuer, resource="https://h.example", client_id="client-1")


def test_a_grant_is_for_the_entry_as_it_is_now(house: House) -> None:
    """It is bound to where its tokens may be sent, and to who granted them."""
    house.store = store_of(house.place, bound=BOUND)
    house.login()
    assert "access-0002-token" == access(house.current())
    assert BOUND.origin == house.record().origin
    assert "access-0002-token" == access(house.current(store=store_of(house.place, bound=Bound(origin=BOUND.origin))))


@pytest.mark.parametrize("name", ["origin", "issuer", "resource", "client_id"])
def test_a_grant_for_something_else_is_not_used(house: House, name: str) -> None:
    """Whoever changes the entry's URL, issuer, resource or client gets no token that was made for the old one."""
    house.store = store_of(house.place, bound=BOUND)
    house.login()
    changed = store_of(house.place, bound=BOUND.replaced(**{name: "https://evil.example"}))
    with pytest.raises(AuthorizationRequiredError, match="nobody has logged in"):
        house.current(store=changed)
    assert 0 == house.server.asked


@pytest.mark.parametrize(
    ("resource", "path", "used"),
    [
        ("https://h.example/mcp", "/mcp", True),
        ("https://h.example/mcp/", "/mcp", True),
        ("https://h.example/mcp", "/mcp/v2", True),
        ("https://h.example", "/mcp", True),
        ("https://h.example/", "/", True),
        (None, "/mcp", True),
        ("https://h.example/mcp", "/mcp2", False),
        ("https://h.example/one/mcp", "/two/mcp", False),
        ("https://h.example/mcp", "/", False),
    ],
)
def test_a_token_is_for_a_part_of_an_origin(resource: str | None, path: str, used: bool) -> None:
    """The resource that it was granted for has to be the entry's, or one above it that ends where a segment does."""
    record = TokenRecord(generation=1, status="ok", host=HOST, origin=BOUND.origin, resource=resource)
    bound = Bound(origin=BOUND.origin, path=path)

    assert used is (bound.difference(record) is None)
    assert used is (bound.difference(record.facts("linear")) is None)
    assert bound.replaced(resource="urn:pinned").difference(record.replaced(resource="urn:pinned")) is None


ROBOT = Bound(origin=BOUND.origin, kind="client_credentials", client_id="robot")


@pytest.mark.parametrize(
    ("said", "bound", "difference"),
    [
        ({"kind": "client_credentials", "client_id": "robot"}, ROBOT, None),
        ({"kind": "client_credentials", "client_id": "another"}, ROBOT, "client_id another"),
        ({"kind": "client_credentials", "client_id": "robot"}, ROBOT.replaced(kind="oauth"), "kind client_credentials"),
        ({"kind": "client_credentials", "client_id": "another"}, ROBOT.replaced(other_clients=("another",)), None),
        ({"kind": "jwt_bearer"}, ROBOT.replaced(kind="jwt_bearer"), "client_id None"),
        (
            {"kind": "jwt_bearer", "client_id": "robot"},
            ROBOT.replaced(kind="jwt_bearer", client_id=None),
            "client_id robot",
        ),
        ({"registration": CLIENT}, Bound(origin=BOUND.origin, kind="oauth"), None),
        ({"registration": CLIENT}, ROBOT.replaced(client_id=None), "kind oauth"),
        ({}, ROBOT, "kind (untold)"),
        ({}, Bound(origin=BOUND.origin), None),
        ({"tokens": None}, ROBOT, None),
    ],
)
def test_a_machines_token_is_for_one_that_asks_as_the_same(
    said: dict[str, object], bound: Bound, difference: str | None
) -> None:
    """Kind and client are compared, in clear too; a person's record of old tells by its client, a machine's nothing."""
    tokens = TokenSet(access_token=Secret("access"), issued_at=1)
    record = TokenRecord(generation=1, status="ok", host=HOST, origin=BOUND.origin).replaced(
        **{"tokens": tokens, **said}
    )

    assert difference == bound.difference(record)
    assert difference == bound.difference(record.facts("linear"))


def test_a_machines_token_is_of_one_subject() -> None:
    """An entry that was opened without its JWT, as for a logout, knows of none; the log does not name whose it is."""
    record = TokenRecord(
        generation=1, status="ok", host=HOST, kind="id_jag", subject="a1", idp_issuer="https://one.example"
    )
    bound = Bound(origin=BOUND.origin, kind="id_jag", subject="a1", idp_issuer="https://one.example")

    assert bound.difference(record) is None
    assert bound.replaced(subject=None).difference(record) is None
    assert "subject" == bound.replaced(subject="b2").difference(record)
    assert "idp_issuer https://one.example" == bound.replaced(idp_issuer="https://two.example").difference(record)


def test_a_record_without_tokens_is_not_alive() -> None:
    """Nothing can be sent of it."""
    assert not TokenRecord(generation=1, status="none", host=HOST).alive(0)
