"""
TLS: whom a connection trusts, by one ``SSLContext`` per process and configuration, and sockets that keep a deadline.

Decides the roots: the system's, else certifi's, and the entry's own in addition. On macOS and Windows, whose stores
OpenSSL cannot read, the system judges certificates itself where the extra ``truststore`` is installed.
No environment variable changes them, and verification cannot be switched off.
"""

from __future__ import annotations

import functools
import re
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urllib3.util.ssltransport import SSLTransport

from mcpvault.errors import ConfigurationError
from mcpvault.http.connection import Timed, TimedSocket

if TYPE_CHECKING:
    from mcpvault.http.policy import Allowance

_JUDGES = frozenset({"darwin", "win32"})
_HASHED_NAME = r"[0-9a-f]{8}\.[0-9]\Z"  # openssl-rehash(1)
# Folders first: OpenSSL then reads the one certificate that it needs (0.2 ms), while
# a bundle is parsed as a whole (20 ms, a fifth of a short job).
_FOLDERS = ("/etc/ssl/certs",)
_BUNDLES = ("/etc/pki/tls/cert.pem", "/etc/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")


class TimedTlsSocket(Timed, ssl.SSLSocket):
    """``TimedSocket`` over TLS. One blocking call takes the timeout as its total, whatever the records' sizes."""


def context_for(ca_file: str | None, client_cert: tuple[str, str | None] | None) -> ssl.SSLContext:
    """
    Return the context for a configuration, shared within the process.

    Files that changed on disk since make a new one.

    Raises:
        ConfigurationError: A file cannot be read or does not hold what it should.
    """
    files = [name for name in (ca_file, *(client_cert or ())) if name]
    return _context(ca_file, client_cert, tuple(_modified_at(name) for name in files))


@functools.lru_cache(maxsize=32)
def _context(
    ca_file: str | None, client_cert: tuple[str, str | None] | None, modified_at: tuple[int, ...]
) -> ssl.SSLContext:
    context = judged_by_system() if sys.platform in _JUDGES else None
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = TimedTlsSocket
        _trust_system(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file and not _loads(lambda: context.load_verify_locations(cafile=ca_file)):
        raise ConfigurationError(f"tls.ca_file {ca_file!r}: holds no certificate in PEM form")
    # An empty password: OpenSSL would otherwise ask for one on the terminal.
    if client_cert and not _loads(lambda: context.load_cert_chain(client_cert[0], client_cert[1], password="")):
        raise ConfigurationError(
            f"tls.client_cert_file {client_cert[0]!r}: no usable pair of certificate and key",
            hint="both must be PEM, belong together, and the key must not be encrypted",
        )
    return context


def judged_by_system() -> ssl.SSLContext | None:
    """Return a context whose certificates the operating system judges: its store and its rules. None: no truststore."""
    try:
        import truststore
    except ImportError:
        return None
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return context


def shaken(stream: Any, context: ssl.SSLContext, host: str, limit: Allowance) -> Any:
    """Return *stream* with TLS over it: a socket of ours, or a layer above one where there is TLS already."""
    # A context that is not of our making gives sockets that know no allowance.
    if not isinstance(stream, TimedSocket) or context.sslsocket_class is not TimedTlsSocket:
        return SSLTransport(stream, context, host.rstrip("."))
    stream.settimeout(limit.step())
    wrapped = context.wrap_socket(stream, server_hostname=host.rstrip("."))
    assert isinstance(wrapped, TimedTlsSocket)  # noqa: S101  # by its sslsocket_class
    wrapped.allowance = limit
    return wrapped


def _loads(load: object) -> bool:
    assert callable(load)  # noqa: S101
    try:
        load()
    except (OSError, ValueError):
        return False
    return True


def _modified_at(name: str) -> int:
    try:
        return Path(name).stat().st_mtime_ns
    except OSError as e:
        reason = e.strerror
    raise ConfigurationError(f"tls: {name!r}: {(reason or 'cannot be read').lower()}")


def _trust_system(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    for folder in (paths.openssl_capath, *_FOLDERS):
        if _is_hashed(Path(folder)):
            context.load_verify_locations(capath=folder)
            return
    if sys.platform == "win32":
        context.load_default_certs()
        return
    for bundle in (paths.openssl_cafile, *_BUNDLES):
        if Path(bundle).is_file():
            context.load_verify_locations(cafile=bundle)
            return
    import certifi

    context.load_verify_locations(cafile=certifi.where())


def _is_hashed(folder: Path) -> bool:
    try:
        return any(re.match(_HASHED_NAME, entry.name) for entry in folder.iterdir())
    except OSError:
        return False
