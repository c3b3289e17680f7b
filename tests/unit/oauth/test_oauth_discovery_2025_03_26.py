"""Servers of revision 2025-03-26: no metadata of the resource, the server's own origin instead."""

from __future__ import annotations

import pytest
from oauth_answers import (
    AS,
    AT_PATH,
    AT_ROOT,
    HTML,
    MCP,
    Answers,
    discovered,
    json_answer,
    refused,
    server_document,
)

from mcpvault.errors import (
    IssuerMismatchError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.challenge import bearer
from mcpvault.oauth.discovery import Discovery
from mcpvault.oauth.wire import Answer
from mcpvault.tokens import AuthorizationServer

LEGACY = "https://mcp.example/.well-known/oauth-authorization-server"
SERVER = json_answer(server_document())


def test_a_server_of_2025_03_26_is_its_own_authorization_server() -> None:
    """All 404: the metadata is at the origin, and no resource is named."""
    answers = Answers({LEGACY: json_answer(server_document("https://mcp.example"))})

    discovery = discovered(answers, challenge=bearer('Bearer scope="a"'))

    assert [AT_PATH, AT_ROOT, LEGACY] == answers.urls
    assert Discovery(server=discovery.server, challenge_scope="a") == discovery
    assert ("https://mcp.example", f"{AS}/token", False) == (
        discovery.server.issuer,
        discovery.server.token_endpoint,
        discovery.server.assumed,
    )


def test_a_server_of_2025_03_26_without_metadata_has_default_endpoints() -> None:
    """``/authorize``, ``/token`` and ``/register`` below the origin, the path discarded."""
    assert Discovery(
        server=AuthorizationServer(
            issuer="https://mcp.example",
            authorization_endpoint="https://mcp.example/authorize",
            token_endpoint="https://mcp.example/token",
            registration_endpoint="https://mcp.example/register",
            assumed=True,
        )
    ) == discovered(Answers(), server_url="https://MCP.example/v1/mcp?key=s3cret")


def test_a_pinned_resource_is_sent_to_a_server_of_2025_03_26_too() -> None:
    """What the entry says, it means."""
    assert MCP == discovered(Answers(), resource=MCP).resource


def test_an_origin_may_write_itself_with_a_slash() -> None:
    """Nobody named an issuer, so both spellings that are published there are good, and no other."""
    assert (
        "https://mcp.example/"
        == discovered(Answers({LEGACY: json_answer(server_document("https://mcp.example/"))})).server.issuer
    )

    error = refused(IssuerMismatchError, Answers({LEGACY: SERVER}))
    assert "'https://as.example', expected 'https://mcp.example'" in error.message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=500), ServerUnavailableError),
        (Answer(status=429), ServerUnavailableError),
        (Answer(status=401), RemoteProtocolError),
        (HTML, RemoteProtocolError),
    ],
)
def test_default_endpoints_are_only_for_what_is_not_there(answer: Answer, kind: type[McpVaultError]) -> None:
    """Any other answer at the origin is an error."""
    refused(kind, Answers({LEGACY: answer}))


@pytest.mark.parametrize("answer", [Answer(status=401), Answer(status=403), HTML], ids=["401", "403", "HTML"])
def test_only_404_everywhere_means_2025_03_26(answer: Answer) -> None:
    """A server that answers otherwise is asked for nothing more, and the message says what it answered."""
    answers = Answers({AT_ROOT: answer, LEGACY: SERVER})

    error = refused(RemoteProtocolError, answers)

    assert error.message.startswith(
        f"no usable protected resource metadata: {AT_PATH}: the server answered 404; {AT_ROOT}: "
    )
    assert "auth.issuer" in (error.hint or "")
    assert LEGACY not in answers.urls
