"""The search for an authorization server's metadata, and the choice between several servers."""

from __future__ import annotations

from typing import Any

import pytest
from oauth_answers import (
    AS,
    AT_PATH,
    AT_ROOT,
    HTML,
    MCP,
    OPENID,
    RFC8414,
    Answers,
    discovered,
    json_answer,
    refused,
    resource_document,
    server_document,
)

from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    IssuerMismatchError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.discovery import discover, metadata_of
from mcpvault.oauth.wire import Answer, Ask, drive

RESOURCE = json_answer(resource_document())
SERVER = json_answer(server_document())


@pytest.mark.parametrize(
    ("issuer", "place"),
    [
        (AS, RFC8414),
        (AS, OPENID),
        (f"{AS}/t1", f"{RFC8414}/t1"),
        (f"{AS}/t1", f"{OPENID}/t1"),
        (f"{AS}/t1", f"{AS}/t1/.well-known/openid-configuration"),
        (f"{AS}/", RFC8414),
    ],
)
def test_an_issuer_is_found_wherever_it_is_published(issuer: str, place: str) -> None:
    """Both kinds of document at each of their places, in the order of the specification (A30–A32)."""
    resource = json_answer(resource_document(authorization_servers=[issuer]))
    answers = Answers({AT_PATH: resource, place: json_answer(server_document(issuer))})

    assert issuer == discovered(answers).server.issuer
    assert place == answers.urls[-1]
    assert f"{AS}/.well-known/oauth-authorization-server" not in answers.urls[1:] or not issuer.endswith("t1")


def test_another_issuers_document_is_passed_over() -> None:
    """What names another issuer is not used; the next place may be right."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: json_answer(server_document(f"{AS}/")), OPENID: SERVER})

    assert AS == discovered(answers).server.issuer


def test_if_only_another_issuer_is_found_the_search_ends() -> None:
    """A mismatch weighs more than what is not there, and nothing is asked of the endpoints (A34)."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: json_answer(server_document("https://attacker.example.com"))})

    error = refused(IssuerMismatchError, answers)

    assert "'https://attacker.example.com', expected 'https://as.example'" in error.message
    assert "auth.issuer" in (error.hint or "")
    assert [AT_PATH, RFC8414, OPENID] == answers.urls


def test_an_outage_of_one_document_does_not_hide_the_other() -> None:
    """All documents name one issuer, so the next is as good; gateways answer 502 for what they do not route."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: Answer(status=502), OPENID: SERVER})

    assert AS == discovered(answers).server.issuer


def test_an_outage_weighs_more_than_all_else() -> None:
    """Where one place is out, the others' faults prove nothing: try again."""
    attacker = json_answer(server_document("https://attacker.example.com"))
    answers = Answers({AT_PATH: RESOURCE, RFC8414: attacker, OPENID: Answer(status=503)})

    assert f"{OPENID}: the server answered 503" == refused(ServerUnavailableError, answers).message


def test_no_metadata_is_told_with_what_each_place_said() -> None:
    """The message is a list that somebody can act on."""
    answers = Answers({AT_PATH: RESOURCE, OPENID: HTML})

    error = refused(RemoteProtocolError, answers)

    assert (
        f"no usable authorization server metadata: {RFC8414}: the server answered 404; "
        f"{OPENID}: the authorization server metadata is not a JSON object"
    ) == error.message


@pytest.mark.parametrize(
    "resource", [resource_document(), resource_document(authorization_servers=["javascript:alert(1)"])]
)
def test_no_pin_is_advised_where_the_resource_names_an_issuer(resource: dict[str, Any]) -> None:
    """A pin of another one would be refused (A62): the hint is for those who can mend it."""
    error = refused(RemoteProtocolError, Answers({AT_PATH: json_answer(resource)}))

    assert "tell who runs the server, whose metadata name this authorization server" == error.hint
    pinned = refused(RemoteProtocolError, Answers({AT_PATH: RESOURCE}), issuer=AS)
    assert "see whether the entry has the right issuer" in (pinned.hint or "")


def test_a_document_that_declares_pkce_is_preferred() -> None:
    """Where RFC 8414's says nothing, OpenID's may (A72); the entry can waive it."""
    silent = json_answer(server_document(code_challenge_methods_supported=None, scopes_supported=["silent"]))
    answers = Answers({AT_PATH: RESOURCE, RFC8414: silent, OPENID: SERVER})

    assert ("S256",) == discovered(answers).server.code_challenge_methods_supported
    assert ("silent",) == discovered(answers, assume_pkce_s256=True).server.scopes_supported


def test_where_no_document_declares_pkce_the_first_is_returned() -> None:
    """Grants without a redirect need none; who needs it refuses later."""
    first = json_answer(server_document(code_challenge_methods_supported=None, scopes_supported=["first"]))
    second = json_answer(server_document(code_challenge_methods_supported=None))

    server = discovered(Answers({AT_PATH: RESOURCE, RFC8414: first, OPENID: second})).server

    assert (None, ("first",)) == (server.code_challenge_methods_supported, server.scopes_supported)


def test_a_configured_issuer_has_its_metadata_too() -> None:
    """An identity provider is found without any resource; PKCE is no matter there, and its URL no discovery."""
    answers = Answers({OPENID: json_answer(server_document(code_challenge_methods_supported=None))})

    assert AS == drive(metadata_of(AS), answers).issuer
    assert [(RFC8414, False), (OPENID, False)] == [(ask.url, ask.discovered) for ask in answers.asked]
    with pytest.raises(ConfigurationError):
        drive(metadata_of("http://as.example"), answers)


def test_what_the_network_raises_comes_through() -> None:
    """No connection is no answer: the flow guesses nothing."""

    def send(ask: Ask) -> Answer:
        if ask.url == AT_PATH:
            return RESOURCE
        raise ConnectFailedError("https://as.example: no route")

    with pytest.raises(ConnectFailedError):
        drive(discover(MCP, challenge=None), send)


# Which one


def test_of_several_authorization_servers_the_first_is_taken() -> None:
    """RFC 9728 §7.6 leaves the choice to the client (A23)."""
    resource = json_answer(resource_document(authorization_servers=[AS, "https://second.example"]))

    assert AS == discovered(Answers({AT_PATH: resource, RFC8414: SERVER})).server.issuer


def test_of_several_authorization_servers_the_pinned_one_is_taken() -> None:
    """The entry's choice stands."""
    resource = json_answer(resource_document(authorization_servers=["https://first.example", AS]))

    assert AS == discovered(Answers({AT_PATH: resource, RFC8414: SERVER}), issuer=AS).server.issuer


def test_a_server_that_has_moved_away_from_the_pinned_issuer_is_an_error() -> None:
    """Credentials of one are not tried on another, and neither is asked (A62)."""
    resource = json_answer(resource_document(authorization_servers=["https://new.example"]))
    answers = Answers({AT_PATH: resource, RFC8414: SERVER})

    error = refused(IssuerMismatchError, answers, issuer=AS)

    assert (
        "the server's authorization server is 'https://new.example', the entry's 'https://as.example'" == error.message
    )
    assert [AT_PATH] == answers.urls


def test_a_pin_mends_a_slash() -> None:
    """The resource says one thing, the authorization server the other: the pinned string is used and compared (A35)."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: json_answer(server_document(f"{AS}/"))})

    refused(IssuerMismatchError, answers)

    assert f"{AS}/" == discovered(answers, issuer=f"{AS}/").server.issuer


@pytest.mark.parametrize("answer", [Answer(status=404), Answer(status=401), HTML], ids=["404", "401", "HTML"])
def test_a_pinned_issuer_needs_no_metadata_of_the_resource(answer: Answer) -> None:
    """Where there is none, "use pre-configured values": the resource is then the endpoint's own URL (A22)."""
    answers = Answers({AT_PATH: answer, AT_ROOT: answer, RFC8414: SERVER})

    discovery = discovered(answers, issuer=AS, server_url=f"{MCP}?key=s3cret")

    assert (MCP, AS, None) == (discovery.resource, discovery.server.issuer, discovery.scopes_supported)


def test_a_pinned_issuer_does_not_survive_an_outage() -> None:
    """What the resource would have said is not known, so it is not passed over."""
    refused(ServerUnavailableError, Answers({AT_PATH: Answer(status=503), RFC8414: SERVER}), issuer=AS)


@pytest.mark.parametrize(
    "issuer", ["http://as.example", f"{AS}?tenant=1", f"{AS}#x", "https://u:p@as.example", "ftp://as.example", ""]
)
def test_what_is_no_issuer_is_refused(issuer: str) -> None:
    """RFC 8414 §2: an https URL without query and fragment, whoever names it."""
    resource = json_answer(resource_document(authorization_servers=[issuer]))
    answers = Answers({AT_PATH: resource})

    assert "authorization server " in refused(RemoteProtocolError, answers).message
    assert [AT_PATH] == answers.urls

    assert refused(ConfigurationError, Answers(), issuer=issuer).message.startswith("auth.issuer: ")


def test_a_resource_without_authorization_servers_needs_a_pin() -> None:
    """MCP requires at least one; an entry may know better."""
    answers = Answers({AT_PATH: json_answer(resource_document(authorization_servers=[])), RFC8414: SERVER})

    assert "auth.issuer" in (refused(RemoteProtocolError, answers).hint or "")
    assert AS == discovered(answers, issuer=AS).server.issuer


def test_an_entry_may_allow_plain_http() -> None:
    """``allow_http`` holds for what is discovered too."""
    lab = "http://as.lab"
    answers = Answers(
        {
            "http://mcp.lab/.well-known/oauth-protected-resource/mcp": json_answer(
                {"resource": "http://mcp.lab/mcp", "authorization_servers": [lab]}
            ),
            f"{lab}/.well-known/oauth-authorization-server": json_answer(
                {"issuer": lab, "token_endpoint": f"{lab}/token"}
            ),
        }
    )

    assert lab == discovered(answers, server_url="http://mcp.lab/mcp", allow_http=True).server.issuer
    refused(RemoteProtocolError, answers, server_url="http://mcp.lab/mcp")
