"""The field table, names that say secret, origins, bindings."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from schema_samples import bearer

from vault_schema import FIELDS, SchemaError, binding_for, is_secret, is_sensitive_name, origin_of, spec_for
from vault_schema.origin import _origin as closely


def test_every_secret_field_is_bound_and_takes_references() -> None:
    """A secret that is for nothing in particular could be sent anywhere."""
    assert [] == [spec.path for spec in FIELDS if spec.may_be_secret and not (spec.bound_to and spec.references)]


def test_every_field_is_found_once_and_explained() -> None:
    """Paths are unique, and each field has a help text."""
    paths = [spec.path for spec in FIELDS]

    assert len(set(paths)) == len(paths)
    assert [] == [spec.path for spec in FIELDS if not spec.help]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("url", "url"),
        ("auth.token", "auth.token"),
        ("headers.X-API-Key", "headers.*"),
        ("headers.X.Y", "headers.*"),
        ("env.DB_PASSWORD", "env.*"),
        ("timeout.read", "timeout.read"),
        ("headers", None),
        ("headers.", None),
        ("auth.tokne", None),
        ("auth.token.v", None),
        ("", None),
    ],
)
def test_a_path_finds_its_row(path: str, pattern: str | None) -> None:
    """A FIELD on the command line leads to its row of the table, or to nothing."""
    spec = spec_for(path)

    assert pattern == (spec.path if spec else None)


def test_a_path_is_secret_always_or_by_name() -> None:
    """Redaction asks one question of a path."""
    assert [True, True, False, True, False, False] == [
        is_secret(path) for path in ("auth.token", "headers.Cookie", "headers.X-Team", "env.DB_PASSWORD", "url", "nix")
    ]


SENSITIVE = (
    "Authorization Proxy-Authorization Cookie Set-Cookie X-API-Key X-Api-Key apikey API_KEY GITHUB_TOKEN githubToken "
    "X-Auth-Token X-Auth DB_PASSWORD PGPASSWORD DB_PASSWD CLIENT_SECRET AWS_ACCESS_KEY_ID CREDENTIALS X-Signature "
    "GITHUB_PAT REDIS_PWD SSH_PASSPHRASE JWT accessToken PRIVATE_KEY"
).split()
PLAIN = (
    "X-API-Version X-Team Accept User-Agent Content-Type LOG_LEVEL PATH HOME NODE_ENV MAX_TOKENS TOKEN_LIMIT KEY_FILE "
    "TOKEN_URL PASSWORD_FILE X-Author PATTERN COMPAT AUTHOR X-Request-Id"
).split()


@pytest.mark.parametrize(
    ("name", "expected"), [*((name, True) for name in SENSITIVE), *((name, False) for name in PLAIN)]
)
def test_names_say_whether_a_value_is_secret(name: str, expected: bool) -> None:
    """Header and variable names are judged by their words."""
    assert expected == is_sensitive_name(name)


ORIGINS = {
    "https://mcp.example.com/mcp": "https://mcp.example.com:443",
    "https://mcp.example.com": "https://mcp.example.com:443",
    "https://mcp.example.com?x=1": "https://mcp.example.com:443",
    "https://mcp.example.com:8443/a?b": "https://mcp.example.com:8443",
    "http://localhost:80/": "http://localhost:80",
    "HTTPS://MCP.Example.COM/": "https://mcp.example.com:443",
    "http://127.0.0.1:8000/mcp": "http://127.0.0.1:8000",
    "http://[::1]:9/": "http://[::1]:9",
    "http://[0:0:0:0:0:0:0:1]/": "http://[::1]:80",
    "https://[FE80::1]/": "https://[fe80::1]:443",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example:443",
    "https://my_host/": "https://my_host:443",
    "https://h.example.com:0443/": "https://h.example.com:443",
    "https://h.example.com/${env:TENANT}": "https://h.example.com:443",
}


@pytest.mark.parametrize(("url", "origin"), ORIGINS.items())
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    """Scheme and host in lower case, the port always written."""
    assert origin == origin_of(url)


BAD_URLS = {
    "": "expected an absolute",
    "mcp.example.com": "expected an absolute",
    "//mcp.example.com/": "expected an absolute",
    "file:///etc/passwd": "expected an http or https URL",
    "ws://h/": "expected an http or https URL",
    "https:///mcp": "needs a host",
    "https://:443/": "needs a host",
    "https://h:/": "needs a host",
    "https://h:0/": "needs a host",
    "https://h.example.com:65536/": "needs a host",
    "https://h:12x/": "needs a host",
    "https://a b/": "spaces",
    "https://h/a b": "spaces",
    "https://h/a\nb": "spaces",
    "https://h.example.com/a\n": "spaces",
    "https://h.example.com\\@evil.example/": "cannot hold a user name",
    "https://h.example.com/\\x": "backslashes",
    "https://me:pw@h/": "cannot hold a user name",
    "https://me@h/": "cannot hold a user name",
    "https://h.example.com/#x": "cannot hold a fragment",
    "https://${env:H}/": "cannot hold a reference",
    "https://h:${env:P}/": "cannot hold a reference",
    "${env:S}://h/": "cannot hold a reference",
    "${env:URL}": "cannot hold a reference",
    "https://bücher.example/": "expected an ASCII URL",
    "https://h.example.com./": "empty labels",
    "https://a..b/": "empty labels",
    "https://127.1/": "four decimal numbers",
    "https://2130706433/": "four decimal numbers",
    "https://0x7f.0.0.1/": None,
    "https://1.2.3.0x7f/": "four decimal numbers",
    "https://256.1.1.1/": "four decimal numbers",
    "https://01.1.1.1/": "four decimal numbers",
    "https://[::g]/": "needs a host",
    "https://[:::]/": "IPv6",
    "https://h%41/": "needs a host",
}


@pytest.mark.parametrize(("url", "message"), BAD_URLS.items())
def test_a_url_that_is_not_one_thing_is_refused(url: str, message: str | None) -> None:
    """What two programs could read differently is not a URL here, and is not quoted."""
    with pytest.raises(SchemaError, match=message or "four decimal numbers") as caught:
        origin_of(url)

    assert "pw" not in str(caught.value)


@given(st.text(alphabet="abcXYZ019.-:/@?#[]%\\ \n${}_", max_size=30))
def test_an_origin_is_stable(tail: str) -> None:
    """The origin of an origin is itself, whatever URL it was taken from."""
    try:
        origin = origin_of(f"https://{tail}")
    except SchemaError:
        return
    assert origin == origin_of(origin) == origin_of(f"{origin}/any/path?x=y")


URLS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
    st.sampled_from(["localhost", "127.0.0.1", "127.0.0.2", "a.com", ".com", "a..com", "a.c-m", "A.com", "com", "a.1"])
    | st.text("ab.-1_@[:]\u0391", max_size=8)
    | st.integers(248, 256).map(lambda size: "a" * size + ".com"),
    st.sampled_from(["", ":", ":0", ":01", ":443", ":65535", ":65536", ":123456", ":x", ":\u0661"]),
    st.text('/?#"\\@ a${}\x7f\u0391', max_size=4),
)  # fmt: skip


@given(URLS)
@example("https://.com")
@example("https://")
def test_most_urls_are_judged_as_all_are(url: str) -> None:
    """A URL that is written as most are has the origin that the close look gives; the quick look refuses nothing."""
    expected = origin = None
    with suppress(SchemaError):
        expected = closely(url)
    with suppress(SchemaError):
        origin = origin_of(url)

    assert expected == origin


def test_bindings_follow_the_entry() -> None:
    """A secret of an HTTP entry is for its origin, one of a stdio entry for its command line."""
    token, env, note = spec_for("auth.token"), spec_for("env.K"), spec_for("note")
    assert token and env and note

    assert ("url.origin", "https://mcp.example.com:443") == binding_for(bearer(), token)
    assert ("command", "npx", "-y", "x") == binding_for({"command": "npx", "args": ["-y", "x"]}, env)
    assert ("command", "npx") == binding_for({"command": "npx"}, env)
    assert () == binding_for(bearer(), note)


def test_a_binding_needs_something_to_bind_to() -> None:
    """Without url or command there is nothing that a secret could be for."""
    token, env = spec_for("auth.token"), spec_for("env.K")
    assert token and env

    with pytest.raises(SchemaError, match="bound to the entry's url"):
        binding_for({"command": "npx"}, token)
    with pytest.raises(SchemaError, match="bound to the entry's command"):
        binding_for(bearer(), env)
