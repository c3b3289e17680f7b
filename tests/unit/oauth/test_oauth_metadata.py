"""An authorization server's metadata: where it is, and what of it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oauth_answers import AS, RFC8414, server_document

from mcpvault.errors import IssuerMismatchError, RemoteProtocolError
from mcpvault.oauth.metadata import (
    authorization_server,
)
from mcpvault.tokens import AuthorizationServer


def server_of(told: object, *, issuer: str = AS, **more: Any) -> AuthorizationServer:
    """Return what is believed of *told* when the issuer's well-known URL answers it."""
    return authorization_server(json.dumps(told).encode(), url=RFC8414, issuer=issuer, **more)


def test_a_server_document_is_read() -> None:
    """Every member that a client acts on comes out byte for byte; unknown ones are ignored."""
    told = server_document(
        revocation_endpoint=f"{AS}/revoke?tenant=1",
        device_authorization_endpoint="https://device.example/",
        scopes_supported=["a"],
        grant_types_supported=["authorization_code"],
        token_endpoint_auth_methods_supported=["none"],
        token_endpoint_auth_signing_alg_values_supported=["ES256"],
        dpop_signing_alg_values_supported=["ES256"],
        authorization_grant_profiles_supported=["urn:ietf:params:oauth:grant-profile:id-jag"],
        authorization_response_iss_parameter_supported=True,
        client_id_metadata_document_supported=True,
        jwks_uri="not a url",
    )

    assert AuthorizationServer(
        issuer=AS,
        authorization_endpoint=f"{AS}/authorize",
        token_endpoint=f"{AS}/token",
        registration_endpoint=f"{AS}/register",
        revocation_endpoint=f"{AS}/revoke?tenant=1",
        device_authorization_endpoint="https://device.example/",
        scopes_supported=("a",),
        grant_types_supported=("authorization_code",),
        code_challenge_methods_supported=("S256",),
        token_endpoint_auth_methods_supported=("none",),
        token_endpoint_auth_signing_alg_values_supported=("ES256",),
        dpop_signing_alg_values_supported=("ES256",),
        authorization_grant_profiles_supported=("urn:ietf:params:oauth:grant-profile:id-jag",),
        authorization_response_iss_parameter_supported=True,
        client_id_metadata_document_supported=True,
    ) == server_of(told)


def test_members_of_another_type_count_as_absent() -> None:
    """A text where a list belongs, or "true" where true does, declares nothing."""
    told = server_document(
        code_challenge_methods_supported="S256",
        scopes_supported=["a", 1],
        registration_endpoint=["x"],
        authorization_response_iss_parameter_supported="true",
        client_id_metadata_document_supported=1,
    )

    expected = AuthorizationServer(issuer=AS, authorization_endpoint=f"{AS}/authorize", token_endpoint=f"{AS}/token")
    assert expected == server_of(told)


@pytest.mark.parametrize(
    ("issuer", "named"),
    [
        (AS, f"{AS}/"),
        (f"{AS}/", AS),
        (AS, "https://AS.example"),
        (AS, "https://as.example:443"),
        (AS, "https://as.example/%74"),
        (AS, "https://honest.example"),
        (AS, ""),
    ],
)
def test_an_issuer_is_compared_as_text(issuer: str, named: str) -> None:
    """RFC 8414 §3.3: identical, with no slash, case or port forgiven; otherwise nothing is used."""
    with pytest.raises(IssuerMismatchError) as caught:
        server_of(server_document(issuer=named), issuer=issuer)

    assert f"{RFC8414}: the metadata names issuer {named!r}, expected {issuer!r}" == caught.value.message


@pytest.mark.parametrize("named", [None, [AS], 1, {}])
def test_a_document_without_an_issuer_is_no_metadata(named: object) -> None:
    """RFC 8414 §2 requires it; an error page in JSON is nobody's mix-up."""
    with pytest.raises(RemoteProtocolError) as caught:
        server_of({**server_document(), "issuer": named})

    assert f"{RFC8414}: the authorization server metadata names no issuer" == caught.value.message


@given(st.text(max_size=40))
def test_no_other_issuer_passes(named: str) -> None:
    """Whatever a document calls itself, only the issuer that led to it is accepted."""
    told = {**server_document(), "issuer": named}

    if named == AS:
        assert AS == server_of(told).issuer
    else:
        with pytest.raises(IssuerMismatchError):
            server_of(told)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://as.example/token",
        "http://localhost.example/token",
        "http://127.0.0.1.example/token",
        "http://10.0.0.1/token",
        "https://user:pw@as.example/token",
        "https://as.example/token#fragment",
        "https://as.example\\@evil.example/token",
        "https://as.example/to ken",
        "//as.example/token",
        "/token",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "https:///token",
        "",
    ],
)
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "registration_endpoint"])
def test_an_endpoint_that_nothing_may_be_sent_to_spoils_the_document(name: str, endpoint: str) -> None:
    """Endpoints are https, or http on loopback, without user information or fragment (A36)."""
    with pytest.raises(RemoteProtocolError) as caught:
        server_of(server_document(**{name: endpoint}))

    assert f"{RFC8414}: {name} " in caught.value.message


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:9/t",
        "http://127.0.0.1:9/t",
        "http://127.255.0.1/t",
        "http://[::1]:9/t",
        "http://a.localhost/t",
    ],
)
def test_plain_http_is_for_loopback(endpoint: str) -> None:
    """On this machine http will do."""
    assert endpoint == server_of(server_document(token_endpoint=endpoint)).token_endpoint


def test_an_entry_may_allow_plain_http() -> None:
    """``allow_http`` lets http endpoints beyond loopback pass, and nothing else that is wrong with a URL."""
    told = server_document(token_endpoint="http://as.lab/token")

    assert "http://as.lab/token" == server_of(told, allow_http=True).token_endpoint
    with pytest.raises(RemoteProtocolError):
        server_of(server_document(token_endpoint="http://u@as.lab/token"), allow_http=True)


def test_a_document_without_a_token_endpoint_is_of_no_use() -> None:
    """RFC 8414 §2 requires it for every grant that there is here."""
    with pytest.raises(RemoteProtocolError) as caught:
        server_of(server_document(token_endpoint=None))

    assert f"{RFC8414}: the authorization server metadata names no token_endpoint" == caught.value.message
