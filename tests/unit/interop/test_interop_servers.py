"""One server table becomes an entry: what is sealed, what stays a reference, what is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interop_samples import RANDOM, TOKEN, URL, http, imported, said, sealed, skipped, told

# Headers and tokens


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_a_bearer_header_becomes_the_token(name: str, value: str) -> None:
    """Sealed, without the word in front."""
    entry = http(headers={name: value})

    assert ({"kind": "bearer"}, {"auth.token": TOKEN}) == (entry.tree["auth"], sealed(entry))
    assert "headers" not in entry.tree


def test_a_bearer_reference_stays_a_reference() -> None:
    """The variable is listed."""
    entry = http(headers={"Authorization": "Bearer ${TOKEN}"})

    assert {"kind": "bearer", "token": "${env:TOKEN}"} == entry.tree["auth"]
    assert (("TOKEN",), ()) == (entry.references, entry.secrets)


def test_a_basic_header_becomes_name_and_password() -> None:
    """Base64 is no secret keeping."""
    entry = http(headers={"Authorization": "Basic YWxpY2U6cGFzczp3b3Jk"})

    assert {"kind": "basic", "username": "alice"} == entry.tree["auth"]
    assert {"auth.password": "pass:word"} == sealed(entry)


@pytest.mark.parametrize(
    "value", ["Basic !!!", "Basic YWxpY2U=", "Basic /w==", "Token abc-def", "abc", "Bearer", "Basic"]
)
def test_another_authorization_is_sealed_whole(value: str) -> None:
    """Under its own name."""
    entry = http(headers={"Authorization": value})

    assert {"kind": "header", "name": "Authorization"} == entry.tree["auth"]
    assert {"auth.value": value} == sealed(entry)


def test_other_headers_by_name_and_by_looks() -> None:
    """A telling name or a telling text is sealed, anything else stays readable."""
    headers = {
        "X-Api-Key": "abc",
        "X-Odd": RANDOM,
        "X-Version": "2024-01-01",
        "X-Ref": "${REF}",
        "X-Count": 3,
        "X-On": True,
    }
    entry = http(headers=headers)

    assert {"headers.X-Api-Key": "abc", "headers.X-Odd": RANDOM} == sealed(entry)
    assert {"X-Version": "2024-01-01", "X-Ref": "${env:REF}", "X-Count": "3", "X-On": "true"} == entry.tree["headers"]


def test_a_secret_header_with_a_reference_stays_a_reference() -> None:
    """Little text beside it is no secret."""
    entry = http(headers={"X-Api-Key": "Key ${KEY}"})

    assert ({"X-Api-Key": "Key ${env:KEY}"}, ()) == (entry.tree["headers"], entry.secrets)


def test_a_secret_beside_a_reference_is_kept_back() -> None:
    """No field can hold half a secret: a variable takes the place of all, and the source keeps it."""
    entry = http(headers={"X-Api-Key": f"{TOKEN}-${{REST}}"})

    assert {"X-Api-Key": "${env:HEADERS_X_API_KEY}"} == entry.tree["headers"]
    assert entry.kept_back
    assert told(entry.todo, "headers.X-Api-Key", "HEADERS_X_API_KEY")
    assert told(entry.losses, "beside a reference")


def test_a_default_of_a_secret_is_kept_back() -> None:
    """``--move`` must not throw away the only copy."""
    entry = http(headers={"Authorization": f"Bearer ${{TOKEN:-{TOKEN}}}"})

    assert "${env:TOKEN}" == entry.tree["auth"]["token"]
    assert entry.kept_back
    assert told(entry.losses, "the default of ${TOKEN:-…} was left out")


def test_an_empty_header_is_told() -> None:
    """It says nothing."""
    entry = http(headers={"X-Api-Key": ""})

    assert ({"url": URL}, True) == (entry.tree, told(entry.losses, "headers.X-Api-Key: was empty"))


@pytest.mark.parametrize("name", ["Host", "content-length", "Accept", "User-Agent", "Mcp-Session-Id", "Connection"])
def test_headers_that_we_set_ourselves_are_told(name: str) -> None:
    """They are not the entry's business."""
    entry = http(headers={name: "x"})

    assert ({"url": URL}, True, False) == (entry.tree, told(entry.losses, name), entry.kept_back)


@pytest.mark.parametrize(
    "headers",
    [{"X-Api-Key": "one", "x-api-key": "two"}, {"Proxy-Authorization": f"Basic {TOKEN}"}],
    ids=["twice", "ours"],
)
def test_a_dropped_header_with_a_secret_is_kept_back(headers: dict[str, str]) -> None:
    """It is told, and the source keeps it."""
    entry = http(headers=headers)

    assert told(entry.losses, "is set by mcpvault itself, or twice")
    assert entry.kept_back


def test_a_token_beside_an_authorization() -> None:
    """The token is used; another secret in the header is kept back, the same one is not missed."""
    same = http(authToken=TOKEN, headers={"Authorization": f"Bearer {TOKEN}"})
    other = http(authToken=TOKEN, headers={"Authorization": "Bearer another"})

    assert [{"auth.token": TOKEN}] * 2 == [sealed(same), sealed(other)]
    assert [False, True] == [same.kept_back, other.kept_back]
    assert told(other.losses, "the entry has a token besides")


def test_two_tokens_that_differ_are_an_error() -> None:
    """One that agrees is not."""
    assert {"auth.token": TOKEN} == sealed(http(authToken=TOKEN, auth_token=TOKEN))
    assert "differ; keep one of them" in skipped({"url": URL, "authToken": "a", "auth_token": "b"}).why


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"headers": []}, "headers: expected a table"),
        ({"headers": {"X-A": ["a"]}}, "headers.X-A: expected text"),
        ({"headers": {"X A": "a"}}, "headers.'X A'"),
        ({"authToken": 3}, "authToken: expected text"),
        ({"url": 3}, "url: expected text"),
        ({"url": ""}, "url: is empty"),
        ({"url": "https://a b/"}, "url"),
        ({"url": "https://${HOST}/mcp"}, "url"),
        ({"url": "${URL}"}, "expected http or https, with the host in clear"),
        ({"url": "https://x:1:2@b@c/"}, "url"),
        ({"type": "ws"}, "WebSocket"),
        ({"transport": "websocket"}, "WebSocket"),
    ],
)
def test_what_has_no_place_is_left_out_with_the_reason(keys: dict[str, Any], why: str) -> None:
    """The other servers of the file come in all the same."""
    left = skipped({"url": URL, **keys})

    assert ("mcpServers", "s") == left.place
    assert why in left.why


@pytest.mark.parametrize("server", [{}, {"args": ["a"]}, 3, "text", [], {"command": ""}, {"command": None}])
def test_a_server_that_leads_nowhere_is_left_out(server: object) -> None:
    """Neither a command nor an address."""
    assert skipped(server).why


@pytest.mark.parametrize("key", ["type", "transport"])
def test_transports_of_old_and_new(key: str) -> None:
    """The new one is taken for granted; the old one is kept, and is a task."""
    for word in ("http", "streamable-http", "streamableHttp", "stdio"):
        assert () == http(**{key: word}).todo
    entry = http(**{key: "sse"})

    assert ({"url": URL, "transport": "sse"}, True) == (entry.tree, told(entry.todo, "HTTP+SSE"))


# All together

KEYS = ("url", "command", "args", "env", "headers", "authToken", "auth", "cwd", "type", "x", "timeout")
TEXTS = ("https://a.example/x", "tool", TOKEN, f"Bearer {TOKEN}", "${X}", f"${{X:-{TOKEN}}}", f"{TOKEN}${{X}}", "", "a")
LEAVES = st.one_of(
    st.sampled_from(TEXTS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["A", "X-Api-Key", "t"]), inner),
    max_leaves=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.sampled_from(["mcp-use", "claude-code", "cursor", "vscode"]))
def test_no_table_breaks_the_reader_or_leaves_a_secret_in_clear(table: dict[str, Any], kind: str) -> None:
    """It becomes an entry or a reason; a token is sealed or left out, and never told."""
    made = imported({"servers" if kind == "vscode" else "mcpServers": {"s": table}}, kind)

    assert 1 == len(made.entries) + len(made.skipped)
    assert [] == [entry for entry in made.entries if TOKEN in said(entry)]
    assert [] == [left for left in made.skipped if TOKEN in left.why]
