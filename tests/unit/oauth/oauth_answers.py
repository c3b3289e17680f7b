"""A peer in memory: what each URL answers, and what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcpvault.errors import McpVaultError
from mcpvault.oauth.discovery import Discovery, discover
from mcpvault.oauth.wire import Answer, Ask, drive

AS = "https://as.example"
MCP = "https://mcp.example/mcp"
AT_PATH = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
AT_ROOT = "https://mcp.example/.well-known/oauth-protected-resource"
RFC8414 = "https://as.example/.well-known/oauth-authorization-server"
OPENID = "https://as.example/.well-known/openid-configuration"

NOT_FOUND = Answer(status=404, body=b"<html>nothing here</html>")
HTML = Answer(status=200, headers={"content-type": "text/html"}, body=b"<!doctype html><p>Welcome")


class Answers(dict[str, Answer]):
    """Every URL it does not know is 404; ``asked`` keeps the requests in their order."""

    def __init__(self, known: dict[str, Answer] | None = None) -> None:
        super().__init__(known or {})
        self.asked: list[Ask] = []

    def __call__(self, ask: Ask) -> Answer:
        """Carry *ask* out."""
        self.asked.append(ask)
        return self.get(ask.url, NOT_FOUND)

    @property
    def urls(self) -> list[str]:
        """The URLs that were asked for."""
        return [ask.url for ask in self.asked]


def json_answer(told: object, status: int = 200) -> Answer:
    """Return an answer that holds *told* as JSON."""
    return Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(told).encode())


def resource_document(**changes: Any) -> dict[str, Any]:
    """Return protected resource metadata; a change to None leaves the member out."""
    return _changed({"resource": MCP, "authorization_servers": [AS]}, changes)


def server_document(issuer: str = AS, **changes: Any) -> dict[str, Any]:
    """Return authorization server metadata; a change to None leaves the member out."""
    told = {
        "issuer": issuer,
        "authorization_endpoint": f"{AS}/authorize",
        "token_endpoint": f"{AS}/token",
        "registration_endpoint": f"{AS}/register",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }
    return _changed(told, changes)


def _changed(told: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**told, **changes}.items() if value is not None}


def discovered(answers: Answers, **settings: Any) -> Discovery:
    """Return what is discovered of ``MCP`` where *answers* is the network."""
    return drive(discover(settings.pop("server_url", MCP), **{"challenge": None, **settings}), answers)


def refused(kind: type[McpVaultError], answers: Answers, **settings: Any) -> McpVaultError:
    """Return the error of exactly *kind* that ends the discovery."""
    with pytest.raises(kind) as caught:
        discovered(answers, **settings)
    assert kind is type(caught.value)
    return caught.value
