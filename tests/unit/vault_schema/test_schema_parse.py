"""What a vault may say, what it may not, and how a refusal reads."""

from __future__ import annotations

from typing import Any

import pytest
from schema_samples import b64, bearer, header, refusal, sealed, slot, text, vault, version

import vault_schema
from vault_schema import SchemaError, parse


def test_a_good_vault_is_read() -> None:
    """The tree is what TOML gave, the views are typed, defaults stand where nothing was said."""
    tree = vault(github=bearer(headers={"X-Team": "platform"}), local={"command": "npx", "args": ["-y", "everything"]})

    document = parse(text(tree))
    github, local = document.server("github"), document.server("local")

    assert tree == document.tree
    assert ("github", "local") == document.server_names
    assert (42, 3, "alice", "reader") == (
        document.header.serial, document.header.epoch, document.header.slots[0].id, document.header.slots[1].role,
    )  # fmt: skip
    assert ("http", "bearer", "Authorization", "Bearer") == (
        github.kind, github.auth.kind, github.auth.header, github.auth.scheme,
    )  # fmt: skip
    assert (10, 60, 300, 2, "auto", True) == (
        github.timeout.connect, github.timeout.read, github.timeout.total, github.retries, github.era, github.approved,
    )  # fmt: skip
    assert ("stdio", ("-y", "everything"), {}) == (local.kind, local.args, local.env)


def test_bytes_and_text_are_read_alike() -> None:
    """A vault comes as bytes or as text, with LF or with CRLF."""
    source = text(vault(github=bearer()))

    expected = parse(source).tree

    assert expected == parse(source.encode()).tree
    assert expected == parse(source.replace("\n", "\r\n").encode()).tree


def test_a_vault_may_be_empty() -> None:
    """A vault without servers is one."""
    assert () == parse(text({"vault": header()})).server_names


def test_an_unknown_server_is_a_key_error() -> None:
    """Asking for an entry that is not there is the caller's business."""
    document = parse(text({"vault": header()}))

    with pytest.raises(KeyError):
        document.server("github")
    with pytest.raises(KeyError):
        list(document.secrets("github"))


def test_secrets_are_listed_with_their_place() -> None:
    """Every secret of an entry is found: sealed, by reference, by the name of its header."""
    entry = bearer(headers={"X-API-Key": "${env:KEY}", "X-API-Version": "3", "X-Plain": [version()]})

    found = list(parse(text(vault(github=entry))).secrets("github"))

    assert ["headers.X-API-Key", "headers.X-Plain", "auth.token"] == [path for path, _, _ in found]
    assert ["url.origin"] * 3 == [spec.bound_to for _, spec, _ in found]
    assert "${env:KEY}" == found[0][2]
    assert [(1, "current", sealed())] == [(v.v, v.stage, v.sealed) for v in found[2][2]]  # type: ignore[union-attr]


GOOD = {
    "reference": bearer(auth={"kind": "bearer", "token": "${env:GITHUB_TOKEN}"}),
    "embedded reference": bearer(headers={"Authorization": "Bearer ${env:T}"}),
    "command with braces": bearer(
        auth={"kind": "bearer", "token": '${cmd:["jq", "-r", "{token: .a[0]}|tostring", "/run/a-long-file-name"]}'}
    ),
    "other scheme": bearer(auth={"kind": "bearer", "token": "${env:T}", "header": "X-Key", "scheme": ""}),
    "header kind": bearer(auth={"kind": "header", "name": "X-API-Key", "value": [version()]}),
    "basic": bearer(auth={"kind": "basic", "username": "me", "password": "${cred:pw}"}),
    "none": bearer(auth={"kind": "none"}),
    "no auth": {"url": "http://127.0.0.1:8000/mcp"},
    "custom": bearer(auth={"kind": "custom"}),
    "three stages": bearer(
        auth={"kind": "bearer", "token": [version(3, "pending"), version(2), version(1, "previous")]}
    ),
    "not_after": bearer(auth={"kind": "bearer", "token": [version(not_after="2027-01-01T00:00:00Z")]}),
    "query by reference": {"url": "https://h.example.com/mcp?api_key=${env:KEY}&page=1"},
    "path by reference": {"url": "https://h.example.com/${env:TENANT:-main}/mcp"},
    "everything": bearer(
        timeout={"connect": 5, "read": 30, "total": 120}, retries=0, rate_limit="10/s",
        max_message=256, allow_http=True, allow_private_hosts=["10.0.0.1"],
        proxies={"https": "http://${env:USER}:${env:PW}@proxy:3128", "http": ""}, tls={"ca_file": "/etc/ca.pem"},
        era="modern", credential="shared", note="two\nlines", owner="ops", runbook="https://wiki.example.com/x",
        policy={"max_age": "90d", "warn": "2w"}, **{"x-team": {"on": [1, True, {"a": "b"}]}},
    ),
    "stdio": {
        "command": "/usr/bin/server", "args": ["--key", "${env:K}"], "cwd": "${env:HOME}", "approved": False,
        "env": {"DB_PASSWORD": [version(bound=["command", "/usr/bin/server"])], "LEVEL": "debug", "MAX_TOKENS": "4096"},
    },
}  # fmt: skip


@pytest.mark.parametrize("entry", GOOD.values(), ids=GOOD.keys())
def test_what_an_entry_may_say(entry: dict[str, Any]) -> None:
    """Each of these is a legal entry, and its typed view can be had."""
    assert "one" == parse(text(vault(one=entry))).server("one").name


def with_token(value: Any) -> dict[str, Any]:
    """Return a bearer entry with that token."""
    return bearer(auth={"kind": "bearer", "token": value})


def nested(depth: int) -> list[Any]:
    """Return an array in an array in an array …."""
    return [nested(depth - 1)] if depth else []


BAD = {
    "table for text": (with_token({"a": "b"}), "auth.token: expected text, got a table"),
    "integer for text": (with_token(3), "auth.token: expected text, got an integer"),
    "float": (bearer(retries=1.5), "retries: expected an integer, got a float"),
    "nan": (bearer(retries=float("nan")), "retries: expected an integer, got a float"),
    "boolean for integer": (bearer(retries=True), "retries: expected an integer, got a boolean"),
    "integer for boolean": (bearer(allow_http=1), "allow_http: expected a boolean, got an integer"),
    "text for array": ({"command": "npx", "args": "-y"}, "args: expected an array of text, got text"),
    "number in array": ({"command": "npx", "args": ["-y", 1]}, "args[1]: expected text, got an integer"),
    "huge integer": (bearer(**{"x-n": 2**63}), "x-n: expected an integer of 64 bits"),
    "out of range": (bearer(retries=11), "retries: expected an integer from 0 to 10"),
    "rate of nothing": (
        bearer(rate_limit="0/s"), "rate_limit: expected requests per second, minute, hour or day, such as 10/s",
    ),
    "rate of a process": (
        {"command": "npx", "rate_limit": "1/s"}, "rate_limit: has no meaning for a command",
    ),
    "too large a message": (bearer(max_message=4097), "max_message: expected an integer from 1 to 4096"),
    "misspelt": (bearer(timout={"read": 3}), "timout: unknown key, did you mean 'timeout'?"),
    "misspelt below": (bearer(auth={"kind": "none", "tokne": ""}), "auth.tokne: unknown key, did you mean 'token'?"),
    "unknown": (bearer(zzzzzz=1), "zzzzzz: unknown key"),
    "value for table": (bearer(headers="x"), "headers: expected a table, got text"),
    "choice": (bearer(era="old"), "era: expected one of 'auto', 'modern', 'legacy'"),
    "no such kind": (bearer(auth={"kind": "saml"}),
                     "auth.kind: expected one of 'none', 'bearer', 'header', 'basic', 'oauth', 'client_credentials', "
                     "'jwt_bearer', 'id_jag', 'custom'"),
    "secret without issuer": (bearer(auth={"kind": "oauth", "client_id": "c", "client_secret": "${env:S}"}),
                              "auth.issuer: missing, and client_secret needs it: "
                              "a secret goes to the issuer that it is for"),
    "secret without client": (bearer(auth={"kind": "oauth", "issuer": "https://as.example",
                                           "client_secret": "${env:S}"}),
                              "auth.client_id: missing, and client_secret needs it: "
                              "a secret goes to the issuer that it is for"),
    "secret and key": (bearer(auth={"kind": "client_credentials", "issuer": "https://as.example", "client_id": "c",
                                    "client_secret": "${env:S}", "private_key": "${file:/k.pem}"}),
                       "auth.private_key: a client proves itself by client_secret or by private_key, not by both"),
    "client credentials without": (bearer(auth={"kind": "client_credentials", "client_id": "c"}),
                                   "auth.client_secret: missing, and auth of kind "
                                   "'client_credentials' needs it or private_key"),
    "two ids": (bearer(auth={"kind": "oauth", "client_id": "c", "client_metadata_url": "https://c.example/id.json"}),
                "auth.client_metadata_url: has no meaning beside client_id"),
    "issuer with a reference": (bearer(auth={"kind": "oauth", "issuer": "https://as.example/${env:T}"}),
                                "auth.issuer: expected an absolute http or https URL without fragment or references"),
    "redirect elsewhere": (bearer(auth={"kind": "oauth", "redirect_uri": "http://example.com/cb"}),
                           "auth.redirect_uri: expected an https URL, or http on localhost, 127.0.0.1 or [::1]"),
    "scope of another shape": (bearer(auth={"kind": "oauth", "scope": "read  write"}),
                               "auth.scope: expected scopes separated by one space (RFC 6749 A.4)"),
    "no kind": (bearer(auth={"token": "${env:T}"}), "auth.kind: missing"),
    "no token": (bearer(auth={"kind": "bearer"}), "auth.token: missing, and auth of kind 'bearer' needs it"),
    "wrong kind": (bearer(auth={"kind": "none", "token": "${env:T}"}),
                   "auth.token: has no meaning for auth of kind 'none'"),
    "url and command": (bearer(command="npx"),
                        "command: has no meaning beside url, an entry names either a url or a command"),
    "neither": ({"note": "x"}, " names neither a url nor a command"),
    "headers of a command": ({"command": "npx", "headers": {}}, "headers: has no meaning for a command"),
    "no versions": (with_token([]), "auth.token: expected at least one version"),
    "no current": (with_token([version(1, "pending")]), "auth.token: no version has stage 'current'"),
    "two current": (with_token([version(2), version(1)]), "auth.token[1].stage: a second version has stage 'current'"),
    "two of one number": (with_token([version(1), version(1, "previous")]),
                          "auth.token[1].v: a second version has number 1"),
    "version zero": (with_token([version(0)]), "auth.token[0].v: expected an integer from 1 to 2^63-1"),
    "unknown stage": (with_token([version(1, "next")]),
                      "auth.token[0].stage: expected one of 'current', 'pending', 'previous'"),
    "unsealed": (with_token([version(sealed="mv2.x")]), "auth.token[0].sealed: expected a sealed value, mv1.…"),
    "other epoch": (with_token([version(sealed=sealed(2))]),
                    "auth.token[0].sealed: sealed in another epoch than the vault's"),
    "bound to nothing": (with_token([version(bound=["url.origin"])]),
                         "auth.token[0].bound: expected 'url.origin' and what it says"),
    "bound to another thing": (with_token([version(bound=["command", "x"])]),
                               "auth.token[0].bound: expected 'url.origin' and what it says"),
    "no date": (with_token([version(created="yesterday")]),
                "auth.token[0].created: expected a time such as 2026-07-28T09:30:00Z"),
    "not a version": (with_token(["x"]), "auth.token[0]: expected a table, got text"),
    "header name": (bearer(headers={"X Team": "a"}),
                    "headers.'X Team': expected a header name (RFC 9110 §5.1) as its name"),
    "header twice": (bearer(headers={"X-A": "a", "x-a": "b"}),
                     "headers.x-a: a second header of that name, whatever its case"),
    "header lines": (bearer(headers={"X-A": "a\nB: c"}), "headers.X-A: expected a header value on one line"),
    "variable name": ({"command": "x", "env": {"A=B": "c"}},
                      "env.'A=B': expected a variable name of letters, digits and '_' as its name"),
    "reference in command": ({"command": "${env:SHELL}"},
                             "command: expected a program's name or path, without references"),
    "reference in note": (bearer(note="${env:X}"), "note: holds a reference, which has no meaning here"),
    "control character": ({"command": "x", "cwd": "a\x00b"}, "cwd: holds a control character"),
    "ftp": ({"url": "ftp://h/"}, "url: expected an http or https URL, got scheme 'ftp'"),
    "reference in host": ({"url": "https://${env:HOST}/mcp"}, "url: a URL's scheme and host cannot hold a reference"),
    "deep extra": (bearer(**{"x-a": nested(18)}), f"x-a{'[0]' * 16}: nested too deeply"),
    "float in extra": (bearer(**{"x-a": {"b": 1.5}}),
                       "x-a.b: expected text, an integer, a boolean, an array or a table, got a float"),
    "url is no text": ({"url": 3}, "url: expected text, got an integer"),
    "duration": (bearer(policy={"max_age": "soon"}), "policy.max_age: expected a duration such as 90d"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), BAD.values(), ids=BAD.keys())
def test_a_refusal_names_the_place(entry: dict[str, Any], message: str) -> None:
    """The message begins with the dotted path, says what was expected, and ends with the line."""
    error = refusal(vault(one=entry))

    separator = ":" if message.startswith(" ") else "."
    assert f"servers.one{separator}{message} (line {error.line})" == error.message
    assert error.path is not None
    assert error.message.startswith(f"{error.path}: ")
    assert not error.literal_secret


LITERALS = {
    "token": with_token("plain"),
    "assertion": bearer(auth={"kind": "jwt_bearer", "assertion": "eyJhbGciOiJub25lIn0.e30."}),
    "empty token": with_token(""),
    "escaped reference": with_token("$${env:T}"),
    "default": with_token("${env:T:-plain}"),
    "beside a reference": with_token("ghp_0123456789abcdef${env:T}"),
    "long word beside": bearer(headers={"Authorization": "hunter2hunter2hunter2${env:EMPTY?}"}),
    "header by name": bearer(headers={"X-API-Key": "plain"}),
    "header by value": bearer(headers={"X-Thing": "Bearer 0123456789abcdef"}),
    "variable by name": {"command": "x", "env": {"DB_PASSWORD": "plain"}},
    "variable by value": {"command": "x", "env": {"DATABASE_URL": "postgres://me:plain@db/x"}},
    "argument": {"command": "x", "args": ["--with", "ghp_0123456789abcdef0123"]},
    "query by name": {"url": "https://h.example.com/mcp?api_key=plain"},
    "query by value": {"url": "https://h.example.com/mcp?q=ghp_0123456789abcdef0123"},
    "query by default": {"url": "https://h.example.com/mcp?token=${env:T:-plain}"},
    "user information": {"url": "https://me:plain@h.example.com/mcp"},
    "proxy password": bearer(proxies={"https": "http://me:plain@proxy:3128"}),
    "proxy default": bearer(proxies={"https": "http://me:${env:PW:-plain}@proxy:3128"}),
    "extra": bearer(**{"x-a": {"b": ["Bearer 0123456789abcdef"]}}),
}


@pytest.mark.parametrize("entry", LITERALS.values(), ids=LITERALS.keys())
def test_a_secret_in_clear_is_refused_and_not_repeated(entry: dict[str, Any]) -> None:
    """A literal where only a reference or a seal may stand is its own kind of refusal, and never quoted."""
    error = refusal(vault(one=entry))

    assert error.literal_secret
    assert error.hint
    assert "NAME" not in error.hint
    assert "plain" not in f"{error} {error.hint}"
    assert "0123456789" not in f"{error} {error.hint}"


@pytest.mark.parametrize("body", ["file:/t", "cred:t", "keyring:s/u", "vault:a.auth.token", 'cmd:["pass", "t"]'])
def test_no_argument_refers_to_a_secret(body: str) -> None:
    """The process list shows arguments to everybody: what is a secret by nature goes into the environment."""
    error = refusal(vault(one={"command": "x", "args": ["-v", f"--token=${{{body}}}"]}))

    assert error.literal_secret
    assert error.message.startswith("servers.one.args[1]: expected no reference but ${env:NAME}")
    assert error.hint == "give it to the program by its environment: mcpvault set one env.VARIABLE '${…}'"

    entry = {"command": "x", "args": [f"$${{{body}}}", "${env:T}"], "env": {"T": f"${{{body}}}"}}
    assert entry["args"] == [*parse(text(vault(one=entry))).server("one").args]


HEADERS = {
    "no vault": ({"servers": {}}, "vault: missing: this file is no vault"),
    "other table": ({"vault": header(), "sevrers": {}}, "sevrers: unknown key, did you mean 'servers'? (line 30)"),
    "newer": ({"vault": header(format=2)},
              "vault.format: this vault has format 2, this program reads up to 1 (line 2)"),
    "format zero": ({"vault": header(format=0)}, "vault.format: expected an integer from 1 to 1 (line 2)"),
    "format text": ({"vault": header(format="1")}, "vault.format: expected an integer, got text (line 2)"),
    "unknown key": ({"vault": header(seriel=1)}, "vault.seriel: unknown key, did you mean 'serial'? (line 10)"),
    "suite": ({"vault": header(suite="rot13")},
              "vault.suite: expected one of 'hpke-x25519-sha256-a256gcm+a256gcm+hs256' (line 6)"),
    "short id": ({"vault": header(id="AA")}, "vault.id: expected 16 bytes in base64url without padding (line 3)"),
    "spare bits": ({"vault": header(id=b64(16)[:-1] + "B")},
                   "vault.id: expected 16 bytes in base64url without padding (line 3)"),
    "padding": ({"vault": header(mac=b64(32) + "=")},
                "vault.mac: expected 32 bytes in base64url without padding (line 7)"),
    "no slots": ({"vault": header(slots=[])}, "vault.slots: expected at least one table (line 10)"),
    "same slot twice": ({"vault": header(slots=[slot(), slot("Alice")])},
                        "vault.slots[1].id: a second slot is named 'Alice' (line 22)"),
    "admin without sbox": ({"vault": header(slots=[slot(sbox=b64(80)), {**slot("b", "reader"), "role": "admin"}])},
                           "vault.slots[1].sbox: belongs to a slot of role admin, and only there (line 21)"),
    "no admin": ({"vault": header(slots=[slot("a", "reader")])},
                 "vault.slots: no slot has role 'admin', so nobody could ever change this vault (line 11)"),
    "kdf of a raw slot": ({"vault": header(slots=[slot(m=65536)])},
                          "vault.slots[0].m: has no meaning for a slot of kind 'raw' (line 20)"),
    "header is no table": ({"vault": 3}, "vault: expected a table, got an integer (line 1)"),
    "servers are no table": ({"vault": header(), "servers": 3}, "servers: expected a table, got an integer (line 1)"),
    "entry is no table": ({"vault": header(), "servers": {"a": "https://a.example.com/"}},
                          "servers.a: expected a table, got text (line 31)"),
    "slots are text": ({"vault": header(slots="alice")},
                       "vault.slots: expected an array of tables, got text (line 10)"),
    "slot is text": ({"vault": header(slots=["alice"])}, "vault.slots[0]: expected a table, got text (line 10)"),
    "serial": ({"vault": header(serial=0)}, "vault.serial: expected an integer from 1 to 2^63-1 (line 4)"),
}  # fmt: skip


@pytest.mark.parametrize(("tree", "message"), HEADERS.values(), ids=HEADERS.keys())
def test_a_bad_header_is_refused(tree: dict[str, Any], message: str) -> None:
    """The vault's own table is judged with the same care, slots by their number."""
    assert message == refusal(tree).message


KDF = {"m": (19_455, 1_048_577), "t": (1, 17), "p": (0, 17)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in KDF.items() for value in values])
def test_kdf_parameters_out_of_bounds_are_refused(name: str, value: int) -> None:
    """Nobody can make a reader spend a gigabyte or an hour, or accept a weak derivation."""
    good = slot(kind="passphrase", kdf="argon2id", m=65_536, t=3, p=4)
    parse(text({"vault": header(slots=[good])}))

    error = refusal({"vault": header(slots=[{**good, name: value}])})

    assert f"vault.slots[0].{name}" == error.path


NAMES = ["", "a.b", "a b", "-a", "_a", "a" * 65, "gíthub", "githuƄ", "a\n"]


@pytest.mark.parametrize("name", NAMES)
def test_entry_names_are_plain(name: str) -> None:
    """A name has no dot, no space, nothing that looks like another name; the message stays on one line."""
    error = refusal(vault(**{name: bearer()}))

    assert "an entry's name is a name of letters, digits, '_' and '-', at most 64" in error.message
    assert "\n" not in error.message


def test_names_that_differ_only_in_case_are_refused() -> None:
    """Two entries must not be mistaken for one another."""
    assert (
        "servers.GitHub: differs only in case from the entry 'github' (line 46)"
        == refusal(vault(github=bearer(), GitHub=bearer())).message
    )


TEXTS = {
    "bom": ("\ufeff[vault]\n", "begins with a byte order mark"),
    "bom in bytes": (b"\xef\xbb\xbf[vault]\n", "begins with a byte order mark"),
    "not utf-8": (b"[vault]\nid = '\xff'\n", "not valid UTF-8 at line 2"),
    "half a character": ("# \ud800", "holds half of a surrogate pair"),
    "empty": ("", "vault: missing: this file is no vault"),
    "date": ("[vault]\nid = 2026-01-01\n", "vault.id: expected text, got a date or time (line 2)"),
    "no toml": ("[vault]\nsecret hunter2\n", "not valid TOML at line 2, column 8"),
    "open text": ('[vault]\nid = "hunter2', "not valid TOML: unterminated string at line 2"),
    "key twice": (
        "[vault]\nid = 'a'\nid = 'hunter2'\n",
        "not valid TOML: a table or key twice at line 3, column 15",
    ),
    "table twice": (
        "[servers.hunter2]\n[vault]\n[servers.hunter2]\n",
        "not valid TOML: a table or key twice at line 3, column 17",
    ),
    "table within a text": ("[vault.id]\n[[vault.id]]\n", "not valid TOML: a table or key twice at line 2, column 11"),
    "inline key twice": (
        "a = {'hunter2' = 1, hunter2 = 2}\n",
        "not valid TOML: a table or key twice at line 1, column ",
    ),
    "inline table again": ("a = {}\n[a.b]\n", "not valid TOML: a table or key twice at line 2, column 5"),
    "endless number": (f"a = {'9' * 5000}", "not valid TOML"),
    "deep": ("a = " + "[" * 100_000, "not valid TOML: nested too deeply"),
    "carriage return": ("[vault]\ra = 1\n", "not valid TOML"),
}


@pytest.mark.parametrize(("source", "message"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_cannot_be_decoded_is_not_quoted(source: str | bytes, message: str) -> None:
    """A decoder's message may hold a piece of a secret; only the place is passed on."""
    error = refusal(source)

    assert error.message.startswith(message)
    assert "hunter2" not in error.message
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_huge_file_is_refused() -> None:
    """Sixteen mebibytes are enough for every server there is."""
    assert "a vault is at most 16 MiB" == refusal("#" * (16 * 2**20 + 1)).message


def test_every_public_name_is_there() -> None:
    """``__all__`` is sorted as ruff sorts and holds nothing that is missing."""
    assert [] == [name for name in vault_schema.__all__ if not hasattr(vault_schema, name)]
    assert issubclass(SchemaError, ValueError)
