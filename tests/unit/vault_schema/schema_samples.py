"""Small vaults to take apart: a good tree, and the text of it."""

from __future__ import annotations

import base64
from typing import Any

import vault_schema

Tree = dict[str, Any]


def b64(size: int, byte: int = 1) -> str:
    """Return *size* bytes in base64url."""
    return base64.urlsafe_b64encode(bytes([byte]) * size).rstrip(b"=").decode()


def sealed(epoch: int = 3, byte: int = 1) -> str:
    """Return something of the form of a sealed value."""
    return f"mv1.{epoch}.{b64(24, byte)}.{b64(48, byte)}"


def version(number: int = 1, stage: str = "current", **rest: Any) -> Tree:
    """Return one version of a secret bound to ``https://mcp.example.com``."""
    return {
        "v": number,
        "stage": stage,
        "created": "2026-07-28T09:30:00Z",
        "bound": ["url.origin", "https://mcp.example.com:443"],
        "sealed": sealed(byte=number),
        **rest,
    }


def slot(name: str = "alice", role: str = "admin", **rest: Any) -> Tree:
    """Return a raw slot."""
    tree: Tree = {"id": name, "kind": "raw", "role": role, "salt": b64(16), "pub": b64(32), "box": b64(80)}
    return {**tree, **({"sbox": b64(80)} if role == "admin" else {}), "pin": b64(32), **rest}


def header(**rest: Any) -> Tree:
    """Return the ``vault`` table with one admin slot and one reader slot."""
    tree: Tree = {"format": 1, "id": b64(16), "serial": 42, "epoch": 3}
    tree["suite"] = "hpke-x25519-sha256-a256gcm+a256gcm+hs256"
    tree |= {"mac": b64(32), "root": b64(32, 2), "sig": b64(64), "slots": [slot(), slot("cron", "reader")]}
    return {**tree, **rest}


def bearer(**rest: Any) -> Tree:
    """Return an HTTP entry with a sealed bearer token."""
    return {"url": "https://mcp.example.com/mcp", "auth": {"kind": "bearer", "token": [version()]}, **rest}


def vault(**servers: Tree) -> Tree:
    """Return a whole vault with these servers."""
    return {"vault": header(), "servers": servers}


def text(tree: Tree) -> str:
    """Return the text of a tree."""
    return vault_schema.new_text(tree)


def refusal(tree_or_text: Tree | str | bytes) -> vault_schema.SchemaError:
    """Return the error with which a vault is refused."""
    source = text(tree_or_text) if isinstance(tree_or_text, dict) else tree_or_text
    try:
        vault_schema.parse(source)
    except vault_schema.SchemaError as error:
        return error
    raise AssertionError("this vault was accepted")
