"""Tokens that are bound to a key: what a proof costs, and what a server's answers about it mean."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from library_house import House

from mcpvault.errors import InsufficientScopeError, ServerError
from mcpvault.testing.listener import Recorded

Refused = tuple[int, dict[str, str]]


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house whose tokens are bound, with somebody logged in."""
    built = build(policy={"dpop": "required"}, scopes=["read"], tool_scopes={"echo": "write"})
    built.add(dpop=True)
    built.log_in()
    return built


def change_refusals(house: House, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Let the MCP server refuse as it does, with other headers."""
    refused = house.server.refused

    def judge(request: Recorded) -> Refused | None:
        told = refused(request)
        return None if told is None else (told[0], {**told[1], **change(told[1])})

    house.server.refused = judge  # type: ignore[method-assign]


def proofs(house: House) -> list[str]:
    """Return the proofs that the MCP server was sent."""
    return [request.headers["dpop"] for request in house.server.requests if "dpop" in request.headers]


@pytest.mark.parametrize("fault", ["status", "close-before-answer"])
def test_a_fault_costs_no_refresh(house: House, fault: str) -> None:
    """What is repeated has another proof: a server that remembers them (RFC 9449 §11.1) takes it."""
    options = {"code": 503} if fault == "status" else {}
    house.server.requests.clear()

    for _ in range(2):
        house.server.misbehave(fault, times=1, **options)
        assert 6 == len(house.session().list_tools())

    assert (0, 0) == (house.issuer.redemptions, house.record().rejections)
    assert 4 <= len(proofs(house)) == len({*proofs(house)})


def test_a_nonce_with_every_answer_is_no_demand_for_it(house: House) -> None:
    """A server may change its nonce at any time (RFC 9449 §8.2): what it says of the token is heard all the same."""
    numbers = count()
    change_refusals(house, lambda _: {"DPoP-Nonce": f"nonce-{next(numbers)}"})

    with pytest.raises(InsufficientScopeError, match="asks for 'read write'"):
        house.session().call_tool("echo", {"message": "a"})
    for token in house.issuer.ledger.access.values():
        token.revoked = True
    assert 6 == len(house.session().list_tools())

    assert 1 == house.issuer.redemptions


@pytest.mark.parametrize("beside", ['Bearer realm="fake"', 'Bearer realm="fake", error="invalid_token"'])
def test_the_challenge_to_the_scheme_that_was_used_counts(house: House, beside: str) -> None:
    """A bare ``Bearer`` challenge before the ``DPoP`` one (RFC 9449 §7.2) hides neither its error nor its scope."""
    change_refusals(house, lambda headers: {"WWW-Authenticate": f"{beside}, {headers['WWW-Authenticate']}"})

    with pytest.raises(InsufficientScopeError, match="asks for 'read write'") as caught:
        house.session().call_tool("echo", {"message": "a"})

    assert 'mcpvault login x --scope "read write"' == caught.value.login_command


def test_the_metadata_are_found_beside_a_bare_challenge(build: Callable[..., House]) -> None:
    """``resource_metadata`` of a ``DPoP`` challenge leads to the issuer, whatever stands before it."""
    house = build(policy={"dpop": "required"})
    house.server.protection.metadata_at = "/elsewhere"  # type: ignore[union-attr]
    change_refusals(house, lambda headers: {"WWW-Authenticate": f"Bearer, {headers['WWW-Authenticate']}"})
    house.add(dpop=True)

    house.log_in()

    assert house.issuer.issuer == house.record().issuer


def test_a_proof_that_is_not_taken_says_nothing_of_the_token(house: House) -> None:
    """Where clocks differ no other token would help: none is got, nobody is asked, and the error says what to check."""
    house.issuer.advance(120)

    for _ in range(2):
        with pytest.raises(ServerError, match="does not take the DPoP proof.*too far from now") as caught:
            house.session().list_tools()

    assert "compare the clocks: mcpvault doctor x" == caught.value.hint
    assert (0, 0) == (house.issuer.redemptions, house.record().rejections)
