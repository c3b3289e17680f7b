"""Credentials and the check of headers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault import credentials
from mcpvault.errors import ConfigurationError, HeaderRefusedError
from mcpvault.secret import Secret

ORIGIN = "https://mcp.example.com:443"


@pytest.mark.parametrize(
    ("scheme", "expected"), [("Bearer", "Bearer tok"), ("Token", "Token tok"), ("", "tok")], ids=str
)
def test_a_bearer_token_gets_its_scheme(scheme: str, expected: str) -> None:
    """The scheme stands before the token; an empty one sends the token alone."""
    credential = credentials.bearer(Secret("tok"), origin=ORIGIN, scheme=scheme)

    assert {"Authorization": expected} == {name: value.reveal() for name, value in credential.headers.items()}
    assert ORIGIN == credential.origin


def test_a_doubled_scheme_is_refused() -> None:
    """A token stored with its scheme would be sent as ``Bearer Bearer``."""
    with pytest.raises(ConfigurationError, match="already begins with 'Bearer'"):
        credentials.bearer(Secret("bearer tok"), origin=ORIGIN)


def test_basic_follows_rfc_7617() -> None:
    """The example of RFC 7617 §2 comes out byte for byte."""
    credential = credentials.basic("Aladdin", Secret("open sesame"), origin=ORIGIN)

    assert "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" == credential.headers["Authorization"].reveal()


def test_a_colon_in_a_basic_user_name_is_refused() -> None:
    """RFC 7617 §2: a user-id containing a colon is invalid."""
    with pytest.raises(ConfigurationError, match="auth.username"):
        credentials.basic("a:b", Secret("x"), origin=ORIGIN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X Key", "v"),
        ("", "v"),
        ("X-Key\n", "v"),
        ("Host", "v"),
        ("content-length", "1"),
        ("Mcp-Session-Id", "v"),
        ("X-Key", ""),
        ("X-Key", " v"),
        ("X-Key", "v\n"),
        ("X-Key", "v\r\nX-Other: w"),
        ("X-Key", "v\0"),
        ("X-Key", "é"),
        ("X-Key", "Bearer ${env:T}"),
        ("X-Key", "v" * 20_000),
    ],
)
def test_a_header_that_must_not_be_sent_is_refused(name: str, value: str) -> None:
    """Bad names, the transport's own names, control characters and open references do not pass."""
    with pytest.raises(HeaderRefusedError) as caught:
        credentials.check_header(name, Secret(value))
    assert value not in caught.value.message or not value


@pytest.mark.parametrize(("name", "value"), [("X-Key", "v"), ("x_key", "a b\tc"), ("Authorization", "Bearer a.b-c~")])
def test_an_ordinary_header_passes(name: str, value: str) -> None:
    """Visible ASCII, inner space and tab are fine."""
    credentials.check_header(name, value)


@given(st.text("az~!\t \x7f\x1f\xe9\u0391\n\r\0${", max_size=6))
def test_a_field_value_is_what_rfc_9110_says(text: str) -> None:
    """Visible ASCII at both ends, spaces and tabs between (RFC 9110 §5.5), obsolete text left out."""
    expected = re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?", text) is not None

    assert expected == credentials.is_field_value(text)
