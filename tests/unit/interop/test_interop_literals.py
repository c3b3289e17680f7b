"""What counts as a secret in a foreign file."""

from __future__ import annotations

import pytest
from interop_samples import RANDOM, TOKEN

from mcpvault.interop import literals

HEX = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(
    "text",
    [TOKEN, f"Bearer {TOKEN}", "sk-proj-abcdefgh12345678", "xoxb-123456789012", "lin_api_abcdefgh", "hf_abcdefghij",
     "AKIAIOSFODNN7EXAMPLE", "npm_abcdefghij", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", RANDOM, HEX, f"key:{RANDOM}",
     "https://user:pass-word@host.example", "-----BEGIN PRIVATE KEY-----"],
)  # fmt: skip
def test_these_show_that_they_are_secret(text: str) -> None:
    """Whatever their name: a known prefix, or too much chance."""
    assert literals.shows_secret(text)


@pytest.mark.parametrize(
    "text",
    ["", "2024-01-01", "application/json", "production", "https://api.example.com/v1/mcp",
     "my-server-name-is-long-enough",
     "@modelcontextprotocol/server-filesystem", "aaaaaaaaaaaaaaaaaaaaaaaa1", "/home/alice/projects/number1/src",
     f"sha256:{HEX}{HEX}", "ThisIsAVeryLongCamelCaseWordWithoutDigits", "12345678901234567890"],
)  # fmt: skip
def test_these_do_not(text: str) -> None:
    """Versions, words, paths, digests."""
    assert not literals.shows_secret(text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("API_KEY", "short", True),
        ("X-Api-Key", "x", True),
        ("API_KEY", "", False),
        ("REGION", "eu-west-1", False),
        ("REGION", TOKEN, True),
        ("KEY_FILE", "/etc/key", False),
    ],
)
def test_a_name_can_make_a_secret(name: str, text: str, expected: bool) -> None:
    """Any text under a telling name is one, unless it is empty."""
    assert expected == literals.is_secret(name, text)


@pytest.mark.parametrize(
    ("flag", "text", "called"),
    [
        ("--api-key", "long-enough", ("api-key", "")),
        ("--api-key", "short", None),
        ("--root", "/srv/something", None),
        (None, "--token=long-enough", ("token", "--token=")),
        (None, "API_KEY=long-enough", ("API_KEY", "API_KEY=")),
        (None, "Authorization: Bearer abc", ("Authorization", "Authorization: ")),
        ("--header", "X-Api-Key: long-enough", ("X-Api-Key", "X-Api-Key: ")),
        (None, "--root=/srv/something", None),
        (None, "--token=short", None),
        (None, TOKEN, ("argument", "")),
        (None, f"--any={TOKEN}", ("argument", "--any=")),
        (None, "https://h.example/?api_key=abc&x=1", ("api_key_url", "")),
        (None, "https://h.example/?x=1", None),
        (None, "https://h.example/?api_key=${X}", None),
        (None, "https://[bad/?api_key=abc", None),
        (None, "", None),
        ("--api-key", "", None),
    ],
)
def test_an_argument_that_holds_a_secret_has_a_name(
    flag: str | None, text: str, called: tuple[str, str] | None
) -> None:
    """From the option before it, from its own name, which is no part of the secret, or from its looks."""
    assert called == literals.secret_argument(flag, text)
