"""An authorization server in memory for the token side: what it is told, what it answers, what must not leak."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mcpvault.oauth import authorization, flows, jwt
from mcpvault.oauth.authorization import Pending
from mcpvault.oauth.flows import Client
from mcpvault.oauth.wire import Answer, Ask, Flow
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

ISSUER = "https://as.example"
CODE = "SplxlOBeZQQYbYS6WxSbIA"
CALLBACK = "http://127.0.0.1:33418/callback"
RESOURCE = "https://mcp.example/mcp"
NOW = 1_800_000_000.0
KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key: Any, *, passphrase: bytes | None = None) -> Secret:
    """Return a private key in PKCS#8 PEM form."""
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return Secret(text.decode())


def server(**changes: Any) -> AuthorizationServer:
    """Return a server that can do everything."""
    usual = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "device_authorization_endpoint": f"{ISSUER}/device",
        "code_challenge_methods_supported": ("S256",),
    }
    return AuthorizationServer(**{**usual, **changes})


def registration(**changes: Any) -> Registration:
    """Return a public client of that server."""
    return Registration(**{"issuer": ISSUER, "client_id": "s6BhdRkqt3", "source": "preregistered", **changes})


def confidential(**changes: Any) -> Registration:
    """Return the client of RFC 6749 §2.3.1, with its secret."""
    secret = Secret("7Fjfp0ZBr1KtDRbnfVdmIw")
    return registration(token_endpoint_auth_method="client_secret_basic", client_secret=secret, **changes)


def client(**changes: Any) -> Client:
    """Return a public client named linear."""
    return Client(**{"name": "linear", "server": server(), "registration": registration(), **changes})


def begun(**options: Any) -> tuple[str, Pending]:
    """Begin as the client of a server that can do everything."""
    usual: dict[str, Any] = {"resource": RESOURCE, "scope": "read", "redirect_uri": CALLBACK, "now": NOW}
    first, second = options.pop("server", server()), options.pop("registration", registration())
    return authorization.begin(first, second, **{**usual, **options})


def pending(**changes: Any) -> Pending:
    """Return a request that awaits its response."""
    return begun()[1].replaced(**changes)


def unsigned(**claims: Any) -> Secret:
    """Return a JWT that nobody signed."""
    return Secret(f"e30.{jwt.b64url(jwt.to_json(claims))}.c2ln")


def exchange(who: Client) -> Flow[TokenSet]:
    """Spend the code."""
    return flows.exchange_code_flow(who, pending(), Secret(CODE), now=NOW)


def own_name(who: Client) -> Flow[TokenSet]:
    """Ask in the client's own name."""
    return flows.client_credentials_flow(who, scope="read", resource=RESOURCE, now=NOW)


def federated(who: Client) -> Flow[TokenSet]:
    """Trade a workload's JWT."""
    return flows.jwt_bearer_flow(who, unsigned(aud=ISSUER), scope="read", resource=RESOURCE, now=NOW)


class Peer:
    """Gives the answers in their order, and keeps what was asked; an exception among them is raised."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = [*answers]
        self.asked: list[Ask] = []

    def __call__(self, ask: Any) -> Any:
        """Carry one step out."""
        if not isinstance(ask, Ask):
            return None
        self.asked.append(ask)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def forms(self) -> list[dict[str, str]]:
        """What the bodies said."""
        return [form_of(ask) for ask in self.asked]


def form_of(ask: Ask) -> dict[str, str]:
    """Return the members of a form body; none of them stands there twice."""
    pairs = parse_qsl((ask.body or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def answer(told: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer that holds *told* as JSON; a header's name is written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, json.dumps(told).encode())


def granted(**changes: Any) -> Answer:
    """Return a token response."""
    return answer({"access_token": "2YotnFZFEjr1zCsicMWpAA", "token_type": "Bearer", "expires_in": 3600, **changes})


def refusal(error: str, description: str | None = None, status: int = 400, **headers: str) -> Answer:
    """Return an error response (RFC 6749 §5.2)."""
    told = {"error": error} if description is None else {"error": error, "error_description": description}
    return answer(told, status, **headers)


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a JWT, without a look at its signature."""
    header, claims, _ = token.split(".")
    first, second = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))
    return first, second


def leaks(error: BaseException, secrets: Sequence[str]) -> list[str]:
    """Name every place in *error*, its causes and the frames of ours that it passed, where one of *secrets* is."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    found = []
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        todo += [each.__cause__, each.__context__]
        facts = [("message", repr(each.args)), ("facts", repr(vars(each))), *_locals(each.__traceback__)]
        found += [place for place, text in facts if any(secret in text for secret in secrets)]
    return found


def _locals(tb: TracebackType | None) -> Iterator[tuple[str, str]]:
    while tb is not None:
        code = tb.tb_frame.f_code
        if "/mcpvault/" in code.co_filename:
            yield from ((f"{code.co_name}: {name}", repr(value)) for name, value in tb.tb_frame.f_locals.items())
        tb = tb.tb_next
