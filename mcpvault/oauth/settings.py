"""What an entry of an OAuth kind says, with its secrets open: the input of every flow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcpvault.errors import ConfigurationError, IssuerMismatchError
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.secret import Secret
    from mcpvault.tokens import AuthorizationServer


class Settings(Record):
    """
    The ``auth`` table of an OAuth entry (SPEC §10.3), made concrete.

    ``server`` is the entry's name, ``credential`` the name of the token state, which entries may share.
    """

    server: str
    credential: str
    url: str
    kind: str  # oauth, client_credentials, jwt_bearer, id_jag
    issuer: str | None = None
    resource: str | None = None
    strict_resource: bool = False
    scope: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    private_key: Secret | None = None
    key_id: str | None = None
    signing_alg: str | None = None
    token_endpoint_auth_method: str | None = None
    assertion_audience: str | None = None
    client_metadata_url: str | None = None
    redirect_uri: str | None = None
    login_method: str | None = None
    interactive: str = "never"
    assume_pkce_s256: bool = False
    dpop: bool = False
    persist: str = "all"
    assertion: Secret | None = None
    idp_issuer: str | None = None
    idp_token_endpoint: str | None = None
    idp_client_id: str | None = None
    idp_client_secret: Secret | None = None
    subject_token: Secret | None = None
    subject_token_type: str = "id_token"  # noqa: S105  a kind of token

    @property
    def needs_person(self) -> bool:
        """Whether only a human can make the first grant."""
        return self.kind == "oauth"

    def check_issuer(self, server: AuthorizationServer | None = None) -> None:
        """
        Refuse a machine's proof that names no issuer, or another than that of *server*, to which it is to be sent.

        The MCP server could name one of its own otherwise, and have an assertion, or an ID-JAG for it (E5).

        Raises:
            ConfigurationError: The entry has no ``issuer``.
            IssuerMismatchError: *server* is another's.
        """
        if server is not None and server.issuer != self.issuer:
            raise IssuerMismatchError(
                f"{self.server}: what proves who we are is for {self.issuer}, and does not go to {server.issuer}",
                server=self.server,
            )
        if self.issuer is None:
            raise ConfigurationError(
                f"{self.server}: auth.issuer is missing: what proves who we are goes to the issuer that it is for",
                hint=f"run: mcpvault set {self.server} auth.issuer URL",
                server=self.server,
            )

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that the entry itself names: whoever signed the vault has decided on them."""
        urls = (self.url, self.issuer, self.idp_issuer, self.idp_token_endpoint)
        return frozenset(host for url in urls if url and (host := urlsplit(url).hostname))
