"""The traps of requests that concern static credentials; each is shown to be one, and to be avoided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from http_servers import CANARY, Authority, Handler, Seen, answer, serve

from mcpvault.errors import OriginMismatchError


def _redirect(where: Callable[[], str], status: str) -> Handler:
    def handle(connection: Any, seen: Seen) -> None:
        if seen.target == "/mcp":
            answer(connection, b"", status, (f"Location: {where()}",))
        else:
            answer(connection)

    return handle


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
def test_b_neither_key_nor_body_follows_a_redirect_to_another_host(session_for: Any, status: str) -> None:
    """Requests carries X-API-Key and the body to another host; a guarded session stops."""
    with serve() as other, serve(_redirect(lambda: f"{other.origin}/x", status)) as server:
        requests.post(server.url, data=b"body", headers={"X-API-Key": "key"}, timeout=5)
        assert ("key", b"body") == (other.seen[0].header("X-API-Key"), other.seen[0].body)
        other.seen.clear()

        with pytest.raises(OriginMismatchError) as caught:
            session_for(server, headers={"X-API-Key": "key"}).post(server.url, data=b"body")

        assert [] == other.seen
        assert 8 == caught.value.exit_code


def test_c_netrc_does_not_replace_the_credential(
    session_for: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests lets ~/.netrc win over an explicit Authorization header; a guarded session never reads it."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serve() as server:
        requests.get(server.url, headers={"Authorization": f"Bearer {CANARY}"}, timeout=5)
        assert str(server.seen[0].header("Authorization")).startswith("Basic ")

        session = session_for(server)
        session.get(server.url)
        session.trust_env = True
        session.get(server.url)
        session.auth = None
        session.get(server.url)

        assert server.seen.pop().header("Authorization") is None
        assert [f"Bearer {CANARY}"] * 2 == [seen.header("Authorization") for seen in server.seen[1:]]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_e_no_variable_replaces_the_trusted_roots(
    session_for: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Requests ignores its session's ``verify`` when such a variable is set; a guarded session ignores the variable."""
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv(variable, Authority.create(other).file)
    with serve(context=authority.server_context()) as server:
        plain = requests.Session()
        plain.verify = authority.file
        with pytest.raises(requests.exceptions.SSLError):
            plain.get(server.url, timeout=5)

        session = session_for(server, ca_file=authority.file)
        assert 200 == session.get(server.url).status_code
        session.trust_env = True
        assert 200 == session.get(server.url).status_code


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_e_no_variable_adds_a_trusted_root(
    session_for: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """An authority that only the environment names is not trusted."""
    monkeypatch.setenv(variable, authority.file)
    with serve(context=authority.server_context()) as server:
        with pytest.raises(Exception, match="certificate refused"):
            session_for(server).get(server.url)

        assert [] == server.seen
