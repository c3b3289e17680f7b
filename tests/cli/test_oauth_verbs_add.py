"""``add`` and ``set`` for OAuth: every form, what does not go together, presets, secrets that follow their issuer."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import Home, new_vault

from mcpvault.cli.presets import PRESETS
from vault_schema import origin_of

URL = "https://new.example.com/mcp"
ISSUER = "https://login.example.com"
SECRET = "client-secret-Xk29Lm4q"
CLIENT = ["--client-id", "robot", "--issuer", ISSUER]
KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""  # of RFC 8410 §10.3


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault, and a private key in a private file."""
    made = new_vault(home)
    (home / "key.pem").touch(0o600)
    (home / "key.pem").write_text(KEY)
    return made


def auth(home: Home, name: str) -> dict[str, Any]:
    """Return the entry's ``auth`` as the file says it, sealed values as the fields that they are bound to."""
    table: dict[str, Any] = tomllib.loads(home.vault.read_text())["servers"][name]["auth"]
    return {key: held[0]["bound"] if isinstance(held, list) else held for key, held in table.items()}


BOUND = ["auth.issuer", ISSUER]
JWT = ["--jwt-bearer", "--issuer", ISSUER]
KNOWN = {"client_id": "robot", "issuer": ISSUER}
FORMS: list[tuple[list[str], dict[str, Any]]] = [
    (["--oauth"], {"kind": "oauth"}),
    (
        ["--oauth", "--scope", "read write", "--resource", URL, "--dpop", "--method", "paste"],
        {"kind": "oauth", "scope": "read write", "resource": URL, "dpop": True, "login_method": "paste"},
    ),
    (
        ["--oauth", "--client-metadata-url", "https://me.example.com/client.json"],
        {"kind": "oauth", "client_metadata_url": "https://me.example.com/client.json"},
    ),
    (
        ["--oauth", *CLIENT, "--client-secret-stdin", "--redirect-uri", "http://127.0.0.1:8765/callback"],
        {"kind": "oauth", **KNOWN, "client_secret": BOUND, "redirect_uri": "http://127.0.0.1:8765/callback"},
    ),
    (
        ["--client-credentials", *CLIENT, "--client-secret-env", "ROBOT_SECRET"],
        {"kind": "client_credentials", **KNOWN, "client_secret": "${env:ROBOT_SECRET}"},
    ),
    (["--client-credentials", *CLIENT, "--private-key-file", "key.pem"],
     {"kind": "client_credentials", **KNOWN, "private_key": BOUND}),
    ([*JWT, "--assertion-env", "CI_TOKEN"],
     {"kind": "jwt_bearer", "issuer": ISSUER, "assertion": "${env:CI_TOKEN}"}),
    ([*JWT, "--assertion-file", "/run/token"],
     {"kind": "jwt_bearer", "issuer": ISSUER, "assertion": "${file:/run/token}"}),
    ([*JWT, "--assertion-command", "cloud token --audience 'a b'"],
     {"kind": "jwt_bearer", "issuer": ISSUER, "assertion": '${cmd:["cloud", "token", "--audience", "a b"]}'}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "table"), FORMS, ids=lambda value: " ".join(value))
def test_add_says_what_is_known_of_the_client(home: Home, options: list[str], table: dict[str, Any]) -> None:
    """Each form makes the ``auth`` that the format has for it; secrets are sealed for their issuer, or referred to."""
    done = home.run("add", "new", URL, *options, stdin=SECRET)

    assert table == auth(home, "new")
    assert SECRET not in home.vault.read_text() + done.stdout + done.stderr
    assert (table["kind"] == "oauth") == ("log in once: mcpvault login new\n" in done.stderr)
    assert ("cmd" in str(table)) == ("mcpvault sign" in done.stderr)


REFUSED = [
    (2, "--oauth and --client-credentials exclude", ["--oauth", "--client-credentials", *CLIENT]),
    (2, "--bearer-stdin and --oauth exclude", ["--oauth", "--bearer-stdin"]),
    (2, "--scope: goes with --oauth or --client-credentials or --jwt-bearer only", ["--scope", "x"]),
    (2, "--scope: goes with", ["--bearer-env", "T", "--scope", "x"]),
    (2, "--redirect-uri: goes with --oauth only", ["--client-credentials", "--redirect-uri", "http://127.0.0.1/x"]),
    (2, "--assertion-env: goes with --jwt-bearer only", ["--oauth", "--assertion-env", "T"]),
    (2, "--issuer is missing", ["--oauth", "--client-id", "robot", "--client-secret-stdin"]),
    (2, "--client-id is missing", ["--client-credentials", "--issuer", ISSUER, "--client-secret-env", "S"]),
    (2, "needs a secret of the client", ["--client-credentials", *CLIENT]),
    (2, "--issuer is missing", ["--jwt-bearer", "--assertion-env", "T"]),
    (2, "needs the workload's JWT", ["--jwt-bearer", "--issuer", ISSUER]),
    (2, "exclude each other", ["--oauth", *CLIENT, "--client-secret-stdin", "--private-key-file", "key.pem"]),
    (2, "exclude each other", ["--jwt-bearer", "--assertion-env", "T", "--assertion-file", "/t"]),
    (2, "stdin can be read for one", ["--oauth", *CLIENT, "--client-secret-stdin", "--header-stdin", "X-Key"]),
    (2, "no name of a variable", ["--oauth", *CLIENT, "--client-secret-env", "$SECRET"]),
    (2, "--issuer: is empty", ["--oauth", "--issuer", ""]),
    (
        2,
        "--assertion-command: no closing quotation",
        ["--jwt-bearer", "--issuer", ISSUER, "--assertion-command", "a 'b"],
    ),
    (8, "issuer", ["--oauth", "--issuer", "login.example.com"]),
    (
        8,
        "has no meaning beside client_id",
        ["--oauth", "--client-id", "x", "--client-metadata-url", "https://a.example/c"],
    ),
    (8, "private key is no private key", ["--oauth", *CLIENT, "--private-key-file", "other.pem"]),
]


@pytest.mark.parametrize(
    ("code", "words", "options"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_does_not_go_together_is_refused(home: Home, code: int, words: str, options: list[str]) -> None:
    """Options that contradict one another, or leave a secret without an issuer, change nothing."""
    (home.home / "other.pem").touch(0o600)
    (home.home / "other.pem").write_text("no key at all\n")

    assert words in home.refused("add", "new", URL, *options, code=code, stdin=SECRET)


def test_a_command_has_no_oauth(home: Home) -> None:
    """OAuth is for URLs."""
    assert "--oauth: goes with a URL only" in home.refused("add", "new", "--oauth", "--", "x", code=2)


def test_presets_are_listed_and_used(home: Home) -> None:
    """``--preset list`` needs no NAME; a preset brings the URL and, where clients register themselves, OAuth."""
    rows = [line.split("\t") for line in home.run("add", "--preset", "list").stdout.splitlines()]
    assert [*PRESETS] == [row[0] for row in rows]
    told = json.loads(home.run("add", "--preset", "list", "--json").stdout)
    assert PRESETS["linear"].url == next(each["url"] for each in told if each["name"] == "linear")

    home.run("add", "--preset", "linear")
    assert {"kind": "oauth"} == auth(home, "linear")
    home.run("add", "work", "--preset", "linear")
    assert {"kind": "oauth"} == auth(home, "work")
    home.run("add", "gh", "--preset", "github", "--bearer-env", "GITHUB_TOKEN")
    assert {"kind": "bearer", "token": "${env:GITHUB_TOKEN}"} == auth(home, "gh")
    servers = tomllib.loads(home.vault.read_text())["servers"]
    assert [PRESETS["linear"].url, PRESETS["github"].url] == [servers["work"]["url"], servers["gh"]["url"]]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("personal access token", ["--preset", "github"]),
        ("did you mean 'linear'?", ["--preset", "liner"]),
        ("--preset has a URL", [URL, "--preset", "linear"]),
        ("mcpvault add --preset list", []),
    ],
)
def test_a_preset_that_does_not_fit(home: Home, words: str, options: list[str]) -> None:
    """A preset that needs a token says so; one that is not there is guessed at; a URL beside it is refused."""
    assert words in home.refused("add", "new", *options, code=2)


def test_every_preset_is_https_and_says_how_it_is_added() -> None:
    """The table holds addresses that an entry can have; what takes no registration has a note on what to do."""
    assert [] == [name for name, preset in PRESETS.items() if not origin_of(preset.url).startswith("https://")]
    assert {"oauth", "bearer"} >= {preset.auth for preset in PRESETS.values()}
    assert [] == [name for name, preset in PRESETS.items() if preset.auth == "bearer" and not preset.note]


def test_a_secret_follows_its_issuer_only_when_somebody_agrees(home: Home) -> None:
    """``set`` of ``auth.issuer`` moves the sealed secrets of the client only with ``--yes``, and seals them anew."""
    other = "https://other.example.com"
    home.run("add", "new", URL, "--client-credentials", *CLIENT, "--client-secret-stdin", stdin=SECRET)

    refused = home.refused("set", "new", "auth.issuer", other, code=8)
    assert "the sealed auth.client_secret would go to 'https://other.example.com'" in refused
    assert "sealed values are bound to it" in home.refused("set", "new", "auth.issuer", "--unset", code=8)

    home.run("set", "new", "auth.issuer", other, "--yes")
    assert {"kind": "client_credentials", "client_id": "robot", "issuer": other,
            "client_secret": ["auth.issuer", other]} == auth(home, "new")  # fmt: skip
    assert SECRET == home.open().file.secret("new", "auth.client_secret").reveal()


def test_the_fields_of_oauth_can_be_set(home: Home) -> None:
    """Scopes, switches and the url are set as typed; what is for the issuer stays when the url changes."""
    home.run("add", "new", URL, "--oauth", *CLIENT, "--client-secret-stdin", stdin=SECRET)
    with home.open().change() as change:
        change.set_plain("new", "auth.scope", "read")

    home.run("set", "new", "auth.dpop", "true")
    home.run("set", "new", "url", "https://moved.example.com/mcp")
    home.run("set", "new", "auth.scope", "--unset")

    assert {"kind": "oauth", **KNOWN, "client_secret": BOUND, "dpop": True} == auth(home, "new")
    assert "'all', 'refresh', 'none'" in home.refused("set", "new", "auth.persist", "some", code=8)
    assert "mcpvault set new auth.client_secret --stdin" in home.refused(
        "set", "new", "auth.client_secret", "x", code=2
    )


def test_an_address_that_is_no_client_is_refused_when_it_is_added(home: Home) -> None:
    """Not when somebody logs in (exit 8, and nothing is written)."""
    before = home.vault.read_bytes()
    done = home.run("add", "x", URL, "--oauth", "--client-metadata-url", "https://me.example.com/", code=8)
    assert "auth.client_metadata_url: expected an https URL with a path" in done.stderr
    assert before == home.vault.read_bytes()
