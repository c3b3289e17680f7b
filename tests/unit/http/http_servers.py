"""Servers of a few lines, one connection after another, each in a thread: they do what real ones should not."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CANARY = "canary-4f7d1c9a20b86e35"


@dataclass
class Seen:
    """One request as it arrived."""

    head: str
    body: bytes

    @property
    def target(self) -> str:
        """The request target."""
        return self.head.split(" ")[1]

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class Server:
    """A listening server and what it has seen."""

    port: int
    scheme: str = "http"
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    @property
    def origin(self) -> str:
        """Its canonical origin."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """A URL there."""
        return f"{self.origin}/mcp"


Handler = Callable[[socket.socket, Seen], None]


def read_request(connection: socket.socket, rest: bytes = b"") -> tuple[Seen | None, bytes]:
    """Read one request, a chunked body as it is; None at the end of the connection."""
    while b"\r\n\r\n" not in rest:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        rest += piece
    head, _, rest = rest.partition(b"\r\n\r\n")
    seen = Seen(head.decode("latin-1"), b"")
    length = int(seen.header("Content-Length") or 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    if seen.header("Transfer-Encoding") == "chunked":
        while not rest.endswith(b"0\r\n\r\n"):
            rest += connection.recv(65536)
        length = len(rest)
    seen.body, rest = rest[:length], rest[length:]
    return seen, rest


def answer(
    connection: socket.socket, body: bytes = b"{}", status: str = "200 OK", headers: tuple[str, ...] = ()
) -> None:
    """Send one whole answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def well_behaved(connection: socket.socket, seen: Seen) -> None:
    """Answer ``{}``."""
    answer(connection)


@contextmanager
def serve(
    handle: Handler = well_behaved,
    *,
    greet: Callable[[socket.socket], None] | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """
    Run a server.

    Args:
        handle: Called with every request.
        greet: Called with a new connection, instead of reading requests from it.
        context: Makes it an https server.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    server = Server(listener.getsockname()[1], "https" if context else "http")
    open_connections: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            if context is not None:
                # Shaking hands apart: a failure then leaves the connection open, and its alert is delivered.
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                open_connections.append(connection)
                connection.do_handshake()
            if greet is not None:
                greet(connection)
                return
            rest = b""
            while True:
                seen, rest = read_request(connection, rest)
                if seen is None:
                    break
                server.seen.append(seen)
                handle(connection, seen)
            connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connections += 1
                open_connections.append(connection)
                thread = threading.Thread(target=talk, args=(connection,), daemon=True)
                talkers.append(thread)
                thread.start()

    talkers: list[threading.Thread] = []
    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in talkers:
            thread.join(5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one test run."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> str:
        """Its certificate, PEM."""
        return str(self.folder / "ca.pem")

    @staticmethod
    def create(folder: Path) -> Authority:
        """Make one."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = x509.BasicConstraints(ca=True, path_length=0)
        certificate = _builder(name, name, key).add_extension(usage, critical=True).sign(key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Authority(folder, key, certificate)

    def issue(self, name: str, *, near: bool = True) -> tuple[str, str]:
        """Issue a certificate for *name*, and for loopback; return the files of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        loopback = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"))
        hosts = [*(loopback if near else ()), x509.DNSName(name)]
        certificate = (
            _builder(subject, self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(files[0]), str(files[1])

    def server_context(self, *, ask_client: bool = False, near: bool = True) -> ssl.SSLContext:
        """Return the context of a server that this authority vouches for; not *near*: under another name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server" if near else "elsewhere.example", near=near))
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
