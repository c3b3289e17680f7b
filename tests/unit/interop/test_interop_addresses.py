"""The address of a foreign server: what of it can stand in a vault, and what the source keeps."""

from __future__ import annotations

import pytest
from interop_samples import RANDOM, TOKEN, one, said, sealed, told


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (" https://a.example/mcp ", "https://a.example/mcp"),
        ("https://a.example/${PATH_PART}/mcp", "https://a.example/${env:PATH_PART}/mcp"),
        ("https://a.example/mcp?region=eu", "https://a.example/mcp?region=eu"),
        ("https://a.example/mcp?key=${KEY}", "https://a.example/mcp?key=${env:KEY}"),
        ("http://localhost:8000/mcp", "http://localhost:8000/mcp"),
        ("http://127.0.0.1/mcp", "http://127.0.0.1/mcp"),
        ("http://[::1]:80/mcp", "http://[::1]:80/mcp"),
        ("HTTPS://A.example/mcp", "HTTPS://A.example/mcp"),
    ],
)
def test_an_address_comes_in(url: str, expected: str) -> None:
    """References in path and query stay, loopback needs nothing."""
    entry = one({"url": url})

    assert (expected, (), False) == (entry.tree["url"], entry.todo, entry.kept_back)


def test_plain_http_is_a_task() -> None:
    """Somebody has to mean it."""
    assert told(one({"url": "http://a.example/mcp"}).todo, "mcpvault set s allow_http true")


def test_a_fragment_is_told() -> None:
    """It was never sent."""
    entry = one({"url": "https://a.example/mcp#top"})

    assert ("https://a.example/mcp", True) == (entry.tree["url"], told(entry.losses, "fragment"))


def test_name_and_password_in_an_address() -> None:
    """They become Basic authentication; escapes are undone."""
    entry = one({"url": " https://al%40ice:pass%3Aword@a.example/mcp"})

    assert "https://a.example/mcp" == entry.tree["url"]
    assert {"kind": "basic", "username": "al@ice"} == entry.tree["auth"]
    assert {"auth.password": "pass:word"} == sealed(entry)
    assert not entry.kept_back


@pytest.mark.parametrize("user", [TOKEN, f"{TOKEN}:", f":{TOKEN}"])
def test_half_a_login_in_an_address_is_kept_back(user: str) -> None:
    """It may be a token: it is told, taken out, and the source keeps it."""
    entry = one({"url": f"https://{user}@a.example/mcp"})

    assert "https://a.example/mcp" == entry.tree["url"]
    assert entry.kept_back
    assert told(entry.losses, "url: ")
    assert told(entry.todo, "mcpvault set s auth.token --stdin")
    assert TOKEN not in said(entry)


@pytest.mark.parametrize(
    ("url", "expected", "name"),
    [
        (f"https://a.example/mcp?api_key={TOKEN}&x=1", "https://a.example/mcp?api_key=${env:API_KEY}&x=1", "API_KEY"),
        ("https://a.example/mcp?token=short", "https://a.example/mcp?token=${env:TOKEN}", "TOKEN"),
        (f"https://a.example/mcp?x={RANDOM}", "https://a.example/mcp?x=${env:X}", "X"),
        (f"https://a.example/{RANDOM}/mcp", "https://a.example/${env:S_URL}/mcp", "S_URL"),
        (f"https://a.example/${{P:-{TOKEN}}}/mcp", "https://a.example/${env:S_URL}/mcp", "S_URL"),
        (f"https://a.example/mcp?x=${{Y:-{RANDOM}}}", "https://a.example/mcp?x=${env:X}", "X"),
    ],
    ids=["query", "query by name", "query by looks", "path", "default in path", "default in query"],
)
def test_a_secret_in_an_address_is_kept_back(url: str, expected: str, name: str) -> None:
    """No field can hold it: a variable takes its place, the source keeps it."""
    entry = one({"url": url})

    assert expected == entry.tree["url"]
    assert entry.kept_back
    assert name in entry.references
    assert told(entry.todo, f"set {name} where mcpvault runs")
    assert [] == [secret for secret in (TOKEN, RANDOM) if secret in said(entry)]
