"""How a client comes to be known: which way is taken, and what is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from oauth_answers import AS, Answers, json_answer
from registration_peers import CALLBACK, REGISTER, refused, registered, server

from mcpvault.errors import ConfigurationError, IssuerMismatchError, McpVaultError
from mcpvault.oauth.registration import deletion, expired
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.tokens import Registration

DOCUMENT = "https://app.example.com/oauth/client-metadata.json"
OURS = Registration(issuer=AS, client_id="ours", source="preregistered", client_secret=Secret("s3cret-of-ours"))


def sent(answers: Answers) -> list[dict[str, Any]]:
    """Return the client metadata of each request."""
    return [json.loads(ask.body or b"") for ask in answers.asked]


# The order


def test_a_preregistered_client_is_used_and_nothing_is_asked() -> None:
    """It comes first, even where the server offers every other way (A41, A42)."""
    answers = Answers()
    everything = server(client_id_metadata_document_supported=True)

    assert OURS is registered(answers, everything, client_metadata_url=DOCUMENT, preregistered=OURS)
    assert [] == answers.asked


def test_a_preregistered_client_of_another_issuer_is_an_error() -> None:
    """Its secret is not tried elsewhere, and no other client takes its place (A61, A62)."""
    answers = Answers({REGISTER: json_answer({"client_id": "new"}, 201)})

    error = refused(IssuerMismatchError, answers, preregistered=OURS.replaced(issuer=f"{AS}/"))

    assert "'https://as.example/'" in error.message
    assert "'https://as.example'" in error.message
    assert [] == answers.asked


def test_a_metadata_document_comes_before_registration() -> None:
    """Where the server takes them, the document's URL is the client_id, and the client is public (A43, A63)."""
    answers = Answers()

    client = registered(answers, server(client_id_metadata_document_supported=True), client_metadata_url=DOCUMENT)

    assert Registration(issuer=AS, client_id=DOCUMENT, source="metadata_document", redirect_uris=(CALLBACK,)) == client
    assert [] == answers.asked


def test_a_server_that_takes_no_documents_registers_the_client() -> None:
    """The document is no use there; dynamic registration is the fallback."""
    answers = Answers({REGISTER: json_answer({"client_id": "new"}, 201)})

    client = registered(answers, client_metadata_url=DOCUMENT)

    assert ("new", "dynamic") == (client.client_id, client.source)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/client.json",
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/a/../client.json",
        "https://app.example.com/./client.json",
        "https://app.example.com/client.json#x",
        "https://user@app.example.com/client.json",
        "client.json",
    ],
)
def test_a_document_url_has_the_form_of_a_client_identifier(url: str) -> None:
    """It is https and has a path, without dot segments, fragment or user information (A44)."""
    takes_documents = server(client_id_metadata_document_supported=True)

    error = refused(ConfigurationError, Answers(), takes_documents, client_metadata_url=url)

    assert error.message.startswith("auth.client_metadata_url: ")


@pytest.mark.parametrize(
    ("takes_documents", "url", "why"),
    [
        (False, None, "takes no client ID metadata documents"),
        (False, DOCUMENT, "takes no client ID metadata documents"),
        (True, None, "no client_metadata_url is set"),
    ],
)
def test_where_there_is_no_way_the_person_is_told_what_to_register(
    takes_documents: bool, url: str | None, why: str
) -> None:
    """The message says what is missing; the hint has the issuer, the redirect URI and the command (S75)."""
    at = server(registration_endpoint=None, client_id_metadata_document_supported=takes_documents)

    error = refused(ConfigurationError, Answers(), at, client_metadata_url=url, server_name="linear")

    assert f"{AS}: has no registration_endpoint, and {why}" == error.message
    assert (
        f"register a client with {AS} with redirect URI {CALLBACK}, "
        "then run: mcpvault set linear auth.client_id CLIENT_ID"
    ) == error.hint
    assert "linear" == error.server


# What is asked for


def test_the_client_metadata() -> None:
    """Name, redirect URIs, grants, application type, scope and software; the client is public (A46, A48, A50)."""
    answers = Answers({REGISTER: json_answer({"client_id": "new"}, 201)})

    registered(answers)

    assert [
        {
            "client_name": "mcpvault",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "scope": "a b",
            "software_id": "mcpvault",
            "software_version": "1.2.3",
        }
    ] == sent(answers)


def test_the_request_is_a_post_of_json_without_credential() -> None:
    """Open registration (RFC 7591 §3.1): nothing proves anything yet."""
    answers = Answers({REGISTER: json_answer({"client_id": "new"}, 201)})

    registered(answers)

    (ask,) = answers.asked
    assert ("POST", REGISTER, "client registration", True) == (ask.method, ask.url, ask.purpose, ask.discovered)
    assert {"Accept": "application/json", "Content-Type": "application/json"} == dict(ask.headers)


def test_what_is_not_wanted_is_not_said() -> None:
    """No scope, no redirect: the members are absent or empty."""
    answers = Answers({REGISTER: json_answer({"client_id": "new"}, 201)})

    registered(
        answers,
        scope=None,
        redirect_uris=(),
        grant_types=("urn:ietf:params:oauth:grant-type:device_code", "refresh_token"),
    )

    (told,) = sent(answers)
    assert "scope" not in told
    assert ([], []) == (told["redirect_uris"], told["response_types"])


@pytest.mark.parametrize(
    ("supported", "expected"),
    [
        (None, "none"),
        (("client_secret_basic", "none"), "none"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("private_key_jwt", "client_secret_post"), "client_secret_post"),
    ],
)
def test_the_client_authentication_is_the_least_that_the_server_supports(
    supported: tuple[str, ...] | None, expected: str
) -> None:
    """None at all, else Basic, else the body; whoever lists nothing is asked for none."""
    answers = Answers({REGISTER: json_answer({"client_id": "new", "client_secret": "s3cret-value"}, 201)})

    client = registered(answers, server(token_endpoint_auth_methods_supported=supported))

    assert expected == sent(answers)[0]["token_endpoint_auth_method"]
    if supported is not None:
        assert expected == client.token_endpoint_auth_method


@pytest.mark.parametrize("supported", [(), ("private_key_jwt", "tls_client_auth")])
def test_a_server_that_wants_keys_registers_no_client_by_itself(supported: tuple[str, ...]) -> None:
    """A key has to be registered by hand; nothing is asked."""
    answers = Answers()

    error = refused(ConfigurationError, answers, server(token_endpoint_auth_methods_supported=supported))

    assert "auth.client_id" in (error.hint or "")
    assert [] == answers.asked


@pytest.mark.parametrize("code", ["invalid_redirect_uri", "invalid_client_metadata"])
def test_a_refusal_is_answered_with_the_other_application_type(code: str) -> None:
    """MCP: clients MAY retry registration with an adjusted application_type, here once (A49)."""

    class Picky(Answers):
        def __call__(self, ask: Any) -> Answer:
            super().__call__(ask)
            web = json.loads(ask.body)["application_type"] == "web"
            return json_answer({"client_id": "new"}, 201) if web else json_answer({"error": code}, 400)

    answers = Picky()

    assert "new" == registered(answers).client_id
    first, second = sent(answers)
    assert ("native", "web") == (first.pop("application_type"), second.pop("application_type"))
    assert first == second


def test_a_refusal_for_another_reason_is_final() -> None:
    """Only constraints on the metadata are worth a second attempt."""
    answers = Answers({REGISTER: json_answer({"error": "unapproved_software_statement"}, 400)})

    with pytest.raises(McpVaultError):
        registered(answers)

    assert 1 == len(answers.asked)


# Afterwards


@pytest.mark.parametrize(("expires_at", "now", "expected"), [(0, 9e9, False), (100, 99.9, False), (100, 100.0, True)])
def test_a_clients_secret_may_expire(expires_at: int, now: float, expected: bool) -> None:
    """RFC 7591 §3.2.1: Unix seconds, 0 for never."""
    assert expected is expired(OURS.replaced(client_secret_expires_at=expires_at), now)


def test_a_dynamic_client_can_be_deleted() -> None:
    """RFC 7592 §2.3: DELETE at the client's own URI, with the token that came with it."""
    client = Registration(
        issuer=AS,
        client_id="new",
        source="dynamic",
        registration_client_uri=f"{REGISTER}/new",
        registration_access_token=Secret("reg-23410913-abewfq.123483"),
    )

    ask = deletion(client)

    assert ask is not None
    assert ("DELETE", f"{REGISTER}/new", None) == (ask.method, ask.url, ask.body)
    assert {"Authorization": "Bearer reg-23410913-abewfq.123483"} == dict(ask.headers)
    assert "abewfq" not in repr(ask)
    assert deletion(client.replaced(registration_client_uri=None)) is None
    assert deletion(OURS) is None
