"""
The authentication flow that httpx and its like drive: sign a request, look at the answer, perhaps sign again.

Decides which entries can be carried by another library. Leaves tokens to the ``TokenSource`` of the entry, and
threads to the library.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING, Any

from mcpvault import entries
from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError
from mcpvault.http.auth import OWN_HEADERS, check_origin
from mcpvault.http.policy import OriginPolicy
from mcpvault.http.token_source import TokenSource
from mcpvault.oauth_entry import entry_in
from mcpvault.rotating_headers import RotatingHeaders
from mcpvault.secret import Secret
from vault_schema import is_secret

if TYPE_CHECKING:
    from mcpvault.connect import Vault

_MOST_REPEATS = 2  # of one request: a DPoP nonce that was asked for, then a token that had expired
_REFUSED = frozenset({401, 403})


class Carried:
    """
    Sign requests to the server *name* of the vault, and to no other.

    Args:
        vault: Open.
        name: An HTTP entry.

    Raises:
        McpVaultError: As ``Vault.resolve``.
        ConfigurationError: Its credential is not carried in ``Authorization``: another library may carry it
            along a redirect to another host.
    """

    requires_request_body = True  # what was refused is sent again
    requires_response_body = False

    def __init__(self, vault: Vault, name: str) -> None:
        entry = entries.of_http(vault.resolve(name))
        secret = [header for header in entry.headers if is_secret(f"headers.{header}")]
        astray = [header for header in (*entry.credential.headers, *secret) if header.lower() != "authorization"]
        if astray or entry.custom:
            what = f"{astray[0]} is" if astray else "a credential of kind 'custom' is"
            raise ConfigurationError(
                f"servers.{name}: {what} not for other libraries, which may take it along to another host",
                hint="use vault.session(name) or vault.requests_session(name)",
                server=name,
            )
        self._policy = OriginPolicy(origin=entry.credential.origin, server=name, allow_http=entry.allow_http)
        self._policy.check()
        self._headers = entry.headers
        self._total = float(entry.timeout.total)
        self._source: TokenSource = RotatingHeaders(vault, entry)
        if entry.oauth is not None:
            self._source = entry_in(vault, entry, interactive="never").source

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Sign *request*, and again when the server refuses a token that can be replaced."""
        request.read()
        sent: Mapping[str, Secret] | None = self._sign(request)
        for _ in range(_MOST_REPEATS):
            response = yield request
            sent = self._signed_again(request, response, sent)
            if sent is None:
                return
        yield request

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Do the same in an event loop; locks, files and refreshes are waited for in a thread, to their end."""
        from anyio import to_thread

        await request.aread()
        sent: Mapping[str, Secret] | None = await to_thread.run_sync(self._sign, request)
        for _ in range(_MOST_REPEATS):
            response = yield request
            sent = await to_thread.run_sync(self._signed_again, request, response, sent)
            if sent is None:
                return
        yield request

    def _sign(self, request: Any) -> Mapping[str, Secret]:
        url = str(request.url)
        check_origin(url, self._policy)
        told = self._source.headers(request.method, url, Deadline(self._total))
        for name in OWN_HEADERS:
            request.headers.pop(name, None)  # of an earlier signature
        for name, value in {**self._headers, **told}.items():
            request.headers[name] = value.reveal()
        return told

    def _signed_again(
        self, request: Any, response: Any, sent: Mapping[str, Secret] | None
    ) -> Mapping[str, Secret] | None:
        if "DPoP-Nonce" in response.headers:
            self._source.answered(response.headers)
        if response.status_code not in _REFUSED or sent is None:
            return None
        if not self._source.rejected(sent, response.status_code, response.headers, Deadline(self._total)):
            return None
        return self._sign(request)
