"""An authorization server that registers clients, and a client that registers."""

from __future__ import annotations

from typing import Any

import pytest
from oauth_answers import AS, Answers

from mcpvault.errors import McpVaultError
from mcpvault.oauth.registration import register
from mcpvault.oauth.wire import drive
from mcpvault.tokens import AuthorizationServer, Registration

REGISTER = f"{AS}/register"
CALLBACK = "http://127.0.0.1:33418/callback"


def server(**changes: Any) -> AuthorizationServer:
    """Return an authorization server that registers clients."""
    return AuthorizationServer(
        **{"issuer": AS, "token_endpoint": f"{AS}/token", "registration_endpoint": REGISTER, **changes}
    )


def registered(answers: Answers, at: AuthorizationServer | None = None, **changes: Any) -> Registration:
    """Return the client that results where *answers* is the network."""
    asked = {
        "client_name": "mcpvault",
        "redirect_uris": (CALLBACK,),
        "scope": "a b",
        "client_metadata_url": None,
        "preregistered": None,
        "software_version": "1.2.3",
        **changes,
    }
    return drive(register(at or server(), **asked), answers)


def refused(
    kind: type[McpVaultError], answers: Answers, at: AuthorizationServer | None = None, **changes: Any
) -> McpVaultError:
    """Return the error of exactly *kind* that ends the registration."""
    with pytest.raises(kind) as caught:
        registered(answers, at, **changes)
    assert kind is type(caught.value)
    return caught.value
