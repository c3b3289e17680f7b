"""A vault whose entry ``robot`` has client credentials at an authorization server, in each way that is rotated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rotation_house import RotationHouse, new_home

from mcpvault import Secret
from mcpvault.rotation.rotator import usual
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, SigningKey
from mcpvault.testing.authorization.clients import Client
from vault_schema import Rotation

SCOPE = "read write"


class IssuerHouse(RotationHouse):
    """A vault, a server, and the authorization server of that."""

    def __init__(self, env: dict[str, str], server: FakeMcpServer, issuer: FakeAuthorizationServer) -> None:
        super().__init__(env, server)
        self.issuer = issuer
        self.published = Path(env["HOME"]) / "jwks.json"

    def add(self, secret: Secret, field: str, **auth: Any) -> None:
        """Add the entry with this secret."""
        told = {"kind": "client_credentials", "client_id": "robot-1", "issuer": self.issuer.issuer, "scope": SCOPE}
        with self.open().change() as change:
            change.add_server("robot", {"url": self.server.url, "auth": told | auth})
            change.set_secret("robot", field, secret)

    def with_secret(self) -> None:
        """Let a client that registered itself have a secret, and a registration to manage."""
        client = self.issuer.register(
            "robot-1",
            auth_method="client_secret_basic",
            grant_types=["client_credentials"],
            response_types=[],
            redirect_uris=(),
        )
        client.access_token = "registration-of-robot-1"
        self.add(
            Secret(client.secret or ""),
            "auth.client_secret",
            registration_client_uri=f"{self.issuer.url('register')}/robot-1",
        )
        with self.open().change() as change:
            change.set_secret("robot", "auth.registration_access_token", Secret(client.access_token))

    def with_key(self) -> SigningKey:
        """Let a client have a key, whose public half is published in a file that the server fetches."""
        key = SigningKey("ES256")
        self.published.write_text(json.dumps({"keys": [key.jwk]}))
        self.issuer.register(
            "robot-1", auth_method="private_key_jwt", grant_types=["client_credentials"],
            jwks_uri=f"{self.issuer.issuer}/jwks/robot-1",
        )  # fmt: skip
        self.issuer.documents["/jwks/robot-1"] = _File(self.published)
        self.add(Secret(key.pem), "auth.private_key")
        with self.open().change() as change:
            change.set_plain("robot", "policy.jwks_file", str(self.published))
        return key

    @property
    def field(self) -> str:
        """The field that is rotated."""
        [found] = [path for path in self.open().file.sealed_fields("robot") if "registration" not in path]
        return found

    def begin(self, how: str | None = None, **conditions: Any) -> Rotation:
        """Rotate by *how*, or by what fits."""
        machine = self.machine("robot", **conditions)
        return machine.start(self.field, how or usual(self.open().entry("robot"), self.field), grace="1h")

    def finish(self) -> Rotation:
        """Let the grace pass, and end the rotation."""
        self.shift += 3601
        return self.machine("robot").resume()

    def works(self) -> bool:
        """Tell whether a script on this host gets a fresh token and through to the server."""
        vault = self.open()
        vault.authorization("robot").renew(expiring=None, adopt=False, timeout=10)
        with vault.session("robot") as session:
            return session.list_tools() != []

    def log_in(self) -> None:
        """Let the person of the entry ``person`` consent."""
        session = self.open().session("person", auth=_Consenting(self.issuer))
        session.authenticate()
        session.close()

    def age_login(self, *, known: bool = True) -> None:
        """Let the person's login be a minute older, or of nobody knows when: the next one is told from it by that."""
        store = self.open().authorization("person").store
        with store.exclusive():
            record = store.read()
            assert record is not None and record.lifetime is not None and record.lifetime.begun is not None
            begun = record.lifetime.begun - 60 if known else None
            store.write(record.replaced(lifetime=record.lifetime.replaced(begun=begun)))

    @property
    def client(self) -> Client:
        """The client as the authorization server knows it."""
        found = self.issuer.clients.find(str(self.open().entry("robot").auth.client_id))
        assert found is not None
        return found

    @property
    def robot(self) -> Rotation:
        """The journal."""
        return self.journal_of("robot")

    def journal_of(self, name: str) -> Rotation:
        """Return the journal of an entry."""
        found = self.open().entry(name).rotation
        assert found is not None
        return found


class _Consenting:
    """A way to log in that needs nobody."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self, issuer: FakeAuthorizationServer) -> None:
        self.redirect: Callable[[str], str] = issuer.follow


class _File(dict[str, Any]):
    """A JSON document that is read when it is fetched."""

    def __init__(self, path: Path) -> None:
        super().__init__(keys=[])
        self._path = path

    def items(self) -> Any:
        """Return the members as the file has them now."""
        return json.loads(self._path.read_text()).items()


@contextmanager
def issuer_house(home: Path, **policy: Any) -> Iterator[IssuerHouse]:
    """Make a home with an authorization server, a server that wants its tokens, and an empty vault."""
    with FakeAuthorizationServer(**policy) as issuer, FakeMcpServer(authorization_server=issuer) as server:
        yield IssuerHouse(new_home(home), server, issuer)
