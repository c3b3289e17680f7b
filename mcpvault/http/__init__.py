"""
The door to HTTP: sessions that send a credential to its own origin only.

``policy`` says what an origin may be asked, ``auth`` what proves who we are, ``adapter``
guards, ``pool`` and ``connection`` keep the deadline, ``session`` and ``exchange`` are what
others use. For OAuth, ``asking`` sends what flows ask for, ``tokens`` redeems through
requests-oauthlib, ``loopback`` and ``browser`` take a person there and back. requests is
imported with the first of them that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests.auth import AuthBase as AuthBase  # for the signatures of rooms that have no door to requests

    from mcpvault.http.adapter import GuardedAdapter as GuardedAdapter
    from mcpvault.http.adapter import RefusingAdapter as RefusingAdapter
    from mcpvault.http.asking import Asker as Asker
    from mcpvault.http.auth import NoAuth as NoAuth
    from mcpvault.http.auth import StaticAuth as StaticAuth
    from mcpvault.http.auth import TokenAuth as TokenAuth
    from mcpvault.http.browser import open_browser as open_browser
    from mcpvault.http.exchange import RequestsExchange as RequestsExchange
    from mcpvault.http.failures import was_sent as was_sent
    from mcpvault.http.loopback import Loopback as Loopback
    from mcpvault.http.loopback import stable_port as stable_port
    from mcpvault.http.policy import OriginPolicy as OriginPolicy
    from mcpvault.http.policy import Timeouts as Timeouts
    from mcpvault.http.session import GuardedSession as GuardedSession
    from mcpvault.http.session import new_session as new_session
    from mcpvault.http.token_source import TokenSource as TokenSource
    from mcpvault.http.tokens import redeem as redeem

_HOMES = {
    "Asker": "asking",
    "GuardedAdapter": "adapter",
    "GuardedSession": "session",
    "Loopback": "loopback",
    "NoAuth": "auth",
    "OriginPolicy": "policy",
    "RefusingAdapter": "adapter",
    "RequestsExchange": "exchange",
    "StaticAuth": "auth",
    "Timeouts": "policy",
    "TokenAuth": "auth",
    "TokenSource": "token_source",
    "new_session": "session",
    "open_browser": "browser",
    "redeem": "tokens",
    "stable_port": "loopback",
    "was_sent": "failures",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
