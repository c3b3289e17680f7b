"""What an authorization server answers to a registration, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from oauth_answers import AS, HTML, Answers, json_answer
from registration_peers import CALLBACK, REGISTER, refused, registered, server

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.tokens import Registration

SECRET = "cf136dc3c1fc93f31185e5885805d"  # RFC 7591 §3.2.1


def answering(status: int = 201, **told: Any) -> Answers:
    """Return a server that registers the client ``new`` with these members; None leaves one out."""
    members = {name: value for name, value in {"client_id": "new", **told}.items() if value is not None}
    return Answers({REGISTER: json_answer(members, status)})


def test_the_answer_of_the_rfc_is_read() -> None:
    """RFC 7591 §3.2.1's example, with RFC 7592's members: all is kept, under the issuer that was asked (A60)."""
    client = registered(
        answering(
            client_id="s6BhdRkqt3",
            client_secret=SECRET,
            client_id_issued_at=2893256800,
            client_secret_expires_at=2893276800,
            redirect_uris=["https://client.example.org/callback", "https://client.example.org/callback2"],
            grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method="client_secret_basic",
            registration_client_uri=f"{REGISTER}/s6BhdRkqt3",
            registration_access_token="reg-23410913-abewfq.123483",
            issuer="https://evil.example.com",
        )
    )

    assert (
        Registration(
            issuer=AS,
            client_id="s6BhdRkqt3",
            source="dynamic",
            token_endpoint_auth_method="client_secret_basic",
            client_secret=Secret(SECRET),
            client_secret_expires_at=2893276800,
            redirect_uris=("https://client.example.org/callback", "https://client.example.org/callback2"),
            scope="a b",
            granted_scope="a b",
            registration_client_uri=f"{REGISTER}/s6BhdRkqt3",
            registration_access_token=Secret("reg-23410913-abewfq.123483"),
        ).fields()
        == client.fields()
    )


@pytest.mark.parametrize("status", [200, 201])
def test_a_short_answer_means_as_requested(status: int) -> None:
    """Some servers answer 200, and repeat nothing."""
    expected = Registration(
        issuer=AS, client_id="new", source="dynamic", redirect_uris=(CALLBACK,), scope="a b", granted_scope="a b"
    )
    odd = {"redirect_uris": [], "token_endpoint_auth_method": 1, "client_secret": "", "scope": " "}

    assert expected == registered(answering(status))
    assert expected == registered(answering(status, **odd))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_substituted_method_is_obeyed(method: str) -> None:
    """RFC 7591 §3.2.1: the server MAY replace what was requested; it asked for a secret and gave one."""
    client = registered(answering(token_endpoint_auth_method=method, client_secret=SECRET))

    assert (method, Secret(SECRET)) == (client.token_endpoint_auth_method, client.client_secret)


@pytest.mark.parametrize("said", ["b  c", ["b", "c"]], ids=["text", "list"])
def test_a_substituted_scope_is_kept_beside_what_was_requested(said: object) -> None:
    """RFC 7591 §3.2.1: what the server made of it decides what the client may ask for; some servers send a list."""
    client = registered(answering(scope=said))

    assert ("a b", "b c") == (client.scope, client.granted_scope)
    assert "b" == registered(answering(scope="b"), scope=None).granted_scope


def test_a_secret_without_a_use_is_not_kept() -> None:
    """A public client has none, whatever came along."""
    client = registered(
        answering(token_endpoint_auth_method="none", client_secret=SECRET, client_secret_expires_at=2893276800)
    )

    assert ("none", None, 0) == (
        client.token_endpoint_auth_method,
        client.client_secret,
        client.client_secret_expires_at,
    )


@pytest.mark.parametrize(
    ("supported", "expected"),
    [(None, "client_secret_basic"), (("none",), "none"), (("client_secret_post",), "client_secret_post")],
)
def test_a_secret_without_a_method(supported: tuple[str, ...] | None, expected: str) -> None:
    """It is for the default method, unless server and client agreed on another by metadata and request."""
    at = server(token_endpoint_auth_methods_supported=supported)

    client = registered(answering(client_secret=SECRET), at)

    assert (expected, expected != "none") == (client.token_endpoint_auth_method, client.client_secret is not None)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"client_id": None}, "the answer holds no client_id"),
        ({"client_id": ""}, "the answer holds no client_id"),
        ({"client_id": 7}, "the answer holds no client_id"),
        ({"client_id": "line\nbreak"}, "the answer holds no client_id"),
        (
            {"token_endpoint_auth_method": "client_secret_basic"},
            "the client was registered for client_secret_basic, and was given no client_secret",
        ),
        (
            {"token_endpoint_auth_method": "client_secret_post", "client_secret": ""},
            "the client was registered for client_secret_post, and was given no client_secret",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "client_secret": SECRET},
            "the client was registered for 'private_key_jwt', which it cannot do",
        ),
    ],
)
def test_a_client_that_cannot_be_used_is_refused(told: dict[str, Any], what: str) -> None:
    """It is judged now, and not at the token endpoint after a person has logged in (A50)."""
    error = refused(RemoteProtocolError, answering(**told), server_name="linear")

    assert f"{REGISTER}: client registration: {what}" == error.message
    assert ("linear", True) == (error.server, "mcpvault set linear auth.client_id" in (error.hint or ""))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        *[(None, 0), (0, 0), (1800000000, 1800000000), (1800000000.9, 1800000000), ("1800000000", 1800000000)],
        *[(-1, 0), ("soon", 0), ([], 0), (1e300, 0), (10**400, 0), ("9" * 400, 0), (True, 0), ("²", 0)],
    ],
)
def test_an_expiry_is_read_as_far_as_it_makes_sense(told: object, expected: int) -> None:
    """Text and fractions are understood; what is no moment means never."""
    client = registered(
        answering(token_endpoint_auth_method="client_secret_basic", client_secret=SECRET, client_secret_expires_at=told)
    )

    assert expected == client.client_secret_expires_at


@pytest.mark.parametrize(
    "told",
    [
        {"registration_client_uri": f"{REGISTER}/new"},
        {"registration_access_token": "reg-23410913"},
        {"registration_client_uri": "http://as.example/register/new", "registration_access_token": "reg-23410913"},
        {"registration_client_uri": "/register/new", "registration_access_token": "reg-23410913"},
        {"registration_client_uri": f"{REGISTER}/new", "registration_access_token": "line\r\nbreak"},
        {"registration_client_uri": 1, "registration_access_token": ["reg"]},
    ],
)
def test_half_of_what_manages_a_client_is_none_of_it(told: dict[str, Any]) -> None:
    """RFC 7592 needs the URI and the token, both fit to be sent."""
    client = registered(answering(**told))

    assert (None, None) == (client.registration_client_uri, client.registration_access_token)


# Refusals


def test_a_refusal_is_shown_with_its_reason() -> None:
    """Code and description are quoted, cleaned and cut; the hint says how to do without (A49)."""
    told = {"error": "invalid_redirect_uri", "error_description": "no\n\x1b[31mloopback " + "x" * 1000}
    answers = Answers({REGISTER: json_answer(told, 400)})

    error = refused(AuthorizationFailedError, answers, server_name="linear")

    assert isinstance(error, AuthorizationFailedError)
    assert "invalid_redirect_uri" == error.error
    assert error.message.startswith(f"{REGISTER}: client registration: ")
    assert "'invalid_redirect_uri'" in error.message
    assert "no [31mloopback xxx" in error.message
    assert len(error.message) < 500
    assert f"redirect URI {CALLBACK}" in (error.hint or "")
    assert 2 == len(answers.asked)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_without_a_reason_is_shown_with_its_status(status: int) -> None:
    """A page of HTML is not quoted."""
    error = refused(AuthorizationFailedError, Answers({REGISTER: HTML.replaced(status=status)}))

    assert f"{REGISTER}: client registration: the authorization server answered {status}" == error.message


@pytest.mark.parametrize("answer", [Answer(status=302), Answer(status=204), Answer(status=201, body=b"[]"), HTML])
def test_an_answer_that_registers_nothing_is_an_error(answer: Answer) -> None:
    """Redirects are not followed, and 201 without a client is none."""
    refused(RemoteProtocolError, Answers({REGISTER: answer}))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_is_told_apart(status: int) -> None:
    """Whoever did not decide may be asked again."""
    answers = Answers({REGISTER: Answer(status=status, headers={"retry-after": "30"})})

    error = refused(ServerUnavailableError, answers, server_name="linear")

    assert (30.0, "try again later", "linear") == (error.retry_after, error.hint, error.server)


def test_the_first_refusal_is_told_if_the_second_attempt_fails_otherwise() -> None:
    """It is the answer to what was meant."""

    class Failing(Answers):
        def __call__(self, ask: Any) -> Answer:
            super().__call__(ask)
            refusal = json_answer({"error": "invalid_client_metadata", "error_description": "the reason"}, 400)
            return refusal if len(self.asked) == 1 else Answer(status=500)

    assert "the reason" in refused(AuthorizationFailedError, Failing()).message


@pytest.mark.parametrize("status", [404, 405, 410])
def test_a_default_endpoint_that_is_not_there_is_no_endpoint(status: int) -> None:
    """For a server of 2025-03-26 ``/register`` was only assumed."""
    answers = Answers({REGISTER: Answer(status=status)})

    error = refused(ConfigurationError, answers, server(assumed=True))

    assert f"{AS}: has no registration endpoint" == error.message
    assert "auth.client_id" in (error.hint or "")


def test_no_frame_of_a_failure_holds_the_secret() -> None:
    """A traceback with locals, as some crash reporters send them, shows no secret of the answer."""
    answers = answering(token_endpoint_auth_method="private_key_jwt", client_secret=SECRET)
    seen = []

    try:
        registered(answers)
    except McpVaultError as error:
        frame = error.__traceback__
        while frame is not None:
            seen.append(repr(frame.tb_frame.f_locals))
            frame = frame.tb_next

    assert len(seen) > 2
    assert not any(SECRET in text for text in seen)
    assert SECRET not in repr(
        registered(answering(token_endpoint_auth_method="client_secret_basic", client_secret=SECRET))
    )
