"""How a client proves who it is: one method, once, to its own issuer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_peers import ISSUER, KEYS, NOW, confidential, opened, pem, registration, server

from mcpvault.errors import ConfigurationError, IssuerMismatchError
from mcpvault.oauth import client_authentication
from mcpvault.oauth.jwt import ClientKey
from mcpvault.secret import Secret
from mcpvault.tokens import Registration


def shown(members: dict[str, str | Secret]) -> dict[str, str]:
    """Return *members* with their secrets in clear."""
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in members.items()}


def applied(client: Registration, **options: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the body members and headers that the client's own method makes."""
    form: dict[str, str | Secret] = {"grant_type": "client_credentials"}
    headers: dict[str, str | Secret] = {}
    client_authentication.apply(
        client.token_endpoint_auth_method,
        registration=client,
        form=form,
        headers=headers,
        **{"server": server(), "now": NOW, **options},
    )
    assert "client_credentials" == form.pop("grant_type")
    return shown(form), shown(headers)


def test_a_public_client_only_says_its_name() -> None:
    """``none``: ``client_id`` in the body and no Authorization header (A111)."""
    assert ({"client_id": "s6BhdRkqt3"}, {}) == applied(registration())


def test_basic_is_the_example_of_rfc_6749() -> None:
    """RFC 6749 §2.3.1 comes out byte for byte; the body has the identifier (§3.2.1), and never the secret."""
    expected = "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"

    assert ({"client_id": "s6BhdRkqt3"}, {"Authorization": expected}) == applied(confidential())


def test_basic_encodes_as_appendix_b_says() -> None:
    """RFC 6749 appendix B: the six characters of its example, in an identifier and in a secret (A112)."""
    client = confidential().replaced(client_id=" %&+£€", client_secret=Secret("a:b c"))

    _, headers = applied(client)

    pair = base64.b64decode(headers["Authorization"].removeprefix("Basic "))
    assert b"+%25%26%2B%C2%A3%E2%82%AC:a%3Ab+c" == pair


@given(st.text(min_size=1), st.text(min_size=1))
def test_basic_always_has_one_colon(client_id: str, secret: str) -> None:
    """Whatever the two parts hold, the server can tell them apart."""
    _, headers = applied(confidential().replaced(client_id=client_id, client_secret=Secret(secret)))

    assert 1 == base64.b64decode(headers["Authorization"].removeprefix("Basic ")).count(b":")


def test_post_puts_both_into_the_body() -> None:
    """``client_secret_post``: identifier and secret in the body, no header (A113)."""
    client = confidential().replaced(token_endpoint_auth_method="client_secret_post")

    assert ({"client_id": "s6BhdRkqt3", "client_secret": "7Fjfp0ZBr1KtDRbnfVdmIw"}, {}) == applied(client)


def test_an_assertion_is_made_out_to_the_issuer() -> None:
    """``private_key_jwt``: iss and sub are the client, aud is the issuer, and it lives for a minute (A114)."""
    client = registration(token_endpoint_auth_method="private_key_jwt")

    form, headers = applied(client, key=ClientKey(pem(KEYS["ES256"]), kid="22"), random_bytes=lambda size: b"j" * size)

    assert {"client_assertion_type", "client_assertion"} == form.keys()
    assert {} == headers
    assert "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" == form["client_assertion_type"]
    header, claims = opened(form["client_assertion"])
    assert {"alg": "ES256", "kid": "22"} == header
    assert {
        "iss": "s6BhdRkqt3",
        "sub": "s6BhdRkqt3",
        "aud": ISSUER,
        "jti": "ampqampqampqampqampqag",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    } == claims


def test_every_assertion_is_new() -> None:
    """``jti`` never comes twice, so that no server takes one for a replay."""
    client = registration(token_endpoint_auth_method="private_key_jwt")
    key = ClientKey(pem(KEYS["ES256"]))

    seen = {opened(applied(client, key=key)[0]["client_assertion"])[1]["jti"] for _ in range(20)}

    assert 20 == len(seen)


def test_audience_and_algorithm_can_be_chosen() -> None:
    """The entry names another audience, the server the algorithms that it takes."""
    client = registration(token_endpoint_auth_method="private_key_jwt")
    picky = server(token_endpoint_auth_signing_alg_values_supported=("PS256",))

    form, _ = applied(client, server=picky, key=ClientKey(pem(KEYS["RS256"])), audience=f"{ISSUER}/token")

    header, claims = opened(form["client_assertion"])
    assert ("PS256", f"{ISSUER}/token") == (header["alg"], claims["aud"])


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("client_secret_basic", "needs a client secret"),
        ("client_secret_post", "needs a client secret"),
        ("private_key_jwt", "needs a private key"),
        ("tls_client_auth", "it is registered for 'tls_client_auth'"),
    ],
)
def test_what_is_missing_is_named(method: str, why: str) -> None:
    """A method without its secret or key, or one that we cannot do, is not sent half."""
    with pytest.raises(ConfigurationError, match=why):
        applied(registration(token_endpoint_auth_method=method))


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"client_id": "a"}, {}),
        ({"client_assertion": Secret("a.b.c")}, {}),
        ({}, {"authorization": Secret("Basic eDp5")}),
    ],
    ids=["client_id", "assertion", "header"],
)
def test_a_request_is_authenticated_once(form: dict[str, str | Secret], headers: dict[str, str | Secret]) -> None:
    """RFC 6749 §2.3: a client must not use two methods in one request; to try is a fault of ours."""
    with pytest.raises(ValueError, match="already carries"):
        client_authentication.apply(
            "none", registration=registration(), form=form, headers=headers, server=server(), now=NOW
        )


def test_no_secret_leaves_for_another_issuer() -> None:
    """A60, A61: the issuers are compared as strings; a slash more is another server."""
    with pytest.raises(IssuerMismatchError, match="registered with 'https://as.example'"):
        applied(confidential(), server=server(issuer=f"{ISSUER}/"))


def test_a_metadata_document_names_the_client_everywhere() -> None:
    """A63: its URL is the same client at every authorization server; with a secret it would not be."""
    url = "https://app.example/client.json"
    portable = registration(client_id=url, source="metadata_document", issuer="https://other.example")

    assert ({"client_id": url}, {}) == applied(portable)
    with pytest.raises(IssuerMismatchError):
        applied(portable.replaced(client_secret=Secret("x" * 20), token_endpoint_auth_method="client_secret_post"))


@pytest.mark.parametrize(
    ("secret", "key", "supported", "expected"),
    [
        (False, False, None, "none"),
        (False, False, ("client_secret_basic",), "none"),
        (True, False, None, "client_secret_basic"),
        (True, False, ("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (True, False, ("client_secret_post",), "client_secret_post"),
        (False, True, None, "private_key_jwt"),
        (True, True, None, "private_key_jwt"),
        (True, True, ("client_secret_post",), "client_secret_post"),
        (True, True, ("private_key_jwt", "client_secret_basic"), "private_key_jwt"),
    ],
)
def test_the_method_is_one_that_client_and_server_have_in_common(
    secret: bool, key: bool, supported: tuple[str, ...] | None, expected: str
) -> None:
    """A110: a key before a secret, Basic before the body; a server that lists nothing means Basic."""
    judge = server(token_endpoint_auth_methods_supported=supported)

    assert expected == client_authentication.choose(judge, has_secret=secret, has_key=key)


@pytest.mark.parametrize("supported", [("none",), (), ("private_key_jwt",)], ids=str)
def test_no_method_in_common_is_an_error(supported: tuple[str, ...]) -> None:
    """A secret that the server cannot take is not dropped silently."""
    judge = server(token_endpoint_auth_methods_supported=supported)
    with pytest.raises(ConfigurationError, match="client_secret_basic or client_secret_post is not among") as caught:
        client_authentication.choose(judge, has_secret=True, has_key=False)

    assert caught.value.hint is not None
    assert "token_endpoint_auth_method" in caught.value.hint


def test_the_entry_decides_against_the_metadata() -> None:
    """S77: metadata is often incomplete, an admin knows better; but not better than what the client has."""
    judge = server(token_endpoint_auth_methods_supported=("private_key_jwt",))

    told = client_authentication.choose(judge, has_secret=True, has_key=False, override="client_secret_post")

    assert "client_secret_post" == told
    assert "none" == client_authentication.choose(judge, has_secret=True, has_key=True, override="none")
    with pytest.raises(ConfigurationError, match="private_key_jwt needs a private key"):
        client_authentication.choose(judge, has_secret=True, has_key=False, override="private_key_jwt")
    with pytest.raises(ConfigurationError, match="client_secret_post needs a client secret"):
        client_authentication.choose(judge, has_secret=False, has_key=True, override="client_secret_post")
    with pytest.raises(ConfigurationError, match="got 'basic'"):
        client_authentication.choose(judge, has_secret=True, has_key=True, override="basic")
