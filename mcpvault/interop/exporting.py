"""
``export``: entries of the vault as another client writes them, with references and never a secret.

Decides which form an entry gets: the client's own where that can say all that matters, else the one that asks the
vault. Needs no key: what is sealed stays sealed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.interop.targets import TARGETS, Target, Tree
from mcpvault.vault.references import split
from vault_schema import Document, ServerEntry, origin_of
from vault_schema.fields import OAUTH_KINDS
from vault_schema.record import Record

# What a client's own words say of the way to a server: another way does not have them. The rest holds for any.
_FORM = frozenset({"type", "transport"})
_REACHED_BY = _FORM | {
    *("command", "args", "env", "env_vars", "envFile", "cwd", "url", "serverUrl", "httpUrl", "headers", "oauth"),
    *("auth", "authProviderType", "targetAudience", "targetServiceAccount", "oauth_resource", "scopes"),
    *("bearer_token_env_var", "http_headers", "env_http_headers", "sse_read_timeout", "experimental_environment"),
}
_INPUT = re.compile(r"\$\{input:([^}]+)\}")


class Exported(Record):
    """What one entry became: ``native``, ``helper`` or ``stdio``, why, and what the client is not told."""

    name: str
    form: str
    why: str | None = None
    losses: tuple[str, ...] = ()


class Export(Record):
    """The client's file as text and as a tree, and what became of each entry."""

    text: str
    entries: tuple[Exported, ...]
    tree: Tree
    toml: bool


class _Unsaid(Exception):
    """The client has no words for it; never leaves this module."""


def export(document: Document, names: Iterable[str], client: str, *, ask_vault: bool = False) -> Export:
    """
    Return the file of *client* with the entries *names*.

    Args:
        document: The vault.
        names: Entries.
        client: A key of ``TARGETS``.
        ask_vault: Let every entry ask the vault, also those that the client could say itself.

    Raises:
        ConfigurationError: There is no such client.
    """
    if client not in TARGETS:
        raise ConfigurationError(f"there is no writer {client!r}", hint=f"known are: {', '.join(TARGETS)}")
    target = TARGETS[client]
    servers: Tree = {}
    inputs: list[Tree] = []
    told = []
    for name in names:
        held = document.tree["servers"][name]
        own = dict(held.get(f"x-{client}", {}))
        asked = _asked(own.pop("inputs", None)) if client == "vscode" else {}
        server, done = _server(document.server(name), _asking(target, asked), ask_vault=ask_vault)
        if done.form == "stdio":
            losses = [f"{key}: kept below x-{client}, and means nothing where the vault is asked"
                      for key in own if key in _REACHED_BY and key not in _FORM]  # fmt: skip
            own = {key: value for key, value in own.items() if key not in _REACHED_BY}
            done = done.replaced(losses=tuple(losses))
        kept = {**_timeout(held, target), **own}
        servers[name] = server = {**server, **{key: value for key, value in kept.items() if key not in server}}
        told.append(done)
        known = {each["id"] for each in inputs}
        inputs += [each for each in _inputs(server, asked) if client == "vscode" and each["id"] not in known]
    tree: Tree = {target.root: servers, **({"inputs": inputs} if inputs else {})}
    text = _toml(tree) if target.toml else json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return Export(text, tuple(told), tree, target.toml)


def shown(made: Export, name: str) -> str:
    """Return the text of one of its servers alone."""
    [(root, servers), *_] = made.tree.items()
    return _toml({root: {name: servers[name]}}) if made.toml else json.dumps({name: servers[name]}, indent=2)


def _server(entry: ServerEntry, target: Target, *, ask_vault: bool) -> tuple[Tree, Exported]:
    asks: Tree = {**target.stdio, "command": "mcpvault", "args": ["stdio", entry.name]}
    if ask_vault:
        return asks, Exported(entry.name, "stdio")
    try:
        if entry.command is not None:
            return _stdio(entry, target), Exported(entry.name, "native", losses=_unsaid(entry, target))
        if target.url is None:
            raise _Unsaid("the client knows no HTTP servers")
        if target.helper and _holds_secret(entry):
            return _helped(entry, target), Exported(entry.name, "helper", losses=_unsaid(entry, target))
        return _http(entry, target), Exported(entry.name, "native", losses=_unsaid(entry, target))
    except _Unsaid as error:
        return asks, Exported(entry.name, "stdio", str(error))


def _holds_secret(entry: ServerEntry) -> bool:
    held = [*entry.headers.values(), entry.auth.token, entry.auth.value, entry.auth.password]
    return entry.auth.kind in OAUTH_KINDS or any(isinstance(each, tuple) for each in held)


def _helped(entry: ServerEntry, target: Target) -> Tree:
    if entry.auth.dpop:
        raise _Unsaid("each of its requests needs a proof of its own (DPoP)")
    asks = f"mcpvault headers {entry.name} --for {shlex.quote(origin_of(str(entry.url)))}"
    return {**_http(entry.replaced(headers={}, auth=type(entry.auth)()), target), "headersHelper": asks}


def _stdio(entry: ServerEntry, target: Target) -> Tree:
    if not entry.approved:
        raise _Unsaid("its command has not been approved")
    found: Tree = {**target.stdio, "command": entry.command}
    if entry.args:
        found["args"] = [_text(arg, target, "stdio") for arg in entry.args]
    if entry.cwd is not None and not target.cwd:
        raise _Unsaid("the client knows no cwd")
    passed = [name for name, held in entry.env.items() if target.toml and _variable(held) == name]
    env = {name: _open(held, target, "stdio") for name, held in entry.env.items() if name not in passed}
    if env:
        found["env"] = env
    if passed:
        found["env_vars"] = passed
    if entry.cwd is not None:
        found["cwd"] = _text(entry.cwd, target, "stdio")
    return found


def _http(entry: ServerEntry, target: Target) -> Tree:
    auth = entry.auth
    if auth.kind not in ("none", "bearer", "header"):
        raise _Unsaid(f"its credential is of kind {auth.kind}")
    kind: Mapping[str, str] | None = target.sse if entry.transport == "sse" else target.http
    if kind is None:
        raise _Unsaid("the client's form does not say HTTP+SSE")
    found: Tree = {**kind, target.url or "url": _text(entry.url or "", target, "url")}
    headers: dict[str, Any] = dict(entry.headers)
    if auth.kind == "bearer":
        scheme = f"{auth.scheme} " if auth.scheme else ""
        headers[auth.header] = f"{scheme}{auth.token}" if isinstance(auth.token, str) else auth.token
    elif auth.kind == "header":
        headers[auth.name or "Authorization"] = auth.value
    if target.toml:
        return {**found, **_codex_headers(headers, target)}
    said = {name: _open(held, target, "header") for name, held in headers.items()}
    return {**found, **({"headers": said} if said else {})}


def _codex_headers(headers: Mapping[str, Any], target: Target) -> Tree:
    found: Tree = {}
    for name, held in headers.items():
        bearer = held.removeprefix("Bearer ") if isinstance(held, str) else held
        if name.lower() == "authorization" and bearer != held and (variable := _variable(bearer)) is not None:
            found["bearer_token_env_var"] = variable
        elif (variable := _variable(held)) is not None:
            found.setdefault("env_http_headers", {})[name] = variable
        else:
            found.setdefault("http_headers", {})[name] = _open(held, target, "header")
    return found


def _variable(held: object) -> str | None:
    """Return the variable that the whole of a value refers to, or None."""
    pieces = split(held, where="value") if isinstance(held, str) else []
    if len(pieces) != 1 or isinstance(pieces[0], str):
        return None
    only = pieces[0]
    return only.body if only.scheme == "env" and only.default is None and not only.optional else None


def _open(held: Any, target: Target, place: str) -> str:
    if not isinstance(held, str):
        raise _Unsaid("holds a secret")
    return _text(held, target, place)


def _text(text: str, target: Target, place: str) -> str:
    """Return *text* with its references as the client writes them."""
    found = ""
    for piece in split(text, where="value"):
        if isinstance(piece, str):
            if "${" in piece:
                raise _Unsaid("holds a literal ${")
            found += piece
            continue
        if piece.scheme != "env" or piece.optional:
            raise _Unsaid(f"the client has no reference of kind {piece.scheme}{'?' if piece.optional else ''}")
        said = target.say(piece.body, piece.default, place)
        if said is None:
            raise _Unsaid("the client has no such reference")
        found += said
    return found


_OURS = ("timeout", "retries", "proxies", "tls", "allow_http", "allow_private_hosts", "era", "rate_limit")


def _timeout(held: Mapping[str, Any], target: Target) -> Tree:
    """Return the limit of time for a call as the client writes it, where the entry sets one."""
    seconds = held.get("timeout", {}).get("total")
    return {target.timeout[0]: seconds * target.timeout[1]} if target.timeout and seconds is not None else {}


def _unsaid(entry: ServerEntry, target: Target) -> tuple[str, ...]:
    """Return what of an entry the client's own form does not say."""
    usual, said = ServerEntry(name=entry.name).fields(), entry.fields()
    if target.timeout is not None:
        said["timeout"] = entry.timeout.replaced(total=usual["timeout"].total)
    return tuple(f"{name}: holds here only" for name in _OURS if name in said and said[name] != usual[name])


def _asked(kept: object) -> dict[str, Tree]:
    """Return the inputs that an entry had in VS Code, by the variable that stands for each here."""
    held = kept if isinstance(kept, dict) else {}
    return {name: each for name, each in held.items() if isinstance(each, dict) and isinstance(each.get("id"), str)}


def _asking(target: Target, asked: Mapping[str, Tree]) -> Target:
    """Let *target* ask for a variable as it did before."""

    def say(name: str, default: str | None, place: str) -> str | None:
        if name in asked and default in (None, asked[name].get("default")):
            return f"${{input:{asked[name]['id']}}}"
        return target.say(name, default, place)

    return target.replaced(say=say) if asked else target


def _inputs(server: Tree, asked: Mapping[str, Tree]) -> Iterator[Tree]:
    """Yield what VS Code is to ask a person for, once each."""
    before = {each["id"]: each for each in asked.values()}
    for name in dict.fromkeys(_INPUT.findall(json.dumps(server, ensure_ascii=False))):
        usual = {"type": "promptString", "id": name, "description": name, "password": True}
        yield before[name] if name in before and "type" in before[name] else usual


def _toml(tree: Tree) -> str:
    import tomli_w

    return tomli_w.dumps(tree)
