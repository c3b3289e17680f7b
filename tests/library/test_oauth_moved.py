"""A token endpoint that has moved: its issuer is asked where it is now, once, and that is kept."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from library_house import House

from mcpvault.errors import ConnectFailedError, McpVaultError

SECRET = "s3cret-s3cret"
METADATA = "oauth-authorization-server"


def closed(house: House) -> str:
    """Return an endpoint where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/token"


def missing(house: House) -> str:
    """Return one that is 404."""
    return f"{house.issuer.origin}/formerly/token"


def machine(build: Callable[..., House]) -> House:
    """Return a house whose entry has client credentials, and a token."""
    house = build(policy={"grant_types": ("client_credentials",)})
    house.issuer.register("m", auth_method="client_secret_basic", secret=SECRET, grant_types=["client_credentials"])
    house.add(kind="client_credentials", client_id="m", issuer=house.issuer.issuer, secrets={"client_secret": SECRET})
    house.session().list_tools()
    return house


def person(build: Callable[..., House]) -> House:
    """Return a house where a person has logged in."""
    house = build()
    house.add()
    house.log_in()
    return house


@pytest.mark.parametrize("place", [closed, missing])
@pytest.mark.parametrize(("kind", "grant"), [(machine, "client_credentials"), (person, "refresh_token")])
def test_the_issuer_says_where_it_is_now(
    build: Callable[..., House],
    kind: Callable[[Callable[..., House]], House],
    grant: str,
    place: Callable[[House], str],
) -> None:
    """Nobody answers there, or 404: one look at the metadata, and the next token needs none."""
    house = kind(build)
    house.move_token_endpoint(place(house))
    house.age(3600)
    house.asked()

    assert 6 == len(house.session().list_tools())

    asked = [each for each in house.asked() if each != "token"]  # the old endpoint's, where it is 404
    assert [METADATA, grant] == asked[-2:]
    assert 1 == asked.count(METADATA)
    assert house.issuer.url("token") == house.record().server.token_endpoint  # type: ignore[union-attr]
    house.age(3600)
    assert 6 == len(house.session().list_tools())
    assert [grant] == house.asked()


@pytest.mark.parametrize("kind", [machine, person])
def test_an_endpoint_that_is_down_and_has_not_moved(
    build: Callable[..., House], kind: Callable[[Callable[..., House]], House]
) -> None:
    """The metadata still name it: the error is the endpoint's own, and nothing was asked twice."""
    house = kind(build)
    house.issuer.policy.metadata = {"token_endpoint": (there := closed(house))}
    house.move_token_endpoint(there)
    house.age(3600)
    house.asked()

    with pytest.raises(ConnectFailedError):
        house.session().list_tools()

    assert [METADATA] == house.asked()


@pytest.mark.parametrize("kind", [machine, person])
@pytest.mark.parametrize("change", [{"issuer": "http://127.0.0.1:9/other"}, {"token_endpoint": "http://192.0.2.7/t"}])
def test_only_its_issuer_may_move_it(
    build: Callable[..., House], kind: Callable[[Callable[..., House]], House], change: dict[str, str]
) -> None:
    """Metadata of another issuer, or with an endpoint that no token may go to, change nothing: no token is sent."""
    house = kind(build)
    house.issuer.policy.metadata = change
    house.move_token_endpoint(there := closed(house))
    house.age(3600)
    house.asked()

    with pytest.raises(McpVaultError):
        house.session().list_tools()

    assert {METADATA, "openid-configuration"} >= {*house.asked()}
    assert there == house.record().server.token_endpoint  # type: ignore[union-attr]
