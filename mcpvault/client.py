"""
Sessions without a vault: ``MCPClient`` for mcp-use's ``mcpServers`` shape.

Decides how a plain configuration becomes entries. Only ``${NAME}`` and ``${env:NAME}`` are
resolved here: a file that nobody signed must not read files or run commands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mcpvault import carriers, credentials, entries, mcp_use
from mcpvault.credentials import Credential, check_header
from mcpvault.entries import Concrete
from mcpvault.errors import ConfigurationError, NotApprovedError, UnknownServerError
from mcpvault.mcp.session import AuthState, Session
from mcpvault.secret import Secret
from mcpvault.state.memory import MemoryState
from mcpvault.suggestion import did_you_mean
from mcpvault.vault.references import Resolver, Surroundings
from vault_schema import SchemaError, Timeout, origin_of

if TYPE_CHECKING:
    from mcpvault.connect import Auth
    from mcpvault.login import OAuthProvider
    from mcpvault.mcp.callbacks import Callbacks
    from mcpvault.oauth_entry import OAuthEntry

_KNOWN = frozenset(
    {
        *("url", "authToken", "auth_token", "headers", "auth", "oauth", "timeout", "transport", "type"),
        *("command", "args", "env", "cwd", *mcp_use.BESIDE, *map(mcp_use.camel, mcp_use.BESIDE)),
    }
)
_LONGEST = 86_400  # seconds; as in a vault
_TRANSPORTS = {
    **dict.fromkeys(("http", "streamable-http", "streamable_http", "streamableHttp"), "http"),
    "sse": "sse",
    "auto": "auto",
}


class MCPClient:
    """
    Blocking sessions from mcp-use's configuration: a path to JSON, or a dict.

        client = MCPClient({"mcpServers": {"github": {"url": "https://…", "authToken": "${GITHUB_TOKEN}"}}})
        client.session("github").list_tools()

    Args:
        config: The path of a JSON file, or a dict with ``mcpServers``.
        allow_commands: Let a file start stdio servers. A dict may always: the code that made it could, too.
        env: The environment; by default the process's.

    Raises:
        ConfigurationError: The configuration cannot be used; the message names the place.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        *,
        allow_commands: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        config = mcp_use.sheltered(config) if isinstance(config, Mapping) else config
        self._env = os.environ if env is None else env
        self._servers: dict[str, Concrete] = {}
        self._auth: dict[str, Auth] = {}
        self._sessions: dict[str, Session] = {}
        self._state = MemoryState()
        if config is None:
            return
        from_file = not isinstance(config, Mapping)
        shape = config if isinstance(config, Mapping) else mcp_use.loaded(Path(config))
        servers = shape.get("mcpServers")
        if not isinstance(servers, Mapping):
            raise ConfigurationError("mcpServers: expected a table of servers", hint='{"mcpServers": {"name": {…}}}')
        for name, entry in servers.items():
            if not isinstance(entry, Mapping):
                raise ConfigurationError(f"mcpServers.{name}: expected a table", server=str(name))
            if from_file and "command" in entry and not allow_commands:
                raise NotApprovedError(
                    f"mcpServers.{name}.command: a file may not start programs",
                    hint="look at the file, then pass allow_commands=True; or: mcpvault import",
                    server=str(name),
                )
            self.add_server(str(name), **entry)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> MCPClient:
        """Return a client for a dict with ``mcpServers``."""
        return cls(config, env=env)

    @classmethod
    def from_config_file(
        cls, path: str | os.PathLike[str], *, allow_commands: bool = False, env: Mapping[str, str] | None = None
    ) -> MCPClient:
        """Return a client for a JSON file with ``mcpServers``."""
        return cls(path, allow_commands=allow_commands, env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_all()

    def add_server(self, name: str, **entry: Any) -> None:
        """
        Add a server.

        Args:
            name: What it is called.
            entry: ``url``, ``authToken`` or ``auth_token``, ``headers``, ``auth`` (a ``requests`` authentication or
                an ``OAuthProvider``), ``oauth`` (``clientId``, ``clientSecret``, ``scope``, ``issuer``, …, or True),
                ``callbackUrl``, ``transport`` (``http``, ``sse``, ``auto``); or ``command``, ``args``, ``env``,
                ``cwd``; and ``timeout`` in seconds.

        Raises:
            ConfigurationError: The entry cannot be used; the message names the place.
        """
        entry = mcp_use.sheltered(entry)
        where = f"mcpServers.{name}"
        for key in entry:
            if key not in _KNOWN:
                hint = (
                    did_you_mean(key, _KNOWN)
                    or "leave it out; mcpvault import reads files of other clients with theirs"
                )
                raise ConfigurationError(f"{where}.{key}: unknown key", hint=hint, server=name)
        resolver = Resolver(server=name, surroundings=Surroundings(env=self._env, schemes=("env",)), where=where)
        if isinstance(entry.get("auth"), str):
            raise ConfigurationError(
                f"{where}.auth: expected an authentication object", hint="a token goes into authToken", server=name
            )
        self._servers[name] = _stdio(name, entry, resolver) if "command" in entry else _http(name, entry, resolver)
        self._auth.pop(name, None)
        if entry.get("auth") is not None and not isinstance(entry["auth"], Mapping):
            self._auth[name] = entry["auth"]

    def names(self) -> list[str]:
        """Return the names of all servers."""
        return list(self._servers)

    def session(
        self,
        name: str,
        *,
        timeout: float | None = None,
        on_event: Callable[[AuthState], None] | None = None,
        callbacks: Callbacks | None = None,
    ) -> Session:
        """
        Return the session with the server *name*; the same one while it is open.

        Raises:
            UnknownServerError: There is none of that name.
        """
        held = self._sessions.get(name)
        if held is not None and not held.closed:
            return held
        if name not in self._servers:
            raise UnknownServerError(
                f"there is no server {name!r} in the configuration",
                hint=did_you_mean(name, self._servers),
                server=name,
            )
        entry = self._servers[name]
        own, provider = entries.told_apart(self._auth.get(name))
        grant = self._grant(entry, provider) if entry.oauth is not None and own is None else None
        tokens = grant.source if grant is not None else None
        carrier = carriers.transport(entry, env=self._env, state=None, auth=own, tokens=tokens)
        session = Session(
            carrier,
            name=name,
            timeout=float(entry.timeout.total) if timeout is None else timeout,
            on_event=on_event,
            callbacks=callbacks,
            authorization=grant,
            remedy=lambda: f"put a fresh credential into mcpServers.{name}",
        )
        self._sessions[name] = session
        return session

    def sessions(self) -> dict[str, Session]:
        """Return a session with every server."""
        return {name: self.session(name) for name in self._servers}

    def close_all(self) -> None:
        """End every session."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _grant(self, entry: Concrete, provider: OAuthProvider | None) -> OAuthEntry:
        from mcpvault.oauth_entry import ASK_HERE, entry_of, unsealed

        return entry_of(entry, state=self._state, sealing=unsealed(), env=self._env, provider=provider, remedy=ASK_HERE)


def _value(resolver: Resolver, path: str, held: object) -> Secret | None:
    if isinstance(held, Secret):
        return held if "${" not in held.reveal() else resolver.resolve(path, held.reveal(), secret=False)
    if not isinstance(held, str):
        raise ConfigurationError(f"{resolver.where}.{path}: expected text", server=resolver.server)
    return resolver.resolve(path, held, secret=False)


def _values(resolver: Resolver, path: str, held: object) -> dict[str, Secret]:
    if not isinstance(held, Mapping):
        raise ConfigurationError(f"{resolver.where}.{path}: expected a table", server=resolver.server)
    found = {str(key): _value(resolver, f"{path}.{key}", each) for key, each in held.items()}
    return {key: each for key, each in found.items() if each is not None}


def _token(resolver: Resolver, entry: Mapping[str, Any], key: str) -> Secret | None:
    """Return the token; None where none is given. An empty one never means none."""
    if entry.get(key) is None:
        return None
    token = _value(resolver, key, entry[key])
    if token is not None and not token:
        raise ConfigurationError(
            f"{resolver.where}.{key}: is empty",
            hint="is the variable set that it comes from? to send no token, leave it out",
            server=resolver.server,
        )
    return token


def _timeout(entry: Mapping[str, Any], where: str) -> Timeout:
    seconds = entry.get("timeout")
    if seconds is None:
        return Timeout()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        raise ConfigurationError(f"{where}.timeout: expected seconds, at most {_LONGEST}")
    whole = max(1, int(seconds))
    return Timeout(connect=min(10, whole), read=whole, total=whole)


def _http(name: str, entry: Mapping[str, Any], resolver: Resolver) -> Concrete:
    where = resolver.where
    transport = entry.get("transport", entry.get("type", "http"))
    if transport not in _TRANSPORTS:
        raise ConfigurationError(
            f"{where}.transport: {transport!r} is not supported", hint="use 'http', 'sse' or 'auto'", server=name
        )
    token, other = (_token(resolver, entry, key) for key in ("authToken", "auth_token"))
    url = _value(resolver, "url", entry.get("url", ""))
    headers = _values(resolver, "headers", entry.get("headers", {}))
    told = mcp_use.said_of_oauth(name, entry, resolver)
    resolver.finish()
    if token is not None and other is not None and token != other:
        raise ConfigurationError(f"{where}: authToken and auth_token differ", hint="keep one of them", server=name)
    token = token or other
    problem = ""
    try:
        origin = origin_of(str(entry.get("url", "")))
        if url is not None and origin_of(url.reveal()) != origin:
            problem = "a reference changed where it leads"
    except SchemaError as error:
        problem = error.args[0] if error.args else "not a URL"
    if problem or url is None:
        raise ConfigurationError(f"{where}.url: {problem}", server=name)
    for header, held in headers.items():
        check_header(header, held)
    made = credentials.bearer(token, origin=origin) if token is not None else Credential(kind="none", origin=origin)
    return Concrete(
        name=name,
        kind="http",
        credential=made,
        url=url.reveal(),
        headers=headers,
        token=token,
        timeout=_timeout(entry, where),
        transport=_TRANSPORTS[transport],
        oauth=mcp_use.settings(name, told, url=url.reveal(), origin=origin, where=where) if told is not None else None,
    )


def _stdio(name: str, entry: Mapping[str, Any], resolver: Resolver) -> Concrete:
    command, args, cwd = entry["command"], entry.get("args", []), entry.get("cwd")
    if not isinstance(command, str) or not command or not isinstance(args, Sequence) or isinstance(args, str):
        raise ConfigurationError(f"{resolver.where}: expected command as text and args as a list", server=name)
    words = [_value(resolver, f"args[{index}]", word) for index, word in enumerate(args)]
    env = _values(resolver, "env", entry.get("env", {}))
    folder = _value(resolver, "cwd", cwd) if cwd is not None else None
    resolver.finish()
    return Concrete(
        name=name,
        kind="stdio",
        credential=Credential(kind="none", origin=""),
        command=command,
        args=tuple(word.reveal() if word is not None else "" for word in words),
        env=env,
        cwd=folder.reveal() if folder else None,
        timeout=_timeout(entry, resolver.where),
    )
