"""An authorization server that no login can end at: found out before anything is registered or anybody asked."""

from __future__ import annotations

from typing import Any

import pytest
from library_house import Consenting, House

from mcpvault.errors import ConfigurationError, McpVaultError, PrivateAddressError

PAGE = "http://127.0.0.1:8200/oauth/done"
NO_PKCE = {"code_challenge_methods_supported": None}
PRIVATE = {"token_endpoint": "https://10.0.0.1/token"}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "page"])
@pytest.mark.parametrize(
    ("metadata", "kind"), [(NO_PKCE, ConfigurationError), (PRIVATE, PrivateAddressError)], ids=["pkce", "private"]
)
def test_nothing_is_registered_for_a_login_that_cannot_end(
    house: House, metadata: dict[str, Any], kind: type[McpVaultError], elsewhere: bool
) -> None:
    """Without PKCE, or with a token endpoint in a private network: no registration, and nobody consents in vain."""
    house.issuer.policy.metadata = metadata
    person = Consenting()
    session = house.session(auth=person)

    with pytest.raises(kind):
        session.authorization_url(PAGE) if elsewhere else session.authenticate()

    assert [] == person.visited
    assert not {"register", "authorize"} & {*house.asked()}


def test_no_device_asks_for_tokens_that_cannot_be_had(house: House) -> None:
    """The same for a code on another device; PKCE is no matter there."""
    house.issuer.policy.metadata = {**PRIVATE, **NO_PKCE}

    with pytest.raises(PrivateAddressError):
        house.session().authenticate("device")

    assert not {"register", "device"} & {*house.asked()}


def test_the_hint_about_pkce_names_the_entry(house: House) -> None:
    """It can be run as it stands, and helps."""
    house.issuer.policy.metadata = NO_PKCE
    with pytest.raises(ConfigurationError) as caught:
        house.session(auth=Consenting()).authenticate()
    assert "run: mcpvault set x auth.assume_pkce_s256 true" in (caught.value.hint or "")

    with house.vault.change() as change:
        change.set_plain("x", "auth.assume_pkce_s256", True)
    house.log_in()
