"""What is rotated at real servers, by the command line, and how the server itself is asked what it still accepts."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from mcpvault import Secret, Vault
from mcpvault.errors import TamperedError
from mcpvault.testing import SigningKey
from mcpvault.vault.vaultfile import VaultFile

NAME, SCOPE = "real", "use"
Run = Callable[..., Any]


def asked(url: str, body: Any = None, *, method: str = "POST", **headers: str) -> tuple[int, Any]:
    """Send a form, or JSON where *body* is a list of one; return status and JSON of the answer."""
    data = json.dumps(body[0]).encode() if isinstance(body, list) else urlencode(body or {}).encode()
    kind = {"Content-Type": "application/json"} if isinstance(body, list) else {}
    request = urllib.request.Request(url, data if body else None, {**kind, **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, said = answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            status, said = refusal.code, refusal.read()
    return status, json.loads(said) if said.startswith(b"{") else None


class Rotated:
    """The entry NAME of the vault of this test's home; how it is rotated, for a grace of one second."""

    words: tuple[str, ...] = ()

    def __init__(self, mcpvault: Run, url: str) -> None:
        self.run, self.url = mcpvault, url
        self.run("init")

    @property
    def vault(self) -> Vault:
        """The vault as it is now."""
        return Vault.open(env=os.environ)

    def add(self, auth: Mapping[str, Any], **secrets: str) -> None:
        """Write the entry."""
        with self.vault.change() as change:
            change.add_server(NAME, {"url": self.url, "auth": auth})
            for field, secret in secrets.items():
                change.set_secret(NAME, f"auth.{field}", Secret(secret))

    def begin(self) -> None:
        """Rotate as far as the grace."""
        self.run("rotate", NAME, *self.words, "--grace", "1s")

    def end(self) -> list[str]:
        """End the rotation when the grace is over, with the old secret dead; return what people are told."""
        step = "grace"
        while step == "grace":
            said = self.run("rotate", NAME, "--resume", "--require-dead", "--wait", "30s", "--json").stdout
            [told] = json.loads(said)
            step = told["step"]
        assert ("done", None) == (step, told["problem"])
        remarks: list[str] = told["remarks"]
        return remarks

    def held(self) -> Any:
        """Return what is in use now."""
        raise NotImplementedError

    def accepted(self, held: Any) -> bool:
        """Ask the server whether it takes that."""
        raise NotImplementedError


class Static(Rotated):
    """A bearer token; the server takes those that its file names. A person makes them and ends them."""

    words = ("--stdin",)

    def __init__(self, mcpvault: Run, url: str, tokens: Path) -> None:
        super().__init__(mcpvault, url)
        self.tokens = tokens
        self.let_in("token-0-of-the-real-server")
        self.add({"kind": "bearer"}, token="token-0-of-the-real-server")

    def let_in(self, *tokens: str) -> None:
        """Let the server take these and no others."""
        beside = self.tokens.with_suffix(".new")
        beside.write_text("\n".join(tokens))
        beside.replace(self.tokens)

    def begin(self) -> None:
        """Make a token beside the old one, and bring it."""
        new = f"token-{uuid4().hex}"
        self.let_in(self.held(), new)
        self.run("rotate", NAME, "--stdin", "--grace", "1s", stdin=new)

    def end(self) -> list[str]:
        """End the old token too."""
        self.let_in(self.held())
        return super().end()

    def held(self) -> str:
        """Return the token."""
        return self.vault.token(NAME).reveal()

    def accepted(self, held: str) -> bool:
        """Knock at the server."""
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        status, _ = asked(self.url, [ping], Authorization=f"Bearer {held}")
        return status != 401


PROGRAM = """
import json, os, pathlib, sys, uuid
asked, file = json.load(sys.stdin), pathlib.Path(sys.argv[1])
tokens = file.read_text().split()
if asked["action"] == "mint":
    new = "token-" + uuid.uuid4().hex
    tokens = ([] if sys.argv[2:] == ["--one"] else tokens) + [new]
else:
    ended = asked["previous" if asked["action"] == "revoke" else "pending"]
    tokens = [token for token in tokens if token != ended]
beside = file.with_suffix(".new")
beside.write_text("\\n".join(tokens))
beside.replace(file)
print(json.dumps({"secret": new} if asked["action"] == "mint" else {}))
"""


class ByProgram(Static):
    """A bearer token that a program makes and ends; with *one* the server takes one at a time."""

    def __init__(self, mcpvault: Run, url: str, tokens: Path, *, one: bool = False) -> None:
        super().__init__(mcpvault, url, tokens)
        program = tokens.with_name("program.py")
        program.write_text(PROGRAM)
        words = (sys.executable, str(program), str(tokens), *(("--one",) if one else ()))
        self.words = ("--exec", "--", *words)

    def begin(self) -> None:
        """Let the program make it."""
        self.run("rotate", NAME, "--grace", "1s", *self.words)

    def end(self) -> list[str]:
        """Let the program end it."""
        return Rotated.end(self)


class Robot(Rotated):
    """
    A client of the authorization server that gets tokens in its own name; its secret is rotated.

    The server lets the old secret live for two seconds more, with *one* not at all.
    """

    life = 2  # seconds, of a token
    method = "client_secret_basic"

    def __init__(self, mcpvault: Run, url: str, issuer: str, *, one: bool = False) -> None:
        super().__init__(mcpvault, url)
        self.issuer = issuer
        asked(f"{issuer}/be?life={self.life}&overlap={0 if one else 2}")
        self.join()

    def join(self) -> None:
        """Register, and keep what came of it."""
        told = self.register()
        self.add(
            self.auth(told) | {"registration_client_uri": told["registration_client_uri"]},
            client_secret=told["client_secret"], registration_access_token=told["registration_access_token"],
        )  # fmt: skip

    def register(self, **more: str) -> Any:
        """Register a client, as an administrator does (RFC 7591)."""
        metadata = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": self.method, "scope": SCOPE}
        status, told = asked(f"{self.issuer}/register", [metadata | more])
        assert 201 == status
        return told

    def auth(self, told: Any) -> dict[str, str]:
        """Return the entry's ``auth`` for that client."""
        known = {"issuer": self.issuer, "client_id": told["client_id"], "scope": SCOPE}
        return {"kind": "client_credentials", **known}

    def held(self) -> Any:
        """Return the client's id and its secret."""
        return self.vault.entry(NAME).auth.client_id, self.vault.file.secret(NAME, "auth.client_secret").reveal()

    def accepted(self, held: Any) -> bool:
        """Ask for a token."""
        basic = base64.b64encode(":".join(held).encode()).decode()
        return self.granted(Authorization=f"Basic {basic}")

    def managed(self, method: str) -> tuple[int, Any]:
        """Read, update or delete the registration, as somebody does whose run is cut off then (RFC 7592)."""
        auth, access = self.vault.entry(NAME).auth, self.vault.file.secret(NAME, "auth.registration_access_token")
        body = [{"client_id": auth.client_id}] if method == "PUT" else None
        uri = str(auth.registration_client_uri)
        return asked(uri, body, method=method, Authorization=f"Bearer {access.reveal()}")

    def granted(self, form: Mapping[str, str] | None = None, **headers: str) -> bool:
        """Tell whether the authorization server grants a token to who proves himself so."""
        grant = {"grant_type": "client_credentials", "scope": SCOPE}
        status, told = asked(f"{self.issuer}/token", {**grant, **(form or {})}, **headers)
        assert status == 200 or told["error"] == "invalid_client"
        return status == 200


class NewClient(Robot):
    """The client itself is replaced; the server ends the old one's tokens with it."""

    life = 3600
    words = ("--rotator", "registration")


class Key(Robot):
    """The client's key, whose public half a web server shows."""

    method = "private_key_jwt"

    def __init__(self, mcpvault: Run, url: str, issuer: str, jwks: Path, shown: str) -> None:
        self.jwks, self.shown = jwks, shown
        super().__init__(mcpvault, url, issuer)

    def join(self) -> None:
        """Show a public key, and register."""
        key = SigningKey("ES256", kid="key-0")
        self.jwks.write_text(json.dumps({"keys": [key.jwk]}))
        self.add(self.auth(self.register(jwks_uri=self.shown)) | {"key_id": "key-0"}, private_key=key.pem)
        self.run("set", NAME, "policy.jwks_file", str(self.jwks))

    def held(self) -> Any:
        """Return the client's id, its key, and how that is called."""
        auth = self.vault.entry(NAME).auth
        return auth.client_id, self.vault.file.secret(NAME, "auth.private_key").reveal(), auth.key_id

    def accepted(self, held: Any) -> bool:
        """Ask for a token."""
        client, pem, kid = held
        claims = {"iss": client, "sub": client, "aud": self.issuer, "jti": uuid4().hex, "exp": int(time.time()) + 60}
        assertion = SigningKey("ES256", pem=pem, kid=kid).sign(claims)
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return self.granted({"client_assertion_type": kind, "client_assertion": assertion})


class Tokens(Robot):
    """The client's token, which lives for an hour."""

    life = 3600
    words = ("auth.tokens",)

    def held(self) -> str:
        """Return the access token."""
        return self.vault.authorization(NAME).tokens().access_token.reveal()

    def accepted(self, held: str) -> bool:
        """Ask about it (RFC 7662)."""
        return bool(asked(f"{self.issuer}/introspect", {"token": held})[1]["active"])


class DataKey(Robot):
    """The vault's own key, beneath a client and its tokens."""

    def begin(self) -> None:
        """Seal everything with another key."""
        self.run("rotate", "--rotator", "data-key")

    def end(self) -> list[str]:
        """Do nothing: it was one step."""
        return []

    def held(self) -> VaultFile:
        """Return the vault as the key of now opens it."""
        return self.vault.file

    def accepted(self, held: VaultFile) -> bool:
        """Try that key on what is sealed now."""
        now = VaultFile(held.path, self.vault.document, held.keys, None, time.time)
        try:
            return bool(now.secret(NAME, "auth.client_secret"))
        except TamperedError:
            return False
