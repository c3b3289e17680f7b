"""A session of an OAuth entry: login, call, expiry, refresh, refusal, and what is asked of whom on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from library_house import Consenting, House

from mcpvault import AuthState
from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError, CredentialRejectedError
from mcpvault.testing import FakeAuthorizationServer
from mcpvault.testing.listener import Recorded

METADATA = ["oauth-authorization-server"]


def test_a_provider_logs_in_on_the_first_401(house: House) -> None:
    """Metadata, registration, consent and code are asked for once each, then every call has a token."""
    person = Consenting()

    with house.session(auth=person) as session:
        assert "a" == session.call_tool("echo", {"message": "a"}).text()
        assert "b" == session.call_tool("echo", {"message": "b"}).text()

    assert 1 == len(person.visited)
    assert [*METADATA, "register", "authorize", "authorization_code"] == house.asked()
    assert [AuthState.PENDING_AUTH, AuthState.AUTHENTICATING, AuthState.READY] == house.events


def test_a_run_with_a_valid_token_asks_nobody_else(house: House) -> None:
    """With a good token in the state there is no request to the authorization server, and none for metadata."""
    house.log_in()
    house.asked()
    seen = len(house.server.requests)

    with house.session() as session:
        session.list_tools()

    assert [] == house.asked()
    assert [] == [request.place for request in house.server.requests[seen:] if request.method == "GET"]


def test_without_anybody_to_ask_the_error_names_the_command(house: House) -> None:
    """A missing grant is ``pending_auth`` and an error with the exact command; no browser, no registration."""
    session = house.session()
    assert AuthState.DISCOVERING is session.state

    with pytest.raises(AuthorizationRequiredError) as caught:
        session.list_tools()

    assert ("mcpvault login x", "run: mcpvault login x") == (caught.value.login_command, caught.value.hint)
    assert (3, "x") == (caught.value.exit_code, caught.value.server)
    assert [AuthState.PENDING_AUTH] == house.events
    assert [] == house.asked()

    session = house.session(auth=Consenting())
    session.authenticate()
    session.list_tools()

    assert [AuthState.AUTHENTICATING, AuthState.READY] == house.events[1:]


def test_a_person_who_says_no_is_a_failure(house: House) -> None:
    """``access_denied`` is ``failed``; nothing of it is kept but the registration."""
    session = house.session(auth=Consenting(allow=False))
    house.issuer.policy.consent = "deny"

    with pytest.raises(AuthorizationFailedError) as caught:
        session.authenticate()

    assert "access_denied" == caught.value.error
    assert [AuthState.AUTHENTICATING, AuthState.FAILED] == house.events
    assert not house.vault.authorization("x").has_grant()


def test_an_expired_token_is_refreshed_once(house: House) -> None:
    """The new tokens, the rotated refresh token among them, serve this run and the next."""
    house.log_in()
    house.age(3600)
    house.asked()

    with house.session() as session:
        session.list_tools()
        session.list_tools()
    with house.session() as session:
        session.list_tools()

    assert ["refresh_token"] == house.asked()
    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


def test_a_401_refreshes_although_the_token_looks_good(house: House) -> None:
    """A token that the server no longer takes is replaced and the request sent again; a session lives on like that."""
    house.log_in()

    with house.session() as session:
        for redemptions in (0, 1, 2):
            assert 6 == len(session.list_tools())
            assert redemptions == house.issuer.redemptions
            house.age(3600)

    assert 0 == house.issuer.reuse_detected


def test_the_rejected_generation_decides_who_refreshes(house: House) -> None:
    """Who is told 401 about a token that another run has replaced meanwhile takes that one, and refreshes nothing."""
    house.log_in()
    one, other = house.session(), house.session()
    one.list_tools(), other.list_tools()
    house.issuer.advance(3600)

    one.list_tools()
    other.list_tools()

    assert 1 == house.issuer.redemptions


def test_a_new_refresh_token_is_kept_before_the_access_token_is_used(house: House) -> None:
    """When the first request with a new token arrives, the state already holds that generation."""
    house.log_in()
    house.age(3600)
    stored: list[int] = []
    refused = house.server.refused

    def judge(request: Recorded) -> tuple[int, dict[str, str]] | None:
        stored.append(house.record().generation)
        return refused(request)

    house.server.refused = judge  # type: ignore[method-assign]

    with house.session() as session:
        session.list_tools()

    assert {3} == set(stored)


def test_a_dead_grant_names_the_command(house: House) -> None:
    """``invalid_grant`` is exit 3 with the command; the tokens are marked, not deleted, and not redeemed again."""
    house.log_in()
    house.age(3600)
    house.withdraw()

    for _ in range(2):
        with pytest.raises(AuthorizationRequiredError, match="invalid_grant") as caught:
            house.session().list_tools()
        assert "mcpvault login x" == caught.value.login_command

    assert 1 == len(house.issuer.called("refresh_token"))
    assert house.vault.authorization("x").has_grant()


def test_a_server_that_refuses_every_token_is_not_asked_for_ever(house: House) -> None:
    """A person is asked once; from then on the error says that a token of just now was refused."""
    house.server.required = {"x-never": "sent"}
    person = Consenting()

    with pytest.raises(CredentialRejectedError) as caught:
        house.session(auth=person).list_tools()
    assert "mcpvault login x" == caught.value.login_command

    for _ in range(2):
        with pytest.raises(AuthorizationRequiredError, match="refuses a token that was issued 0 s ago"):
            house.session(auth=person).list_tools()

    assert (1, 1) == (len(person.visited), house.issuer.redemptions)


def test_a_new_login_forgets_what_the_server_let_us_keep(house: House) -> None:
    """A result that may be kept is kept for one authorization context: after a login it is asked for again (A128)."""
    house.server.offer.ttl_ms = 3_600_000
    session = house.session(auth=Consenting())
    session.list_tools(), session.list_tools()
    assert 1 == len([each for each in house.server.called("tools/list") if "authorization" in each.headers])

    session.authenticate()
    session.list_tools()

    assert 2 == len([each for each in house.server.called("tools/list") if "authorization" in each.headers])


def test_a_server_that_moves_to_another_issuer_is_followed(
    house: House, fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> None:
    """The person is asked there, with a client that is registered there; the old issuer hears of it no more."""
    person = Consenting()
    session = house.session(auth=person)
    session.list_tools()
    before = house.record()
    other = fake_authorization_servers()
    house.server.protect(other)

    assert 6 == len(session.list_tools())

    assert (2, other.issuer) == (len(person.visited), house.record().issuer)
    assert 1 == len(other.called("register"))
    held = before.tokens
    assert held is not None and held.refresh_token is not None
    sent = b"".join(request.body for request in other.requests)
    assert held.refresh_token.reveal().encode() not in sent


def test_a_server_that_says_no_lifetime_ends_tokens_by_401(build: Callable[..., House]) -> None:
    """Without ``expires_in`` a 401 is how a token ends, again and again, and one session lives through all of them."""
    house = build(policy={"say_expires_in": False})
    house.add()
    house.log_in()
    session = house.session()

    for _ in range(3):
        session.list_tools()
        house.age(3600)

    assert (2, None) == (house.issuer.redemptions, house.record().expires_at)


def test_a_login_follows_a_challenge_that_wants_bound_tokens_only(house: House) -> None:
    """Metadata that only a ``DPoP`` challenge leads to is found; the server is not taken for one of 2025-03-26."""
    house.issuer.policy.dpop = "required"
    origin = house.server.url.removesuffix("/mcp")
    house.server.protection.metadata_at = "/elsewhere"  # type: ignore[union-attr]
    house.server.protection.challenge = f'DPoP algs="ES256", resource_metadata="{origin}/elsewhere"'  # type: ignore[union-attr]
    with house.vault.change() as change:
        change.set_plain("x", "auth.dpop", True)

    house.log_in()

    assert house.issuer.issuer == house.record().issuer
    assert 6 == len(house.session().list_tools())


def test_bound_tokens_follow_the_nonces_of_both_servers(build: Callable[..., House]) -> None:
    """A new DPoP nonce, of the MCP server or the authorization server, costs one repetition and no refresh token."""
    house = build(policy={"dpop": "required", "dpop_nonce": True}, dpop_nonce=True)
    house.add(dpop=True)
    house.session(auth=Consenting()).list_tools()

    for _ in range(2):
        session = house.session()
        session.list_tools()
        house.server.protection.proofs.renew_nonce()  # type: ignore[union-attr]
        session.list_tools()
        house.issuer.renew_nonce()
        house.age(3600, at_server=False)

    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)
    proofs = [request.headers["dpop"] for request in house.server.requests if "dpop" in request.headers]
    assert len(proofs) == len({*proofs})
    assert "DPoP" == house.record().tokens.token_type  # type: ignore[union-attr]
