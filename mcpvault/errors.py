"""
Every exception that mcpvault raises on purpose, as one tree.

Each class carries its exit code (``mcpvault exit-codes``) and its facts as
attributes, so that nobody has to parse a message. Programmer errors
(``TypeError``, ``ValueError``) stay outside the tree.

Rule: no message, hint or attribute of this module ever holds a secret.

::

    McpVaultError                         1
    ├── UsageError                        2
    ├── LoginNeededError                  3
    │   ├── AuthorizationFailedError      3
    │   ├── AuthorizationRequiredError    3
    │   ├── CredentialRejectedError       3
    │   └── InsufficientScopeError        3
    ├── TransportError                    4
    │   ├── ConnectFailedError            4
    │   ├── DeadlineExceededError         4
    │   └── ServerUnavailableError        4
    ├── ServerError                       5
    │   ├── ForbiddenError                5
    │   ├── InputDeclinedError            5
    │   ├── RemoteProtocolError           5
    │   │   └── MessageTooLargeError      5
    │   ├── RequestLostError              5
    │   ├── RpcError                      5
    │   ├── ToolError                     5
    │   ├── UnknownToolError              5
    │   └── UnsupportedVersionError       5
    ├── VaultError                        6
    │   ├── AuditBrokenError              6
    │   ├── RetiredKeyError               6
    │   ├── RollbackError                 6
    │   ├── TamperedError                 6
    │   ├── UntrustedRootError            6
    │   ├── VaultFormatError              6
    │   ├── VaultLockedError              6
    │   ├── VaultNotFoundError            6
    │   └── WrongKeyError                 6
    ├── BusyError                         7
    │   ├── VaultBusyError                7
    │   └── VaultChangedError             7
    ├── ConfigurationError                8
    │   ├── BindingMismatchError          8
    │   ├── HeaderRefusedError            8
    │   ├── IssuerMismatchError           8
    │   ├── LiteralSecretError            8
    │   ├── NotApprovedError              8
    │   ├── OriginMismatchError           8
    │   ├── PermissionsError              8
    │   ├── PrivateAddressError           8
    │   ├── RoleError                     8
    │   ├── UnknownFieldError             8
    │   ├── UnknownServerError            8
    │   └── UnresolvedReferenceError      8
    └── PolicyError                       9
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

EXIT_DONE = 0
EXIT_INTERRUPTED = 130


class _Kind:
    """The word for a class of errors, from its name: ``rpc``, ``vault_locked``; ``unexpected`` for the base."""

    def __get__(self, _: object, cls: type) -> str:
        stem = cls.__name__.removesuffix("Error")
        if cls is McpVaultError:
            return "unexpected"
        return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(stem))


class McpVaultError(Exception):
    """
    The base of everything mcpvault raises on purpose.

    Args:
        message: One lower-case line without a full stop: what is wrong, beginning with the place.
        hint: What to do about it, as an order (``run: mcpvault login linear``), or None.
        server: The vault entry concerned, or None.
        retry_after: Seconds after which trying again makes sense, or None.
        login_command: The command that mends a missing authorization, or None.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = _Kind()  # type: ignore[assignment]

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        server: str | None = None,
        retry_after: float | None = None,
        login_command: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.server = server
        self.retry_after = retry_after
        self.login_command = login_command
        self._added: list[str] = []

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        """What a traceback shows below the message (PEP 678): the hint as it is by then, and notes of others."""
        return [*([f"hint: {self.hint}"] if self.hint else []), *self._added]

    def add_note(self, note: str, /) -> None:
        """Add a note of the caller's."""
        self._added.append(note)


class UsageError(McpVaultError):
    """The command line or the arguments make no sense: correct them."""

    exit_code = 2


class LoginNeededError(McpVaultError):
    """A human has to act before this works again."""

    exit_code = 3


class AuthorizationFailedError(LoginNeededError):
    """The authorization server or the person said no; ``error`` is its code (RFC 6749 §4.1.2.1, §5.2), or None."""

    def __init__(self, message: str, *, error: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.error = error


class AuthorizationRequiredError(LoginNeededError):
    """No usable grant is at hand: run ``login_command``."""


class CredentialRejectedError(LoginNeededError):
    """The server refused a static credential (401): put a fresh one in with ``mcpvault set``."""


class InsufficientScopeError(LoginNeededError):
    """The server wants more scope (403 ``insufficient_scope``): run ``login_command``; None where no login helps."""


class TransportError(McpVaultError):
    """The server could not be reached or did not answer properly: try again later."""

    exit_code = 4


class ConnectFailedError(TransportError):
    """No connection came about, or it broke before the request was sent."""


class DeadlineExceededError(TransportError):
    """The time allowed for the whole call is over; ``sent`` tells whether a request may have gone out before."""

    def __init__(self, message: str, *, sent: bool = True, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.sent = sent


class ServerUnavailableError(TransportError):
    """The server answered 429 or 5xx: try again after ``retry_after`` seconds."""


class ServerError(McpVaultError):
    """The server answered, and the answer is an error or breaks the protocol."""

    exit_code = 5


class ForbiddenError(ServerError):
    """The server answered 403 for a reason other than scope."""


class InputDeclinedError(ServerError):
    """The server needs something of us before it answers, and that was declined."""


class RemoteProtocolError(ServerError):
    """The server broke HTTP, SSE, JSON-RPC or MCP."""


class MessageTooLargeError(RemoteProtocolError):
    """A message is larger than the limit: raise the limit if the server is right."""


class RequestLostError(ServerError):
    """
    The connection broke after the request was sent and before its answer.

    It may have been executed; it is never repeated by itself. Decide, then call again.
    """


class RpcError(ServerError):
    """A JSON-RPC error: ``code`` and ``data`` are the server's; ``refused``: certainly nothing was carried out."""

    def __init__(self, message: str, *, code: int, data: object = None, refused: bool = False, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code
        self.data = data
        self.refused = refused


class ToolError(ServerError):
    """A tool ran and reported failure (``isError``)."""


class UnknownToolError(ServerError):
    """The server has no tool of that name."""


class UnsupportedVersionError(ServerError):
    """Client and server share no protocol revision."""

    def __init__(self, message: str, *, supported: Sequence[str] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.supported = tuple(supported)


class VaultError(McpVaultError):
    """The vault cannot be opened."""

    exit_code = 6


class AuditBrokenError(VaultError):
    """A line of the audit log was changed, moved or taken away: keep a copy and find out by whom."""


class RetiredKeyError(VaultError):
    """It was sealed under a vault key that has been given up, because others know it."""


class RollbackError(VaultError):
    """The file is older than one this host has seen: find out why before trusting it."""


class TamperedError(VaultError):
    """MAC, signature or seal does not hold: the file was changed by somebody without the key."""


class UntrustedRootError(VaultError):
    """Nothing vouches for the vault's root key on this host: confirm it with ``mcpvault trust``."""


class VaultFormatError(VaultError):
    """
    The file is not a vault of this format.

    ``path`` is the dotted path of the offending field, ``line`` its line, where known.
    """

    def __init__(self, message: str, *, path: str | None = None, line: int | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.path = path
        self.line = line


class VaultLockedError(VaultError):
    """No key is at hand: the hint lists the places where one is looked for."""


class VaultNotFoundError(VaultError):
    """There is no vault file at that place: run ``mcpvault init`` or name another."""


class WrongKeyError(VaultError):
    """The key at hand opens no slot of this vault."""


class BusyError(McpVaultError):
    """Somebody else is at work: try again."""

    exit_code = 7


class VaultBusyError(BusyError):
    """Another process holds the write lock."""


class VaultChangedError(BusyError):
    """The file changed since it was read: read it again and repeat the change."""


class ConfigurationError(McpVaultError):
    """What was configured cannot be used as it stands: change it."""

    exit_code = 8


class BindingMismatchError(ConfigurationError):
    """A sealed value is bound to another origin, issuer or command than the entry now names."""


class HeaderRefusedError(ConfigurationError):
    """A header is malformed, forbidden, or still holds ``${``; it was not sent."""


class IssuerMismatchError(ConfigurationError):
    """An issuer or resource is not the one that it must be: somebody may be mixing authorization servers up."""


class LiteralSecretError(ConfigurationError):
    """A secret stands in clear where only a reference or a sealed value may."""


class NotApprovedError(ConfigurationError):
    """An imported command has not been approved: look at it, then run ``mcpvault approve``."""


class OriginMismatchError(ConfigurationError):
    """A request would have left for an origin that the credential is not for; it was not sent."""


class PermissionsError(ConfigurationError):
    """A file or folder is readable or writable by others: run the command in the hint."""


class PrivateAddressError(ConfigurationError):
    """A discovered URL leads into a private network; it was not fetched."""


class RoleError(ConfigurationError):
    """The key at hand is a reader's and this needs an admin's."""


class UnknownFieldError(ConfigurationError):
    """The entry has no such field."""


class UnknownServerError(ConfigurationError):
    """The vault has no entry of that name."""


class UnresolvedReferenceError(ConfigurationError):
    """References that could not be resolved; ``missing`` names all of them, never a value."""

    def __init__(self, message: str, *, missing: Sequence[str] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.missing = tuple(missing)


class PolicyError(McpVaultError):
    """A rule of the vault says no: due secrets, a failed verification, a finding of ``scan``."""

    exit_code = 9
