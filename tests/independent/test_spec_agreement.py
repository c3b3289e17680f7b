"""The program and the independent decoder judge alike, whatever is written into a vault."""

from __future__ import annotations

import copy
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from spec_bytes import Refused
from spec_rules import judge
from spec_rules import parse as parse_by_the_page

import vault_schema

KIT = Path(__file__).parents[2] / "vault_schema" / "testkit"
BATCH = 250  # vaults to a seed
PARTS = 12  # into which the texts are dealt

TEXTS = [
    *(
        "",
        "x",
        "é",
        "a b",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\0b",
        "a\x07b",
        "a" * 16,
        "a" * 64,
        "a" * 65,
        "a" * 128,
        "a" * 129,
    ),
    *("${env:X}", "${X}", "${X?}", "$${X}", "a $${", "$$${X}", "${", "${x", "a${b}c", "${env:X:-d}", "${file:/a:-b}"),
    *(
        '${cmd:["a","}"]}',
        '${cmd:["a"]}b',
        "${cmd:[",
        "token ${env:X}",
        "abcdefgh${env:X}ijklmnop",
        "$${abcdefghijklmn",
    ),
    *("${env:X}abcdefghijklmnop", "${env:A:-ghp_aaaaaaaaaaaaaaaaaaaa}", "${env:npm_config_registry_of_mine}"),
    *(
        "${env:ghp_aaaaaaaaaaaaaaaaaaaa}",
        "${sk-aaaaaaaaaaaaaaaaaaaa:-}",
        "https://h/${A}/${env:ghp_aaaaaaaaaaaaaaaaaaaa?}",
    ),
    *(
        "${file:/ghp_aaaaaaaaaaaaaaaaaaaa}",
        "${env:sk_aaaaaaaaaaaa_aaa_key}",
        "http://p:1/${env:sk_aaaaaaaaaaaaa_aaa_key}",
    ),
    *("ghp_aaaaaaaaaaaaaaaaaaaa", "x-ghp_aaaaaaaaaaaaaaaaaaaa", "Bearer abcdefgh1234567", "bearer ${env:T}"),
    *("eyJhbGciOiJ.eyJhbGciOiJI", "-----BEGIN RSA PRIVATE KEY", "pg://u:p@h", "pg://u:${env:P}@h", "pg://u${X}:p@h"),
    *(
        "https://h",
        "HTTPS://H.Example:443/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:00080/x",
        "http://h:/",
        "http://",
    ),
    *("https://u@h/", "https://u:p@h/", "https://${env:H}/", "https://h.example./", "https://h..e/", "https://a_b.c-/"),
    *("https://[::1]/", "https://[::ffff:1.2.3.4]/", "https://[fe80::1%25eth0]/", "https://[::1/", "https://é/"),
    *(
        "https://1.2.3.4/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://01.2.3.4/",
        "https://" + "a" * 250 + ".example/",
    ),
    *("https://h/a#b", "https://h/${A:-#}", "https://h/a\\b", "https://h/ b", "https://h?a=b", "https://h/${P?}/x?q=1"),
    *(
        "https://h/?token=abc",
        "https://h/?token=",
        "https://h/?token=${T}",
        "https://h/?token=${T:-}",
        "https://h/?a=b+c",
    ),
    *("https://h/?token=${T:-x}", "https://h/?to%6ben=abc", "https://h/?token=${T}&a=${A:-1}", "https://h/?key=x${T}"),
    *("https://h/?a=ghp_aaaaaaaaaaaaaaaaaaaa", "https://h/?a=${env:npm_config_registry_of_mine}"),
    *("socks5://p:1", "socks5://u:p@h:1", "socks5://u:${env:P}@h:1", "${env:PROXY}", "ftp://h"),
    *("2026-02-28T00:00:00Z", "2026-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2100-02-29T00:00:00Z"),
    *("2026-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T24:00:00Z"),
    *(
        "2026-01-01T00:00:00+00:00",
        "90d",
        "10/s",
        "0/s",
        "9999/d",
        "10000/s",
        "10/w",
        "0d",
        "99999s",
        "100000s",
        "9y",
        "modern",
        "none",
        "bearer",
        "basic",
    ),
    *("header", "custom", "url.origin", "command", "pending", "reader", "recipient", "passphrase", "keyring"),
    *("10/s", "0/s", "9999/d", "10000/s", "10/w"),
    *(f"mv1.1.{'A' * 32}.{'A' * length}" for length in (63, 64, 65, 66, 67, 68)),
    *(f"mv1.1.{'A' * 32}.{'A' * 64}{end}" for end in ("AB", "AQ", "AAB", "AAE", "=")),
    *(f"mv1.{epoch}.{'A' * 32}.{'A' * 64}" for epoch in ("0", "01", "2")),
]
VALUES: list[Any] = [
    *TEXTS,
    *({"kind": "bearer", "token": "${T}"}, {"grace": "1d", "command": ["mint"]}, {"jwks_file": "/k.json"}),
    *(True, False, 0, 1, 2, -1, 16, 17, 300, 19456, 1048577, 4096, 4097, 86400, 86401, 2**32 - 1, 2**32, 2**63 - 1),
    *([], [1], ["a"], ["${env:X}"], ["${cred:x}"], ["url.origin"], ["url.origin", "x"], ["command", "x"], [{}]),
    *({}, {"a": 1}, {"": {"\x07": 1}}, {"kind": "none"}, {"read": 5}, {"X-Foo": "${X}"}, {"X-Token": "${X}"}),
]
NAMES = [
    *("url", "command", "args", "env", "cwd", "approved", "headers", "auth", "timeout", "retries", "proxies", "tls"),
    *(
        "allow_http",
        "allow_private_hosts",
        "transport",
        "rate_limit",
        "max_message",
        "era",
        "credential",
        "note",
        "owner",
        "runbook",
        "policy",
        "x-a",
        "x-",
        "X-a",
    ),
    *("kind", "token", "header", "scheme", "name", "value", "username", "password", "connect", "read", "total", "http"),
    *("https", "ca_file", "max_age", "warn", "X-Key", "x-key", "X-Api-Version", "PATH", "DB_PASSWORD", "MAX_TOKENS"),
    *("a.b", "", "é", "x-\x07", "A" * 64, "A" * 65, "A" * 128, "A" * 129, "v", "stage", "created", "bound", "sealed"),
    *(
        "not_after",
        "pin",
        "sbox",
        "salt",
        "kdf",
        "m",
        "t",
        "p",
        "service",
        "user",
        "id",
        "role",
        "pub",
        "box",
        "serial",
    ),
    *("allow_commands", "run_env", "TOKEN", "retired", "epoch", "key", "until", "due", "audit", "required"),
    *("rotation", "step", "attempt", "rotator", "field", "command", "grace", "jwks_file"),
]
ENTRY_NAMES = NAMES[:26]


def tree(vector: str) -> dict[str, Any]:
    """Return the tree of a good vector."""
    return tomllib.loads((KIT / f"good-{vector}.vault").read_bytes().partition(b"\n---\n")[2].decode())


GOOD = [tree("every-kind"), tree("every-kind"), tree("several-slots"), tree("keyring")]


def by_the_page(data: bytes) -> str | None:
    """Return why the independent decoder refuses the text, without a key."""
    try:
        judge(parse_by_the_page(data))
    except Refused as refusal:
        return str(refusal)
    return None


def by_the_program(data: bytes) -> str | None:
    """Return why the program does."""
    try:
        vault_schema.parse(data)
    except vault_schema.SchemaError as error:
        return str(error)
    return None


def tables(value: Any) -> list[Any]:
    """Return all tables and arrays of a tree."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [deeper for item in inner for deeper in tables(item)]
    return [value, *found] if isinstance(value, dict | list) else found


def change(node: Any, chance: random.Random) -> None:
    """Put one thing into a table or an array, or take one away."""
    value, what = copy.deepcopy(chance.choice(VALUES)), chance.random()
    if isinstance(node, list):
        if what < 0.6 and node:
            node[chance.randrange(len(node))] = value
        elif node:
            node.append(copy.deepcopy(chance.choice(node)))
    elif what < 0.2 and node:
        del node[chance.choice([*node])]
    elif what < 0.7 and node:
        node[chance.choice([*node])] = value
    else:
        node[chance.choice(NAMES)] = value


def damaged(chance: random.Random) -> bytes:
    """Return the text of a good vault with something put into it."""
    vault = copy.deepcopy(chance.choice(GOOD))
    entry = chance.choice([*vault["servers"].values()])
    if chance.random() < 0.6:
        entry[chance.choice(ENTRY_NAMES)] = copy.deepcopy(chance.choice(VALUES))
    for _ in range(chance.choice([0, 1, 1, 2])):
        change(chance.choice(tables(vault)), chance)
    return tomli_w.dumps(vault).encode()


def agree(data: bytes) -> None:
    """Both take the text, or both refuse it."""
    page, program = by_the_page(data), by_the_program(data)
    assert (page is None) == (program is None), f"{page} / {program}\n{data.decode()}"


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.storm) for n in range(3, 400))])
def test_both_judge_damaged_vaults_alike(seed: int) -> None:
    """Whatever is written where, both take the vault or both refuse it."""
    chance = random.Random(seed)
    for _ in range(BATCH):
        agree(damaged(chance))


def places(vault: dict[str, Any]) -> list[Callable[[Any], None]]:
    """Return what writes a value into each leaf of the entries."""
    return [
        lambda value, node=node, key=key: node.__setitem__(key, value)
        for node in tables(vault["servers"])
        for key in (node if isinstance(node, dict) else range(len(node)))
    ]


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.storm) for n in range(1, PARTS))])
def test_both_judge_each_text_in_each_place_alike(part: int) -> None:
    """A borderline text, in any field of any kind of entry, is taken by both or by none."""
    for place in range(len(places(tree("every-kind")))):
        for text in TEXTS[part::PARTS]:
            vault = tree("every-kind")
            places(vault)[place](text)
            agree(tomli_w.dumps(vault).encode())


@pytest.mark.parametrize(
    ("entry", "taken"),
    [
        ({"args": ["${env:X}"]}, True),
        ({"args": ["$${file:/x}", "${files}"]}, True),
        ({"args": ["a", "--b=\n${file:/x}"]}, False),
        ({"args": ["${env:X:-${cmd:x}"]}, False),
        ({"x-a": "\0"}, False),
        ({"x-a": {"\x07": 1}}, False),
        ({"x-\x07": 1}, False),
        ({"x-a": "${X}"}, True),
        ({"note": "${X}"}, False),
        ({"args": ["--registry=${env:npm_config_registry_of_mine}"]}, True),
    ],
)
def test_what_an_entry_may_hold(entry: dict[str, Any], taken: bool) -> None:
    """Control characters stand nowhere; references where the page says so, without being taken for secrets."""
    vault = tree("no-servers")
    vault["servers"] = {"s": {"command": "npx", **entry}}
    data = tomli_w.dumps(vault).encode()

    assert [taken, taken] == [by_the_page(data) is None, by_the_program(data) is None]


def test_a_binding_may_hold_references() -> None:
    """A variable is bound to its command with the references unexpanded, and the vault that says so is good."""
    vault = tree("every-kind")
    entry = vault["servers"]["Files-1"]
    entry["args"] = ["${env:PLACE}"]
    entry["env"]["DB_PASSWORD"][0]["bound"] = ["command", "npx", "${env:PLACE}"]
    data = tomli_w.dumps(vault).encode()

    assert [None, None] == [by_the_page(data), by_the_program(data)]
