"""SPEC.md §3, §5, §6, §9.5, §10: judge a decoded tree without a key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from spec_bytes import DEEPEST, Refused, b64
from spec_forms import (
    Check,
    boolean,
    clean,
    each,
    encoded,
    integer,
    line,
    matching,
    need,
    one_of,
    ref,
    such,
    table,
    text,
    unique,
)
from spec_text import in_clear, is_duration, is_literal, is_rate, is_sensitive, is_time, longest_key, url_fault

LARGEST = 16 * 1024 * 1024
SUITE = "hpke-x25519-sha256-a256gcm+a256gcm+hs256"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SLOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}")
COMMAND = re.compile(r"(?!.*\$\{)[^\x00-\x1f\x7f]+")
HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
PROXY = re.compile(r"(?i:https?|socks5h?)://[\x21-\x7e]+|\$\{[^\n]+|")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
FIELD = re.compile(r"[a-z_]+(?:\.[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})?")
CLIENT_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?")
SECRET_FIELD = re.compile(r"(?:auth|headers|env)\.[\x21-\x7e]{1,128}")
STEPS = ("planned", "minted", "stored", "verified", "promoted", "grace", "revoked", "done", "aborted")
PLAIN_URL = re.compile(r"(?i:https?)://[^\s/?#@$\x00-\x1f\x7f-\U0010ffff]+(?:[/?](?!.*\$\{)[\x21-\x22\x24-\x7e]*)?")
ABSOLUTE = re.compile(r"/[^\x00-\x1f\x7f]*")
X_DEPTH = 16
MOST_PARTS = 32


# The text (§3)


def parse(data: bytes) -> dict[str, Any]:
    """Decode the bytes of a file to its tree."""
    need(len(data) <= LARGEST, "", "too large")
    need(not data.startswith(b"\xef\xbb\xbf"), "", "byte order mark")
    try:
        text = data.decode()
        need(longest_key(text) <= MOST_PARTS, "", "a key of too many parts")
        tree = tomllib.loads(text)
    except (ValueError, RecursionError):
        tree = None
    if tree is None:
        raise Refused("format", "", "no UTF-8, or no TOML")
    plain(tree, "", 0)
    return tree


def plain(value: Any, place: str, depth: int) -> None:
    """Refuse what §3 rules 2 and 5 do not allow, and what nests too deep for §8.1."""
    if isinstance(value, dict | list):
        need(depth < DEEPEST, place, "nested too deep")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            if isinstance(key, str):
                need(not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", key), place, "control character")
            plain(item, f"{place}.{key}", depth + 1)
    elif type(value) is str:
        need(not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", value), place, "control character")
    elif type(value) is int:
        need(-(2**63) <= value < 2**63, place, "beyond 64 bits")
    else:
        need(type(value) is bool, place, "no value of a vault")


# The header and its slots (§5, §6)

SLOT_KEYS: dict[str, dict[str, Check]] = {
    "raw": {"salt": encoded(16)},
    "passphrase": {
        "salt": encoded(16),
        "kdf": one_of("argon2id"),
        "m": integer(19456, 1048576),
        "t": integer(2, 16),
        "p": integer(1, 16),
    },
    "keyring": {"salt": encoded(16), "service": text},
    "recipient": {},
    "recovery": {"salt": encoded(16)},
}


def slot(value: Any, place: str) -> None:
    """Judge one slot."""
    need(type(value) is dict, place, "table")
    one_of(*SLOT_KEYS)(value.get("kind"), f"{place}.kind")
    one_of("admin", "reader")(value.get("role"), f"{place}.role")
    kind, admin = value["kind"], value["role"] == "admin"
    everywhere = {"id": matching(SLOT_NAME), "kind": text, "role": text, "pub": encoded(32), "box": encoded(80)}
    required = everywhere | SLOT_KEYS[kind] | ({"sbox": encoded(80)} if admin else {})
    optional: dict[str, Check] = {"pin": encoded(32), "created": such(is_time)}
    table(optional | ({"user": text} if kind == "keyring" else {}), required)(value, place)


def retired(epoch: Any) -> Check:
    """Return the check of the keys of §5.1."""

    def judge(value: Any, place: str) -> None:
        need(type(epoch) is int and type(value) is list and value, place, "at least one, before the vault's epoch")
        row = {"epoch": integer(1, epoch - 1), "key": sealed_line(epoch), "until": such(is_time)}
        each(table({}, row))(value, place)

    return judge


def header(value: Any) -> None:
    """Judge the table ``vault``."""
    need(type(value) is dict, "vault", "table")
    integer(1, 1)(value.get("format"), "vault.format")
    required = {
        "format": integer(1, 1),
        "id": encoded(16),
        "serial": integer(1, 2**63 - 1),
        "epoch": integer(1, 2**32 - 1),
        "suite": one_of(SUITE),
        "mac": encoded(32),
        "root": encoded(32),
        "sig": encoded(64),
        "slots": each(slot),
    }
    duration = such(is_duration)
    policy = table({"max_age": duration, "warn": duration, "grace": duration, "owner": text, "runbook": text})
    optional = {
        "allow_commands": boolean,
        "audit": one_of("on", "required", "off"),
        "policy": policy,
        "retired": retired(value.get("epoch")),
    }
    table(optional, required)(value, "vault")
    unique((slot["id"] for slot in value["slots"]), "vault.slots")
    need(sum(slot["kind"] == "passphrase" for slot in value["slots"]) <= 8, "vault.slots", "too many passphrases")
    need(any(slot["role"] == "admin" for slot in value["slots"]), "vault.slots", "no admin")


# Entries (§9.5, §10)


def sealed_line(epoch: int) -> Check:
    """Return the check of §9.1."""

    def judge(value: Any, place: str) -> None:
        need(type(value) is str, place, "text")
        parts = value.split(".")
        need(len(parts) == 4 and parts[:2] == ["mv1", str(epoch)], place, "another epoch, or no sealed line")
        need(b64(parts[2], 24) is not None, place, "salt")
        need(len(b64(parts[3]) or b"") >= 48, place, "ciphertext")

    return judge


def secret(epoch: int, bound_to: str, form: Check = ref) -> Check:
    """Return the check of a secret: a reference, or versions."""

    def bound(value: Any, place: str) -> None:
        each(clean)(value, place)
        need(len(value) >= 2 and value[0] == bound_to, place, f"{bound_to} and what it says")

    def judge(value: Any, place: str) -> None:
        if type(value) is str:
            need(not is_literal(value), place, "a secret in clear", "literal")
            form(value, place)
            return
        stages = ("current", "pending", "previous")
        required = {
            "v": integer(1, 2**63 - 1),
            "stage": one_of(*stages),
            "created": such(is_time),
            "bound": bound,
            "sealed": sealed_line(epoch),
        }
        each(table({"not_after": such(is_time), "due": text}, required))(value, place)
        need(len({version["v"] for version in value}) == len(value), place, "a version twice")
        count = {stage: sum(version["stage"] == stage for version in value) for stage in stages}
        need(count["current"] == 1 and max(count.values()) == 1, place, "one current version, at most one other each")

    return judge


def named(form: re.Pattern[str], hidden: Check, literal: Check, *, any_case: bool) -> Check:
    """Return the check of headers or variables: secret by name, or plain."""

    def judge(value: Any, place: str) -> None:
        need(type(value) is dict, place, "table")
        for name, item in value.items():
            need(form.fullmatch(name), f"{place}.{name}", "no such name")
            check = hidden if type(item) is list or is_sensitive(name) else literal
            check(item, f"{place}.{name}")
        if any_case:
            unique(value, place)

    return judge


def auth(epoch: int) -> Check:
    """Return the check of §10.2."""
    hidden, header_name = secret(epoch, "url.origin"), matching(HEADER_NAME)
    kinds: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
        "none": ({}, {}),
        "bearer": ({"header": header_name, "scheme": matching(SCHEME)}, {"token": hidden}),
        "header": ({}, {"name": header_name, "value": hidden}),
        "basic": ({}, {"username": ref, "password": hidden}),
        "custom": ({}, {}),
    }

    def judge(value: Any, place: str) -> None:
        need(type(value) is dict, place, "table")
        one_of(*kinds)(value.get("kind"), f"{place}.kind")
        optional, required = kinds[value["kind"]]
        table(optional, required | {"kind": text})(value, place)

    return judge


def url(value: Any, place: str) -> None:
    """Judge an entry's URL."""
    need(type(value) is str, place, "text")
    fault = url_fault(value)
    need(fault is None, place, fault[1] if fault else "", fault[0] if fault else "")


def word(value: Any, place: str) -> None:
    """Judge a word of a rotator's command."""
    text(value, place)
    clean(value, place)


def argument(value: Any, place: str) -> None:
    """Judge an argument (§11.3)."""
    clean(value, place)
    shown = re.search(r"(?<!\$)\$\{(cmd|cred|file|keyring|vault):", value)
    need(shown is None, place, "a secret that all users of the host can read", "literal")


def absolute_path(value: Any, place: str) -> None:
    """Judge a path."""
    text(value, place)
    matching(ABSOLUTE)(value, place)


def plain_url(value: Any, place: str) -> None:
    """Judge the URL of a registration (§10.3)."""
    text(value, place)
    matching(PLAIN_URL)(value, place)


def judge_rotation(value: Any, place: str) -> None:
    """Judge the journal of a rotation (§10.4)."""
    client_id = matching(CLIENT_ID)
    table(
        {
            "host": text,
            "grace": such(is_duration),
            "until": such(is_time),
            "ended": such(is_time),
            "problem": text,
            "undo": boolean,
            "command": each(word),
            **dict.fromkeys(("pending_client_id", "previous_client_id"), client_id),
            **dict.fromkeys(("pending_client_uri", "previous_client_uri"), plain_url),
            **dict.fromkeys(("pending_key_id", "previous_key_id"), text),
        },
        {
            "id": encoded(16),
            "field": matching(SECRET_FIELD),
            "rotator": matching(NAME),
            "step": one_of(*STEPS),
            "attempt": integer(0, 2**63 - 1),
            "started": such(is_time),
            "updated": such(is_time),
            "by": text,
        },
    )(value, place)


def host(value: Any, place: str) -> None:
    """Judge a host that discovery may lead to."""
    matching(HOST)(value, place)
    clean(value, place)


def proxy(value: Any, place: str) -> None:
    """Judge the URL of a proxy."""
    matching(PROXY)(value, place)
    ref(value, place)
    user, at, _ = re.split("[/?#]", value.partition("://")[2], maxsplit=1)[0].rpartition("@")
    need(not (at and in_clear(user).partition(":")[2]), place, "a password in clear", "literal")


def own_key(value: Any, place: str, depth: int = 1) -> None:
    """Judge what stands below an ``x-`` key."""
    if isinstance(value, dict | list):
        need(depth <= X_DEPTH, place, "nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            own_key(item, place, depth + 1)
    elif type(value) is str:
        clean(value, place)


def judge(tree: Mapping[str, Any]) -> None:
    """Judge the whole tree."""
    need(set(tree) <= {"vault", "servers"}, "", "no such key")
    header(tree.get("vault"))
    servers, epoch = tree.get("servers", {}), tree["vault"]["epoch"]
    need(type(servers) is dict, "servers", "table")
    unique(servers, "servers")
    seconds = integer(1, 86400)
    both: dict[str, Check] = {
        "timeout": table({"connect": seconds, "read": seconds, "total": seconds}),
        "retries": integer(0, 10),
        "max_message": integer(1, 4096),
        "era": one_of("auto", "modern", "legacy"),
        "credential": matching(NAME),
        "run_env": named(VARIABLE, matching(FIELD), matching(FIELD), any_case=False),
        **dict.fromkeys(("note", "owner", "runbook"), text),
        "policy": table(
            {
                **dict.fromkeys(("max_age", "warn", "grace"), such(is_duration)),
                "rotator": matching(NAME),
                "command": each(word),
                "probe_tool": text,
                "jwks_file": absolute_path,
            }
        ),
        "rotation": judge_rotation,
    }
    http: dict[str, Check] = {
        "headers": named(HEADER_NAME, secret(epoch, "url.origin", line), line, any_case=True),
        "auth": auth(epoch),
        "proxies": table(dict.fromkeys(("http", "https"), proxy)),
        "tls": table(dict.fromkeys(("ca_file", "client_cert_file", "client_key_file"), ref)),
        "rate_limit": such(is_rate),
        "allow_http": boolean,
        "transport": one_of("http", "sse", "auto"),
        "allow_private_hosts": each(host),
    }
    stdio: dict[str, Check] = {
        "args": each(argument),
        "env": named(VARIABLE, secret(epoch, "command"), clean, any_case=False),
        "cwd": ref,
        "approved": boolean,
    }
    for name, entry in servers.items():
        place = f"servers.{name}"
        need(NAME.fullmatch(name), place, "no such name")
        need(type(entry) is dict, place, "table")
        need(("url" in entry) != ("command" in entry), place, "either url or command")
        own = {key: own_key for key in entry if key.startswith("x-")}
        if "url" in entry:
            table(both | http | own, {"url": url})(entry, place)
        else:
            table(both | stdio | own, {"command": matching(COMMAND)})(entry, place)
