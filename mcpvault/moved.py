"""
A token endpoint that is not where it was: what counts as that, and where its issuer says it is now.

Only the same issuer is asked, and its metadata are judged as at a discovery. Leaves asking there, once, and keeping
what was learned to ``grants`` and ``refresh_exchange``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mcpvault.errors import ConnectFailedError, McpVaultError
from mcpvault.oauth.discovery import metadata_of
from mcpvault.oauth.token_response import error_of
from mcpvault.oauth.wire import Answer, Ask, drive, json_object

if TYPE_CHECKING:
    from mcpvault.http.asking import Asker
    from mcpvault.tokens import AuthorizationServer


class Watched:
    """
    Carries out what a flow asks for, and notes in ``missed`` whether the token endpoint was not there.

    Args:
        ask: Carries it out.
        server: Whose token endpoint is watched.
    """

    def __init__(self, ask: Asker, server: AuthorizationServer) -> None:
        self.missed = False
        self._ask = ask
        self._endpoint = server.token_endpoint

    def __call__(self, step: Ask) -> Answer:
        """Carry out *step*; raises as an ``Asker`` does."""
        here = step.url == self._endpoint
        try:
            answer = self._ask(step)
        except ConnectFailedError:
            self.missed = here
            raise
        self.missed = here and is_missing(answer)
        return answer


def is_missing(answer: Answer) -> bool:
    """Tell whether no token endpoint has answered: 404 or 405, and no OAuth error. No grant was looked at."""
    return answer.status in (404, 405) and error_of(json_object(answer.body)) is None


def elsewhere(
    server: AuthorizationServer, ask: Asker, *, allow_http: bool, discovered: bool
) -> AuthorizationServer | None:
    """
    Return the metadata of *server* as they are now; None where nothing says that its token endpoint has moved.

    Args:
        server: As it was remembered.
        ask: Carries out requests.
        allow_http: As in the entry.
        discovered: Its issuer is not one that the entry names.
    """
    if server.assumed:  # it had no metadata
        return None
    with suppress(McpVaultError):  # what the endpoint itself has said is the better error
        now = drive(metadata_of(server.issuer, allow_http=allow_http, discovered=discovered), ask)
        return now if now.token_endpoint != server.token_endpoint else None
    return None
