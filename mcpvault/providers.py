"""
Ways to authenticate that other packages bring along: entry points of the group ``mcpvault.auth``.

Decides where they are looked up. An entry point is a callable that is given the entry's name and returns
an ``OAuthProvider`` (``session.authenticate("its-name")``) or, named as an entry of kind ``custom``, what
signs that entry's requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mcpvault.errors import ConfigurationError
from mcpvault.login import METHODS, OAuthProvider

if TYPE_CHECKING:
    from mcpvault.http import AuthBase

GROUP = "mcpvault.auth"


def login_provider(method: str, server: str) -> OAuthProvider | None:
    """
    Return the way to log in that is installed under the name *method*; None for a built-in one, or for no name at all.

    Raises:
        ConfigurationError: What is installed there is no way to log in.
    """
    made = None if method in METHODS else _made(method, server)
    if made is not None and not isinstance(made, OAuthProvider):
        raise ConfigurationError(f"{GROUP}: {method}: expected an OAuthProvider, got {type(made).__name__}")
    return made


def custom_auth(server: str) -> AuthBase | None:
    """
    Return what signs the requests of the entry *server* of kind ``custom``, or None where nothing is installed.

    Raises:
        ConfigurationError: What is installed there cannot sign requests.
    """
    made = _made(server, server)
    if made is not None and (isinstance(made, OAuthProvider) or not callable(made)):
        raise ConfigurationError(
            f"{GROUP}: {server}: expected a requests authentication, got {type(made).__name__}", server=server
        )
    return cast("AuthBase | None", made)


def _made(name: str, server: str) -> Any:
    from importlib.metadata import entry_points

    found = [*entry_points(group=GROUP, name=name)]
    if len(found) > 1:
        raise ConfigurationError(f"{GROUP}: {name}: {len(found)} packages bring one of that name", server=server)
    return found[0].load()(server) if found else None
