"""Whom a TLS connection trusts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from http_servers import Authority, serve

from mcpvault.errors import ConfigurationError, ConnectFailedError
from mcpvault.http.tls import context_for


def test_a_certificate_of_nobody_known_is_refused(session_for: Any, authority: Authority) -> None:
    """Without ``ca_file`` a private authority is unknown; the hint names the field."""
    with serve(context=authority.server_context()) as server:
        with pytest.raises(ConnectFailedError, match="certificate refused: ") as caught:
            session_for(server, retries=3).get(server.url)

        assert "tls.ca_file" in (caught.value.hint or "")
        assert (1, []) == (server.connections, server.seen)


def test_the_entrys_authority_is_trusted_in_addition(session_for: Any, authority: Authority) -> None:
    """``ca_file`` adds a root to the system's."""
    with serve(context=authority.server_context()) as server:
        assert 200 == session_for(server, ca_file=authority.file).get(server.url).status_code
    context = context_for(authority.file, None)
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert context.check_hostname


def test_a_certificate_for_another_name_is_refused(session_for: Any, authority: Authority) -> None:
    """The name in the URL is what counts."""
    with serve(context=authority.server_context(near=False)) as server:
        with pytest.raises(ConnectFailedError, match=r"certificate refused: .*127\.0\.0\.1"):
            session_for(server, ca_file=authority.file).get(server.url)

        assert (1, []) == (server.connections, server.seen)


def test_a_client_certificate_is_shown(session_for: Any, authority: Authority) -> None:
    """A server that asks for a client certificate gets the entry's."""
    certificate = authority.issue("client")
    with serve(context=authority.server_context(ask_client=True)) as server:
        session = session_for(server, ca_file=authority.file, client_cert=certificate)
        assert 200 == session.get(server.url).status_code

        with pytest.raises(ConnectFailedError, match="did not accept our certificate") as caught:
            session_for(server, ca_file=authority.file).get(server.url)
        assert "tls.client_cert_file" in (caught.value.hint or "")


def test_the_context_is_shared(authority: Authority, tmp_path: Path) -> None:
    """One context per configuration; a file that changed makes a new one."""
    copied = tmp_path / "ca.pem"
    copied.write_bytes(Path(authority.file).read_bytes())
    first = context_for(str(copied), None)
    assert first is context_for(str(copied), None)
    assert first is not context_for(None, None)

    copied.write_bytes(Path(authority.file).read_bytes() + b"\n")
    assert first is not context_for(str(copied), None)


def test_unusable_files_are_named(tmp_path: Path, authority: Authority) -> None:
    """A file that is missing, empty or of the wrong kind is a configuration error."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    certificate, key = authority.issue("another")
    for ca_file, pair, place in (
        (str(tmp_path / "none.pem"), None, "no such file"),
        (str(empty), None, "tls.ca_file"),
        (None, (certificate, authority.issue("client")[1]), "tls.client_cert_file"),
        (None, (str(empty), key), "tls.client_cert_file"),
    ):
        with pytest.raises(ConfigurationError, match=place):
            context_for(ca_file, pair)


def test_an_encrypted_key_asks_nobody(tmp_path: Path, authority: Authority) -> None:
    """OpenSSL would prompt on the terminal; a cron job has none."""
    from cryptography.hazmat.primitives import serialization

    certificate, key = authority.issue("encrypted")
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    Path(key).write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(ConfigurationError, match=r"tls\.client_cert_file"):
        context_for(None, (certificate, key))
