"""
``FakeAuthorizationServer``: an OAuth 2.1 authorization server on loopback, strict where real ones are.

Decides which endpoint a request is for, records it, and lets it fail on demand. Leaves every
judgement to ``authorization``, and how the server is by nature to its ``Policy``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mcpvault.testing import user_agent
from mcpvault.testing.authorization import device_endpoint, routes, token_status
from mcpvault.testing.authorization.behaviours import BEHAVIOURS, OAuthExchange
from mcpvault.testing.authorization.clients import SECRET_METHODS, Client, new_secret
from mcpvault.testing.authorization.grants_issued import Grant
from mcpvault.testing.authorization.issuer import Issuer
from mcpvault.testing.authorization.policy import GRANTS, Policy
from mcpvault.testing.authorization.reply import Json, Reply
from mcpvault.testing.listener import Listener, LoopbackHandler, Recorded
from mcpvault.testing.switches import Switches

if TYPE_CHECKING:
    from mcpvault.testing.server import FakeMcpServer

REDIRECT_URI = "http://127.0.0.1:8765/callback"


class FakeAuthorizationServer(Issuer):
    """
    An authorization server on 127.0.0.1 that records what it is asked, counts redemptions and misbehaves on demand.

    Use it as a context manager. It knows no client at first: let one register itself, or use ``register``.

    Args:
        path: The issuer's path, such as ``"/tenant1"``.
        port: The port to listen on; 0 takes a free one.
        at: A ``FakeMcpServer`` to live in, as servers of 2025-03-26 did, instead of listening.
        clock: Where the time comes from; ``advance`` adds to it.
        policy: Every field of ``mcpvault.testing.authorization.policy.Policy``; all can be changed later too.

    Attributes:
        requests: Every request so far, a list of ``Recorded``.
        faults: Errors of its own; leaving the context raises the first.
        policy: How the server is; see there, and ``Issuer`` for the other attributes.
    """

    sse = False  # for the misbehaviours: it never answers with streams

    def __init__(
        self,
        *,
        path: str = "",
        port: int = 0,
        at: FakeMcpServer | None = None,
        clock: Callable[[], float] = time.time,
        **policy: Any,
    ) -> None:
        super().__init__(path, Policy(**policy), clock)
        self.requests: list[Recorded] = []
        self.faults: list[Exception] = []
        self.closing = threading.Event()
        self._switches = Switches(BEHAVIOURS)
        self._http = Listener(port, _Handler, self) if at is None else None
        self._host = at
        self.origin = f"http://127.0.0.1:{self.port}"
        if at is not None:
            at.tenants.append(self)
        if self._http is not None:
            self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._http is not None:
            return self._http.port
        assert self._host is not None  # noqa: S101  # one of the two is there
        return self._host.port

    def __enter__(self) -> Self:
        if self._http is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        if self.faults and kind is None:
            raise self.faults[0]

    def close(self) -> None:
        """Stop listening and drop every connection; hanging answers end."""
        self.closing.set()
        if self._http is not None:
            if self._thread.is_alive():
                self._http.shutdown()
            self._http.server_close()

    # For tests: what was asked, and what happened

    def called(self, label: str) -> list[Recorded]:
        """Return the requests to an endpoint (``token``, ``register``, ``metadata``, …) or with a grant type."""
        return [request for request in self.requests if label in self._labels(request)]

    @property
    def redemptions(self) -> int:
        """How many times a refresh token was redeemed."""
        return self.ledger.redeemed.total()

    @property
    def reuse_detected(self) -> int:
        """How many times a refresh token came again after it was rotated away."""
        return self.ledger.reuse_detected

    @property
    def families_revoked(self) -> int:
        """How many grants have ended because a token or code of theirs was used twice."""
        return self.ledger.families_revoked

    def introspect(self, token: str) -> Json:
        """Return what the server knows of an access token."""
        with self.lock:
            return token_status.told(self, token)

    # For tests: what the others would do

    def register(
        self,
        client_id: str = "client-1",
        *,
        auth_method: str = "none",
        secret: str | None = None,
        redirect_uris: Sequence[str] = (REDIRECT_URI,),
        grant_types: Sequence[str] = GRANTS,
        keys: Sequence[Mapping[str, Any]] = (),
        **metadata: Any,
    ) -> Client:
        """Make a client known as an administrator would; a secret is made up where one is needed and not given."""
        told = {
            "token_endpoint_auth_method": auth_method,
            "redirect_uris": [*redirect_uris],
            "grant_types": [*grant_types],
            **({"jwks": {"keys": [dict(key) for key in keys]}} if keys else {}),
            **metadata,
        }
        held = (secret or new_secret()) if auth_method in SECRET_METHODS else None
        return self.clients.add(Client(client_id, told, secret=held))

    def grant(
        self,
        client_id: str = "client-1",
        *,
        scope: str = "",
        resource: str | None = None,
        subject: str = "user",
        jkt: str | None = None,
        refresh: bool = True,
    ) -> Json:
        """Grant tokens out of hand, and return what the token endpoint would have answered."""
        with self.lock:
            resources = () if resource is None else (resource,)
            held = Grant(client_id, subject, scope, resources, jkt)
            told = self.access(held, scope, scope, resources, jkt)
            return told | ({"refresh_token": self.ledger.new_refresh(held)} if refresh else {})

    def withdraw(self, client_id: str = "client-1") -> None:
        """Revoke all that a client was granted, as a person does in an account's settings."""
        with self.lock:
            self.ledger.revoke_client(client_id)

    def follow(self, url: str, *, user: str = "user", allow: bool = True) -> str:
        """Play the user-agent: open the authorization URL, consent, and return the URL that the client gets."""
        return user_agent.follow(url, user=user, allow=allow)

    def approve(self, user_code: str | None = None, *, user: str = "user") -> None:
        """Let the device with this code in, or the one that waits."""
        with self.lock:
            device_endpoint.decide(self, user_code, "approved", user)

    def deny(self, user_code: str | None = None) -> None:
        """Refuse the device with this code, or the one that waits."""
        with self.lock:
            device_endpoint.decide(self, user_code, "denied", "")

    def trust(self, issuer: str | Issuer, *keys: Mapping[str, Any]) -> None:
        """Take assertions of *issuer*: another fake server, or a name and its public keys (JWK)."""
        name = issuer.issuer if isinstance(issuer, Issuer) else issuer
        own = [issuer.key.jwk] if isinstance(issuer, Issuer) else []
        self.trusted[name] = [*own, *map(dict, keys)]

    def advance(self, seconds: float) -> None:
        """Let time pass, or run back."""
        self.shift += seconds

    def renew_nonce(self) -> None:
        """Make another DPoP nonce; proofs with the old one are refused."""
        self.proofs.renew_nonce()

    def misbehave(
        self,
        name: str,
        *,
        on: str | Sequence[str] = "*",
        times: int | None = None,
        carried_out: bool = False,
        one_in: int = 1,
        **options: Any,
    ) -> None:
        """
        Answer wrongly from now on.

        Args:
            name: A key of ``mcpvault.testing.authorization.behaviours.BEHAVIOURS``, such as ``late``, ``members``,
                ``oauth-error``, ``too-many-requests``, ``bad-gateway``, ``html``, ``redirect``, ``hang-mid-body``
                or ``close-before-answer``.
            on: Endpoints (``metadata``, ``authorize``, ``token``, ``register``, ``registration``, ``device``,
                ``revoke``, …), grant types (``refresh_token``, …), or ``"*"`` for every request.
            times: How often, or None for ever.
            carried_out: Do what was asked before: with ``close-before-answer`` an answer that is lost on its way.
            one_in: Spare all but every n-th of these requests.
            options: What the behaviour takes, such as ``to=`` of the redirects.
        """
        self._switches.add(name, on, times, options, carried_out=carried_out, one_in=one_in)

    def behave(self) -> None:
        """Answer properly again."""
        self._switches.clear()

    # What follows is for the handlers.

    def serve(self, handler: LoopbackHandler, request: Recorded) -> None:
        """Answer one request, properly or as told to misbehave."""
        self.requests.append(request)
        exchange = OAuthExchange(handler, self, request)
        switch = self._switches.take(self._labels(request))
        try:
            if switch is None:
                exchange.proceed()
                return
            if switch.carried_out:
                _ = exchange.reply
            switch.behaviour(exchange, **switch.options)
        except OSError:
            handler.close_connection = True
        except Exception as fault:
            self.faults.append(fault)
            handler.close_connection = True

    def carry_out(self, request: Recorded) -> Reply:
        """Do what is asked, and return the answer."""
        return routes.answer(self, request)

    def _labels(self, request: Recorded) -> set[str]:
        name = routes.endpoint(self, request.place)
        grant_type = request.form.get("grant_type", "") if name == "token" else ""
        return {request.method, name or "nowhere", grant_type}


class _Handler(LoopbackHandler):
    """Hands every request to the server in front of this connection."""

    def _serve(self) -> None:
        self.server.fake.serve(self, self.read())  # type: ignore[attr-defined]

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # http.server's names
