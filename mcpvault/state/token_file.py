"""
The file of one credential: facts in clear, and one sealed line that is bound to them.

Decides the text. Leaves locks to ``tokens`` and cryptography to the two callables that it is given.

Spec: SPEC §9.6.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable
from typing import Any

from mcpvault.errors import VaultFormatError
from mcpvault.secret import Secret
from mcpvault.state.record import STATUSES, Facts, KeptAnswer, Lifetime, TokenRecord
from mcpvault.tokens import as_json, authorization_server, registration, token_set
from vault_schema.canonical import canonical, pae
from vault_schema.errors import SchemaError
from vault_schema.record import Record

Seal = Callable[[bytes, bytes], str]  # data, associated data -> one line
Unseal = Callable[[str, bytes], bytes]
Tree = dict[str, Any]

FORMAT = 1
BLOCK = 16 * 1024  # bytes
_HEAD = "# Written by mcpvault. What stands here in clear is sealed too: do not edit.\n"
_TYPES = {"None": "NoneType", "Status": "str", "tuple[str, ...]": "tuple"}  # as annotations call some


def render(record: TokenRecord, *, vault_id: str, credential: str, seal: Seal) -> bytes:
    """
    Return the file that says *record*.

    It fills whole blocks, so that the room that is held for an answer is enough: what the record was.
    """
    from vault_schema import dump_plain

    clear = _clear(record.facts(credential))
    sealed = seal(_payload(record), _associated(vault_id, credential, clear))
    data = (_HEAD + dump_plain({**clear, "sealed": sealed})).encode()
    return data + b"#" + b" " * (-(len(data) + 2) % BLOCK) + b"\n"


def place_of(store: object, name: str) -> str:
    """Return what messages call the file *name* of *store*: with its folder, where it has one."""
    folder = getattr(store, "path", None)
    return f"{folder}/{name}" if folder is not None else name


def facts_in(data: bytes, *, place: str, whole: bool = True) -> Facts:
    """
    Return what a file says in clear, if it is *whole*.

    Raises:
        VaultFormatError: It is no such file, or not whole; it stays as it is.
    """
    clear = _parsed(data, place)
    if whole and not isinstance(clear.get("sealed"), str):  # it is written last: what was cut short has none
        raise _damaged(place, "is not whole")
    return _facts(clear, place)


def record_in(data: bytes, *, vault_id: str, credential: str, unseal: Unseal, place: str) -> TokenRecord:
    """
    Return the record that a file holds.

    Raises:
        VaultFormatError: It is no such file, or belongs to another credential.
        VaultError: The sealed line does not open (*unseal* says why).
    """
    clear = _parsed(data, place)
    facts = _facts(clear, place)
    sealed = clear.pop("sealed", None)
    if not isinstance(sealed, str) or facts.credential != credential:
        raise _damaged(place, "is of another credential" if isinstance(sealed, str) else "is not whole")
    associated: bytes | None = None
    try:
        associated = _associated(vault_id, credential, clear)
    except SchemaError:
        pass
    if associated is None:
        raise _damaged(place, "is damaged")
    record = _record(facts, unseal(sealed, associated))
    if record is None:
        raise _damaged(place, "holds something that this version does not understand")
    return record


def _associated(vault_id: str, credential: str, clear: Tree) -> bytes:
    return pae("mcpvault/1/state", vault_id, credential, canonical(clear))


def _clear(facts: Facts) -> Tree:
    tree: Tree = {"format": FORMAT}
    for name, value in facts.fields().items():
        if isinstance(value, Record):
            tree[name] = {field: _said(held) for field, held in value.fields().items() if held is not None}
        elif value is not None:
            tree[name] = _said(value)
    return tree


def _said(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_said(item) for item in value]
    # A server may have named something with half a surrogate, which no file can hold.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _parsed(data: bytes, place: str) -> Tree:
    tree: Tree | None = None
    try:
        tree = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        pass
    if not tree or "format" not in tree:
        raise _damaged(place, "is damaged" if data else "is empty")
    if tree["format"] != FORMAT:
        raise _damaged(place, "was written by another version of mcpvault")
    return tree


def _facts(tree: Tree, place: str) -> Facts:
    told = {name: tree[name] for name in Facts.names() if name in tree}
    facts: Facts | None = None
    try:
        if isinstance(told.get("intent"), dict):
            from mcpvault.state.journal import Intent

            told["intent"] = Intent(**told["intent"])
        if isinstance(told.get("trouble"), dict):
            from mcpvault.state.brake import Trouble

            told["trouble"] = Trouble(**told["trouble"])
        if isinstance(told.get("lifetime"), dict):
            told["lifetime"] = Lifetime(**told["lifetime"])
        if isinstance(told.get("entries"), list):
            told["entries"] = tuple(told["entries"])
        facts = Facts(**told)
    except TypeError:
        pass
    if facts is None or not _sound(facts) or facts.status not in STATUSES:
        raise _damaged(place, "is damaged")
    return facts


def _sound(record: Record) -> bool:
    """Tell whether every field has the type that its class says."""
    kinds = type(record).__annotations__
    for name, value in record.fields().items():
        if type(value).__name__ not in [_TYPES.get(kind, kind) for kind in kinds[name].split(" | ")]:
            return False
        if isinstance(value, Record) and not _sound(value):
            return False
    return True


def _payload(record: TokenRecord) -> bytes:
    told: Tree = {}
    for name in ("tokens", "registration", "server", "successor"):
        held = getattr(record, name)
        if held is not None:
            told[name] = as_json(held)
    told["issuer"], told["resource"] = record.issuer, record.resource
    for name in ("idp_issuer", "subject"):
        if getattr(record, name) is not None:
            told[name] = getattr(record, name)
    if record.shown is not None:  # of a secret that people may have chosen: not in clear
        told["shown"] = record.shown
    if record.dpop_key is not None:
        told["dpop_key"] = record.dpop_key.reveal()
    if record.successor is not None:
        told["successor_since"] = record.successor_since
    if (answer := record.answer) is not None:
        body = base64.b64encode(answer.body).decode()
        told["answer"] = {**answer.fields(), "headers": dict(answer.headers), "body": body}
    return json.dumps(told).encode()


def _record(facts: Facts, payload: bytes) -> TokenRecord | None:
    """Return the record, None where the payload is not understood; what is in it stays in this frame."""
    try:
        told = json.loads(payload)
        answer = told.get("answer")
        return TokenRecord(
            generation=facts.generation,
            status=facts.status,
            host=facts.host,
            host_name=facts.host_name,
            origin=facts.origin,
            issuer=told["issuer"],
            resource=told["resource"],
            kind=facts.kind,
            client_id=facts.client_id if "registration" not in told else None,
            idp_issuer=told.get("idp_issuer"),
            subject=told.get("subject"),
            entries=facts.entries,
            tokens=token_set(told["tokens"]) if "tokens" in told else None,
            registration=registration(told["registration"]) if "registration" in told else None,
            server=authorization_server(told["server"]) if "server" in told else None,
            dpop_key=Secret(told["dpop_key"]) if "dpop_key" in told else None,
            rejections=facts.rejections,
            intent=facts.intent,
            trouble=facts.trouble,
            lifetime=facts.lifetime,
            successor=registration(told["successor"]) if "successor" in told else None,
            successor_since=told.get("successor_since", 0),
            answer=KeptAnswer(**{**answer, "body": base64.b64decode(answer["body"])}) if answer else None,
            shown=str(told["shown"]) if "shown" in told else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _damaged(place: str, how: str) -> VaultFormatError:
    return VaultFormatError(f"{place}: {how}", hint="it is kept as it is; log in again to replace it")
