"""The search for a resource's metadata, with a peer in memory that answers what it is told to."""

from __future__ import annotations

import pytest
from oauth_answers import (
    AS,
    AT_PATH,
    AT_ROOT,
    HTML,
    MCP,
    NOT_FOUND,
    RFC8414,
    Answers,
    discovered,
    json_answer,
    refused,
    resource_document,
    server_document,
)

from mcpvault.errors import (
    IssuerMismatchError,
    MessageTooLargeError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.challenge import Challenge, bearer
from mcpvault.oauth.discovery import discover
from mcpvault.oauth.wire import Answer, Ask, drive

ELSEWHERE = "https://mcp.example/custom/metadata/location.json"
LEGACY = "https://mcp.example/.well-known/oauth-authorization-server"
RESOURCE = json_answer(resource_document())
SERVER = json_answer(server_document())


def naming(url: str, **more: str) -> Challenge:
    """Return the challenge that names *url* as the place of the metadata."""
    parameters = "".join(f', {name}="{value}"' for name, value in more.items())
    challenge = bearer(f'Bearer resource_metadata="{url}"{parameters}')
    assert challenge is not None
    return challenge


def test_a_challenge_leads_straight_to_the_metadata() -> None:
    """What the challenge names is asked for first, and nothing else after it (A11)."""
    answers = Answers({ELSEWHERE: json_answer(resource_document(scopes_supported=["a", "b"])), RFC8414: SERVER})

    discovery = discovered(answers, challenge=naming(ELSEWHERE, scope="a"))

    assert [ELSEWHERE, RFC8414] == answers.urls
    assert (MCP, AS, ("a", "b"), "a") == (
        discovery.resource,
        discovery.server.issuer,
        discovery.scopes_supported,
        discovery.challenge_scope,
    )


def test_without_a_challenge_the_path_comes_before_the_root() -> None:
    """The root is not even asked where the path answers (A27)."""
    answers = Answers({AT_PATH: RESOURCE, AT_ROOT: RESOURCE, RFC8414: SERVER})

    assert AS == discovered(answers).server.issuer
    assert [AT_PATH, RFC8414] == answers.urls


@pytest.mark.parametrize(
    "missing",
    [
        Answer(status=404),
        Answer(status=410),
        Answer(status=401),
        Answer(status=405),
        Answer(status=302, headers={"location": "https://elsewhere.example/"}),
        Answer(status=204),
        HTML,
        json_answer(["no object"]),
        json_answer({"authorization_servers": [AS]}),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:12]!r}",
)
def test_what_is_not_there_leads_to_the_next_place(missing: Answer) -> None:
    """404, other refusals and documents that are none: the root is asked next."""
    root = json_answer(resource_document(resource="https://mcp.example"))
    answers = Answers({ELSEWHERE: missing, AT_PATH: missing, AT_ROOT: root, RFC8414: SERVER})

    discovery = discovered(answers, challenge=naming(ELSEWHERE))

    assert [ELSEWHERE, AT_PATH, AT_ROOT, RFC8414] == answers.urls
    assert "https://mcp.example" == discovery.resource


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("at", [ELSEWHERE, AT_PATH, AT_ROOT])
def test_an_outage_is_never_taken_for_no_metadata(status: int, at: str) -> None:
    """5xx and 429 end the search with the advice to come back (A25)."""
    answers = Answers({at: Answer(status=status, headers={"retry-after": "7"}), LEGACY: SERVER})

    error = refused(ServerUnavailableError, answers, challenge=naming(ELSEWHERE))

    assert f"{at}: the server answered {status}" == error.message
    assert 7.0 == error.retry_after
    assert at == answers.urls[-1]


@pytest.mark.parametrize("said", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "²", "9" * 400])
def test_an_odd_retry_after_is_none(said: str) -> None:
    """Only a number of seconds is understood; a date would need a clock."""
    answers = Answers({AT_PATH: Answer(status=503, headers={"retry-after": said})})

    assert refused(ServerUnavailableError, answers).retry_after is None


def test_a_document_that_the_carrier_refuses_is_no_document() -> None:
    """Too large, or broken HTTP: the next place is asked, and it is no sign of an old server."""
    asked = []

    def send(ask: Ask) -> Answer:
        asked.append(ask.url)
        if ask.url == AT_ROOT:
            return NOT_FOUND
        raise MessageTooLargeError(f"{ask.url}: larger than allowed")

    with pytest.raises(RemoteProtocolError) as caught:
        drive(discover(MCP, challenge=None), send)

    assert [AT_PATH, AT_ROOT] == asked
    assert f"{AT_PATH}: larger than allowed; {AT_ROOT}: the server answered 404" in caught.value.message


def test_metadata_for_another_resource_ends_the_search() -> None:
    """No later document may rescue it, and the authorization server that it names is not asked (A24)."""
    evil = json_answer(resource_document(resource="https://evil.example.com/mcp"))
    answers = Answers({AT_PATH: evil, AT_ROOT: RESOURCE, RFC8414: SERVER})

    refused(IssuerMismatchError, answers)

    assert [AT_PATH] == answers.urls


def test_a_strict_entry_refuses_the_origin() -> None:
    """``strict_resource`` reaches the judge."""
    answers = Answers({AT_ROOT: json_answer(resource_document(resource="https://mcp.example")), RFC8414: SERVER})

    assert "https://mcp.example" == discovered(answers).resource
    refused(IssuerMismatchError, answers, strict_resource=True)


def test_a_pinned_resource_is_sent() -> None:
    """The entry's string beats the document's."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: SERVER})

    assert "https://api.example/v1/" == discovered(answers, resource="https://api.example/v1/").resource


@pytest.mark.parametrize(
    "url",
    ["http://mcp.example/metadata", "https://u:p@mcp.example/m", "/relative", "file:///etc/passwd", "gopher://x/"],
)
def test_a_challenge_cannot_lead_just_anywhere(url: str) -> None:
    """A URL that nothing may be sent to is not fetched; the well-known places still are."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: SERVER})

    assert AS == discovered(answers, challenge=naming(url)).server.issuer
    assert [AT_PATH, RFC8414] == answers.urls


def test_a_challenge_that_leads_nowhere_is_no_sign_of_an_old_server() -> None:
    """Who names metadata has a newer revision than the one without any."""
    answers = Answers({LEGACY: json_answer(server_document("https://mcp.example"))})

    error = refused(RemoteProtocolError, answers, challenge=naming("http://mcp.example/metadata"))

    assert "http://mcp.example/metadata: plain http, and not loopback" in error.message
    assert LEGACY not in answers.urls


def test_requests_for_metadata_carry_nothing() -> None:
    """GET, no body, no credential; which URLs came out of an answer is told to whoever sends (A26)."""
    answers = Answers({"https://other.example/m": RESOURCE, RFC8414: SERVER})

    discovered(answers, challenge=naming("https://other.example/m"), server_url=f"{MCP}?key=s3cret")

    assert [("GET", None, {"Accept": "application/json"}, True)] * 2 == [
        (ask.method, ask.body, dict(ask.headers), ask.discovered) for ask in answers.asked
    ]
    assert ["protected resource metadata", "authorization server metadata"] == [ask.purpose for ask in answers.asked]


def test_the_servers_own_origin_is_not_discovered() -> None:
    """Only what leads away from the entry's own hosts is marked."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: SERVER})

    discovered(answers, issuer=AS)

    assert [(AT_PATH, False), (RFC8414, False)] == [(ask.url, ask.discovered) for ask in answers.asked]


def test_the_protocol_version_goes_along() -> None:
    """2025-03-26: clients SHOULD include the header during server metadata discovery."""
    answers = Answers({AT_PATH: RESOURCE, RFC8414: SERVER})

    discovered(answers, protocol_version="2025-03-26")

    assert {"2025-03-26"} == {ask.headers["MCP-Protocol-Version"] for ask in answers.asked}


def test_the_flow_is_a_generator_that_can_be_driven_by_hand() -> None:
    """It asks, is told, and returns; between the steps it holds nothing open."""
    flow = discover(MCP, challenge=None)

    assert AT_PATH == next(flow).url
    assert RFC8414 == flow.send(RESOURCE).url
    with pytest.raises(StopIteration) as end:
        flow.send(SERVER)
    assert AS == end.value.value.server.issuer
