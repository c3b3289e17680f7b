"""
Every way in which ``FakeAuthorizationServer`` can be wrong for a while, by name: ``BEHAVIOURS``.

Those of ``FakeMcpServer`` and a few about OAuth. A behaviour that says something of the proper answer makes the
server carry the request out; one that does not leaves everything as it was, unless told ``carried_out=True``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault.testing.behaviours import BEHAVIOURS as OF_EVERY_SERVER
from mcpvault.testing.behaviours.registry import Behaviour
from mcpvault.testing.exchange import Exchange
from mcpvault.testing.listener import LoopbackHandler, Recorded
from mcpvault.testing.offer import Json

if TYPE_CHECKING:
    from mcpvault.testing.authorization.reply import Reply
    from mcpvault.testing.authorization_server import FakeAuthorizationServer


class OAuthExchange(Exchange):
    """A request to the authorization server; it is carried out when its proper answer is first looked at."""

    def __init__(self, handler: LoopbackHandler, fake: FakeAuthorizationServer, request: Recorded) -> None:
        super().__init__(handler, fake, request, {}, None)
        self._issuer = fake
        self._reply: Reply | None = None

    @property
    def reply(self) -> Reply:
        """The proper answer."""
        if self._reply is None:
            self._reply = self._issuer.carry_out(self.request)
        return self._reply

    @property
    def proper(self) -> Json | None:
        """The proper answer's JSON document."""
        return self.reply.document

    def answer(self, message: object, status: int = 200) -> None:
        """Send one JSON document, under the proper status unless another is given."""
        super().answer(message, self.reply.status if status == 200 else status)

    def proceed(self) -> None:
        """Give the proper answer."""
        reply = self.reply
        self._handler.send(reply.status, reply.body, reply.headers)


def late(x: Exchange, seconds: float = 1.0) -> None:
    """The proper answer after a while."""
    if not x.pause(seconds):
        x.proceed()


def members(x: Exchange, **changes: Any) -> None:
    """The proper answer with other members; None leaves one out."""
    changed = {**(x.proper or {}), **changes}
    x.answer({name: value for name, value in changed.items() if value is not None})


def oauth_error(x: Exchange, error: str = "server_error", description: str = "as asked", status: int = 400) -> None:
    """An error in JSON, whatever was asked; nothing was carried out."""
    import json

    body = json.dumps({"error": error, "error_description": description}).encode()
    x.whole(status, body, Cache_Control="no-store")


BEHAVIOURS: dict[str, Behaviour] = {
    **OF_EVERY_SERVER,
    "late": late,
    "members": members,
    "oauth-error": oauth_error,
}
