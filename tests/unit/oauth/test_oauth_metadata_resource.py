"""A protected resource's metadata: whether it is for this server, and what of it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from oauth_answers import AS, AT_PATH, MCP, RFC8414, resource_document

from mcpvault.errors import IssuerMismatchError, RemoteProtocolError
from mcpvault.oauth.metadata import (
    LARGEST,
    ProtectedResource,
    authorization_server,
    canonical,
    protected_resource,
)


def resource_of(told: object, *, server_url: str = MCP, **more: Any) -> ProtectedResource:
    """Return what is believed of *told* when the path's well-known URL answers it."""
    return protected_resource(json.dumps(told).encode(), url=AT_PATH, server_url=server_url, **more)


@pytest.mark.parametrize(
    "resource",
    [
        "https://mcp.example/api/mcp",
        "https://mcp.example/api/mcp/",
        "https://mcp.example/api",
        "https://mcp.example/api/",
        "https://mcp.example",
        "https://mcp.example/",
        "HTTPS://MCP.Example/api",
        "https://mcp.example:443/api/mcp",
    ],
)
def test_a_resource_may_be_the_endpoint_or_above_it(resource: str) -> None:
    """The origin is the same, and the path ends where a segment does; the string comes out as it went in (A93)."""
    told = resource_document(resource=resource)

    assert resource == resource_of(told, server_url="https://mcp.example/api/mcp").resource


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example.com/mcp",
        "https://mcp.example/api/mc",
        "https://mcp.example/ap",
        "https://mcp.example/API/mcp",
        "https://mcp.example/api/mcp/tools",
        "https://mcp.example/other",
        "https://mcp.example:8443/api/mcp",
        "http://mcp.example/api/mcp",
        "https://mcp.example/api/mcp#x",
        "https://mcp.example/api?tenant=2",
        "https://user@mcp.example/api/mcp",
        "https://mcp.example.evil.example/api/mcp",
        "/api/mcp",
        "",
    ],
)
def test_metadata_of_another_resource_is_not_used(resource: str) -> None:
    """RFC 9728 §3.3: values that do not match mean that nothing in the document may be used."""
    with pytest.raises(IssuerMismatchError) as caught:
        resource_of(resource_document(resource=resource), server_url="https://mcp.example/api/mcp")

    assert repr(resource) in caught.value.message
    assert "'https://mcp.example/api/mcp'" in caught.value.message


@pytest.mark.parametrize("resource", ["https://mcp.example", "https://mcp.example/api/", "HTTPS://mcp.example/api"])
def test_a_strict_entry_takes_the_endpoint_and_nothing_else(resource: str) -> None:
    """``strict_resource`` is the RFC's text: identical."""
    with pytest.raises(IssuerMismatchError):
        resource_of(resource_document(resource=resource), server_url="https://mcp.example/api", strict=True)

    exact = resource_document(resource="https://mcp.example/api")
    assert "https://mcp.example/api" == resource_of(exact, server_url="https://mcp.example/api", strict=True).resource
    assert resource_of(exact, server_url="https://mcp.example/api?key=s3cret", strict=True)


@pytest.mark.parametrize("strict", [False, True])
def test_a_pinned_resource_is_believed(strict: bool) -> None:
    """What the entry names is good even on another origin; what neither names is not."""
    pinned = "https://api.example/v1/"

    assert pinned == resource_of(resource_document(resource=pinned), strict=strict, resource=pinned).resource
    with pytest.raises(IssuerMismatchError):
        resource_of(resource_document(resource="https://api.example/v1"), strict=strict, resource=pinned)


def test_a_query_of_the_endpoint_is_not_shown() -> None:
    """A mismatch is told without the credential that a URL's query may hold."""
    with pytest.raises(IssuerMismatchError) as caught:
        resource_of(resource_document(resource="https://x.example"), server_url="https://mcp.example/mcp?key=s3cret")

    assert "s3cret" not in caught.value.message


def test_the_resource_of_a_server_that_names_none() -> None:
    """It is the endpoint's URL in canonical form: no query, no lone slash, scheme and host in lower case."""
    assert "https://mcp.example/Mcp/" == canonical("HTTPS://Mcp.Example/Mcp/?key=s3cret")
    assert "https://mcp.example:8443" == canonical("https://mcp.example:8443/")
    assert "https://mcp.example" == canonical("https://mcp.example")


def test_a_resource_document_is_read() -> None:
    """Lists come out as they stand; what is absent or of another type is absent."""
    told = resource_document(
        scopes_supported=["a", "b"], bearer_methods_supported="header", authorization_servers=[AS, "x"]
    )

    expected = ProtectedResource(resource=MCP, authorization_servers=(AS, "x"), scopes_supported=("a", "b"))
    assert expected == resource_of(told)
    assert ProtectedResource(resource=MCP) == resource_of({"resource": MCP, "authorization_servers": [1]})
    assert () == resource_of(resource_document(scopes_supported=[])).scopes_supported


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b"\xff\xfe{}",
        b"{}",
        b'{"resource": 1}',
        b"[" * 100_000,
        b" " * (LARGEST + 1),
    ],
)
def test_what_is_no_document_says_so(body: bytes) -> None:
    """HTML, other JSON, broken, deep and huge bodies are no metadata, and none is quoted."""
    with pytest.raises(RemoteProtocolError) as caught:
        protected_resource(body, url=AT_PATH, server_url=MCP)
    assert caught.value.message.startswith(f"{AT_PATH}: the protected resource metadata ")

    with pytest.raises(RemoteProtocolError) as other:
        authorization_server(body, url=RFC8414, issuer=AS)
    assert other.value.message.startswith(f"{RFC8414}: the ")
