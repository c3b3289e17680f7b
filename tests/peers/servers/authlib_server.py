"""
An authorization server made of Authlib: registration and its management, Basic and private_key_jwt, revocation.

Run by the Python of ``.peers/authlib`` with PORT in the environment. What Authlib leaves to whoever uses it is here:
an update of a registration makes another secret and another registration token, and ``/be?life=…&overlap=…`` says how
many seconds access tokens live, and the old secret beside the new one.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.request
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_query_token_func,
    create_revocation_endpoint,
)
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7592 import ClientConfigurationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, Response, jsonify, request
from joserfc.jwk import KeySet
from sqlalchemy import Column, Float, Integer, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import StaticPool

PORT = int(os.environ["PORT"])
ISSUER = f"http://127.0.0.1:{PORT}"
METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
GRANT = "client_credentials"

habits = {"life": 3600.0, "overlap": 0.0}  # seconds
used: set[str] = set()  # the ids of client assertions


class Base(DeclarativeBase):
    """What is kept."""


class Client(Base, OAuth2ClientMixin):
    """A client, its registration's token, and the secret that it had before."""

    __tablename__ = "clients"
    id = Column(Integer, primary_key=True)
    access_token = Column(String)
    old_secret = Column(String)
    old_ends = Column(Float, default=0.0)

    def check_client_secret(self, client_secret: str) -> bool:
        """Take the current secret, and the old one while it lives."""
        old = time.time() < self.old_ends and secrets.compare_digest(self.old_secret, client_secret)
        return old or super().check_client_secret(client_secret)


class Token(Base, OAuth2TokenMixin):
    """An access token, and the resource that it is for."""

    __tablename__ = "tokens"
    id = Column(Integer, primary_key=True)
    resource = Column(String)


engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
Base.metadata.create_all(engine)
db = Session(engine)
query_client = create_query_client_func(db, Client)


def save_token(token: dict[str, Any], asked: Any) -> None:
    """Keep a token that was issued."""
    db.add(Token(client_id=asked.client.client_id, resource=asked.form.get("resource"), **token))
    db.commit()


app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = "__main__.expires_in"
server = AuthorizationServer()


def expires_in(client: Client, grant_type: str) -> int:
    """Return how long a token lives that is issued now; seconds."""
    return int(habits["life"])


class ClientCredentials(grants.ClientCredentialsGrant):
    """A token in the client's own name."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class Assertion(JWTBearerClientAssertion):
    """``private_key_jwt``: the public keys are those that the client shows just now."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def get_audiences(self) -> list[str]:
        """Return who an assertion may be for."""
        return [ISSUER, f"{ISSUER}/token"]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """Take each once."""
        known = jti in used
        used.add(jti)
        return not known

    def resolve_client_public_key(self, client: Client) -> KeySet:
        """Fetch them."""
        with urllib.request.urlopen(client.jwks_uri, timeout=5) as answer:
            return KeySet.import_key_set(json.load(answer))


class Registered:
    """What both endpoints for registrations do alike."""

    def get_server_metadata(self) -> dict[str, Any]:
        """Return nothing that would narrow down what a client may be."""
        return {}

    def generate_client_registration_info(self, client: Client, asked: Any) -> dict[str, str]:
        """Tell where and with what the registration is managed."""
        uri = f"{ISSUER}/register/{client.client_id}"
        return {"registration_client_uri": uri, "registration_access_token": client.access_token}


class Registration(Registered, ClientRegistrationEndpoint):
    """Registers anybody (RFC 7591)."""

    def authenticate_token(self, asked: Any) -> str:
        """Want none."""
        return "open"

    def save_client(self, client_info: dict[str, Any], client_metadata: dict[str, Any], asked: Any) -> Client:
        """Keep a client."""
        client = Client(**client_info, access_token=secrets.token_urlsafe(24))
        client.set_client_metadata(client_metadata)
        db.add(client)
        db.commit()
        return client


class Management(Registered, ClientConfigurationEndpoint):
    """Shows, updates and deletes a registration (RFC 7592)."""

    def authenticate_token(self, asked: Any) -> Any:
        """Find the registration that the token is of."""
        token = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        owner = db.query(Client).filter_by(access_token=token).first()
        return OfClient(owner) if owner is not None else None

    def authenticate_client(self, asked: Any) -> Client | None:
        """Find the registration that the address is of."""
        found: Client | None = query_client(request.view_args["client_id"])
        return found

    def revoke_access_token(self, token: Any, asked: Any) -> None:
        """Do nothing: it went with its client."""

    def check_permission(self, client: Client, asked: Any) -> bool:
        """Let every client manage itself."""
        return True

    def update_client(self, client: Client, client_metadata: dict[str, Any], asked: Any) -> Client:
        """Make another secret and another token of the registration, whatever the update was about."""
        client.set_client_metadata({**client.client_metadata, **client_metadata})
        client.old_secret, client.old_ends = client.client_secret, time.time() + habits["overlap"]
        client.client_secret, client.access_token = secrets.token_hex(24), secrets.token_urlsafe(24)
        db.commit()
        return client

    def delete_client(self, client: Client, asked: Any) -> None:
        """Forget the client, and its tokens with it (RFC 7592 §2.3)."""
        db.query(Token).filter_by(client_id=client.client_id).delete()
        db.delete(client)
        db.commit()


class OfClient:
    """What a registration's token was issued to."""

    def __init__(self, owner: Client) -> None:
        self.owner = owner

    def check_client(self, client: Client) -> bool:
        """Tell whether it is *client*."""
        return self.owner is client


class Revocation(create_revocation_endpoint(db, Token)):
    """Ends tokens (RFC 7009)."""

    CLIENT_AUTH_METHODS = METHODS


class Introspection(IntrospectionEndpoint):
    """Tells the resource server of a token (RFC 7662)."""

    def authenticate_endpoint_client(self, asked: Any) -> None:
        """Tell everybody on this host."""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        """Find a token."""
        found: Token | None = create_query_token_func(db, Token)(token_string, token_type_hint)
        return found

    def check_permission(self, token: Token, client: None, asked: Any) -> bool:
        """Tell of every token."""
        return True

    def introspect_token(self, token: Token) -> dict[str, Any]:
        """Say whose it is, what for, and until when."""
        ends = token.issued_at + token.expires_in
        return {"client_id": token.client_id, "scope": token.scope, "aud": token.resource, "exp": ends}


server.init_app(app, query_client, save_token)
server.register_grant(ClientCredentials)
server.register_client_auth_method("private_key_jwt", Assertion())
for endpoint in (Registration, Management, Revocation, Introspection):
    server.register_endpoint(endpoint)


@app.get("/.well-known/oauth-authorization-server")
def metadata() -> Response:
    """Tell what there is (RFC 8414)."""
    return jsonify(
        issuer=ISSUER,
        token_endpoint=f"{ISSUER}/token",
        registration_endpoint=f"{ISSUER}/register",
        revocation_endpoint=f"{ISSUER}/revoke",
        introspection_endpoint=f"{ISSUER}/introspect",
        grant_types_supported=[GRANT],
        response_types_supported=[],
        token_endpoint_auth_methods_supported=METHODS,
        token_endpoint_auth_signing_alg_values_supported=["ES256"],
    )


@app.post("/token")
def token() -> Response:
    """Issue a token."""
    return server.create_token_response()


@app.post("/register")
def register() -> Response:
    """Register a client."""
    return server.create_endpoint_response("client_registration")


@app.route("/register/<client_id>", methods=["GET", "PUT", "DELETE"])
def manage(client_id: str) -> Response:
    """Manage a registration."""
    return server.create_endpoint_response("client_configuration")


@app.post("/revoke")
def revoke() -> Response:
    """End a token."""
    return server.create_endpoint_response("revocation")


@app.post("/introspect")
def introspect() -> Response:
    """Tell of a token."""
    return server.create_endpoint_response("introspection")


@app.post("/be")
def be() -> Response:
    """Be another server from now on."""
    habits.update({name: float(value) for name, value in request.args.items()})
    return Response(status=204)


# One request at a time: what is kept is in memory, on one connection.
app.run(host="127.0.0.1", port=PORT, threaded=False)
