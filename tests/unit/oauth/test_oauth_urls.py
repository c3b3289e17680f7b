"""URLs of OAuth: how they come apart, which may be talked to, and where metadata is published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oauth_answers import MCP

from mcpvault.oauth import urls
from mcpvault.oauth.metadata import (
    covers,
    published_with,
    well_known_issuer,
    well_known_resource,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "https://example.com/public/mcp",
            (
                "https://example.com/.well-known/oauth-protected-resource/public/mcp",
                "https://example.com/.well-known/oauth-protected-resource",
            ),
            id="the specification's example",
        ),
        pytest.param("https://h", ("https://h/.well-known/oauth-protected-resource",), id="at the root"),
        pytest.param("https://h/", ("https://h/.well-known/oauth-protected-resource",), id="at the root, with a slash"),
        pytest.param(
            "https://h:8443/mcp/",
            (
                "https://h:8443/.well-known/oauth-protected-resource/mcp/",
                "https://h:8443/.well-known/oauth-protected-resource/mcp",
                "https://h:8443/.well-known/oauth-protected-resource",
            ),
            id="a slash at the end, which servers treat in two ways",
        ),
        pytest.param(
            "https://h/mcp?key=s3cret",
            ("https://h/.well-known/oauth-protected-resource/mcp", "https://h/.well-known/oauth-protected-resource"),
            id="a query stays at home",
        ),
    ],
)
def test_where_a_resource_is_described(url: str, expected: tuple[str, ...]) -> None:
    """The well-known suffix goes between host and path; the path's document is asked for first."""
    assert expected == well_known_resource(url)


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        pytest.param(
            "https://auth.example.com/tenant1",
            (
                "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example.com/.well-known/openid-configuration/tenant1",
                "https://auth.example.com/tenant1/.well-known/openid-configuration",
            ),
            id="the specification's example, with a path",
        ),
        pytest.param(
            "https://auth.example.com",
            (
                "https://auth.example.com/.well-known/oauth-authorization-server",
                "https://auth.example.com/.well-known/openid-configuration",
            ),
            id="the specification's example, without a path",
        ),
        pytest.param(
            "https://h/",
            ("https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"),
            id="a slash alone",
        ),
        pytest.param(
            "https://h/a/b/",
            (
                "https://h/.well-known/oauth-authorization-server/a/b",
                "https://h/.well-known/openid-configuration/a/b",
                "https://h/a/b/.well-known/openid-configuration",
            ),
            id="a path that ends in a slash",
        ),
    ],
)
def test_where_an_issuer_is_described(issuer: str, expected: tuple[str, ...]) -> None:
    """RFC 8414 before OpenID Connect, insertion before appending, and never the root for an issuer with a path."""
    assert expected == well_known_issuer(issuer)


def test_only_a_slash_lets_two_issuers_share_a_document() -> None:
    """Issuers are published together if their well-known URLs are the same."""
    assert published_with("https://as/t", ["https://x", "https://as/t/"])
    assert published_with("https://as/", ["https://as"])
    assert not published_with(
        "https://as/t", ["https://as", "https://as/T", "http://as/t", "", "::", "https://as:443/t"]
    )
    assert not published_with("https://as/t", [])


def test_a_url_comes_apart_as_it_was_written() -> None:
    """No piece is normalised, and what is no URL has an empty base."""
    assert ("HTTPS://H:443", "/%7Ea/", "?q=1") == urls.split("HTTPS://H:443/%7Ea/?q=1#f")
    assert ("https://h", "", "") == urls.split("https://h")
    assert ("", "no url at all", "") == urls.split("no url at all")


@given(st.text(max_size=40))
def test_no_text_breaks_the_judgement_of_urls(text: str) -> None:
    """Servers may put anything where a URL belongs."""
    assert "".join(urls.split(text)) == text.partition("#")[0]
    assert urls.flaw(text) is None or isinstance(urls.flaw(text), str)
    assert isinstance(well_known_issuer(text), tuple)
    assert isinstance(covers(text, MCP), bool)


def test_a_shown_url_hides_its_query_and_is_short() -> None:
    """Messages hold no credential and no line breaks, and are of bearable length."""
    assert "https://h/p?…" == urls.shown("https://h/p?key=s3cret#x")
    assert "\n" not in urls.shown("https://h/\n")
    assert len(urls.shown("https://h/" + "x" * 10_000)) <= 200
