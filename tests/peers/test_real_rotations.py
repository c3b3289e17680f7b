"""
Rotation under load at servers that nobody here wrote: Authlib's authorization server, MCP servers of the SDK.

Scripts call on, each a process of its own, while the command line rotates what they live by: no call fails. Where two
credentials are good at a time, or the key is ours, none waits either; elsewhere how long they do is measured. The old
credential is dead afterwards: the server itself is asked.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crew import Crew, crew
from rotated import NAME, ByProgram, DataKey, Key, NewClient, Robot, Rotated, Static, Tokens, asked

HERE = Path(__file__).parent
KINDS: dict[str, type[Any]] = {
    "manual": Static,
    "exec": ByProgram,
    "client-secret": Robot,
    "registration": NewClient,
    "private-key": Key,
    "tokens": Tokens,
    "data-key": DataKey,
}

pytestmark = pytest.mark.peer
Furnish = Callable[..., Rotated]


@pytest.fixture(scope="module")
def sdk(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> Callable[..., str]:
    """Start a server on the SDK, which is told by variables which tokens are good; return its endpoint."""
    command = [peer_path("mcp2/bin/python"), str(HERE / "servers/bearer_server.py")]
    return lambda **env: str(real_server(command, env=env).url)


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rotation")


@pytest.fixture(scope="module")
def static(sdk: Callable[..., str], _shared: Path) -> tuple[str, Path]:
    """Return the endpoint of an SDK's server that takes the tokens of a file, and the file."""
    tokens = _shared / "tokens"
    tokens.touch()
    return sdk(PEER_TOKENS=str(tokens)), tokens


@pytest.fixture(scope="module")
def issuer(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> str:
    """Return the issuer of Authlib's authorization server."""
    command = [peer_path("authlib/bin/python"), str(HERE / "servers/authlib_server.py")]
    return str(real_server(command, path="").url)


@pytest.fixture(scope="module")
def guarded(sdk: Callable[..., str], issuer: str) -> str:
    """Return the endpoint of an SDK's server that asks the authorization server about each token."""
    return sdk(PEER_ISSUER=issuer)


@pytest.fixture(scope="module")
def published(real_server: Callable[..., Any], _shared: Path) -> tuple[Path, str]:
    """Return a file, and where a web server shows it."""
    folder = _shared / "www"
    folder.mkdir()
    serve = f'exec "$0" -m http.server --bind 127.0.0.1 --directory {folder} "$PORT"'
    return folder / "jwks.json", f"{real_server(['sh', '-c', serve, sys.executable], path='').url}/jwks.json"


@pytest.fixture
def furnish(request: pytest.FixtureRequest, mcpvault: Callable[..., Any]) -> Furnish:
    """Make this test's vault for one kind of rotation, at its server."""

    def make(kind: str, **how: Any) -> Rotated:
        static = kind in ("manual", "exec")
        places = request.getfixturevalue("static") if static else map(request.getfixturevalue, ("guarded", "issuer"))
        shown = request.getfixturevalue("published") if kind == "private-key" else ()
        rotated: Rotated = KINDS[kind](mcpvault, *places, *shown, **how)
        return rotated

    return make


def through(rotated: Rotated, scripts: Crew, *, rotations: int, seconds: float) -> list[tuple[float, float]]:
    """
    Rotate, spread over that time; each step meets every script, and each old credential dies.

    Returns when each rotation began and the new credential was in use; Unix seconds.
    """
    spans, start = [], time.monotonic()
    for number in range(rotations):
        scripts.busy(until=start + seconds * number / rotations)
        old, began = rotated.held(), time.time()
        assert rotated.accepted(old)
        rotated.begin()
        spans.append((began, time.time()))
        scripts.busy()
        rotated.end()
        assert (False, True) == (rotated.accepted(old), rotated.accepted(rotated.held()))
    scripts.busy(until=start + seconds)
    return spans


@pytest.mark.parametrize(
    ("kind", "one", "count", "rotations", "seconds"),
    [
        ("private-key", False, 2, 1, 0),
        ("client-secret", False, 2, 1, 0),
        *[pytest.param(kind, False, 8, 5, 60, marks=pytest.mark.storm) for kind in KINDS],
        *[pytest.param(kind, True, 8, 5, 30, marks=pytest.mark.storm) for kind in ("exec", "client-secret")],
    ],
)
def test_no_call_fails_while_credentials_change(
    kind: str, one: bool, count: int, rotations: int, seconds: float, furnish: Furnish, tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:  # fmt: skip
    """
    Scripts loop, each kind is rotated under them: not one call fails, and the server refuses each old credential.

    With *one* the server ends the old credential when the new one is made: calls that fall in between take longer.
    """
    rotated, start = furnish(kind, **({"one": True} if one else {})), time.monotonic()
    with crew(os.environ, NAME, count, tmp_path / "crew") as scripts:
        spans = through(rotated, scripts, rotations=rotations, seconds=seconds)
    longest = [max(call.ended - call.began for call in scripts.calls if call.between(*span)) for span in spans]
    record_property(
        f"rotation, {kind}{', one at a time' if one else ''}",
        f"{count} scripts, {time.monotonic() - start:.0f} s, {len(scripts.calls)} calls, "
        f"{len(scripts.failures)} failed, {len(scripts.fallbacks)} by the other credential; {rotations} rotations, "
        f"longest call in each: {', '.join(f'{each:.2f}' for each in longest)} s",
    )
    assert [] == scripts.failures


def test_a_registration_that_the_server_does_not_know_by_this_token(furnish: Furnish) -> None:
    """An answer that was lost took the token with it: the error says so and what to do, and that brings it back."""
    rotated = furnish("client-secret")
    assert isinstance(rotated, Robot)
    lost = rotated.held()
    assert (200, 400) == (rotated.managed("PUT")[0], rotated.managed("GET")[0])

    said = rotated.run("rotate", NAME, "--grace", "1s", code=8).stderr
    assert "the registration access token is refused (400)" in said
    assert f"mcpvault rotate {NAME} auth.client_secret --abort, then --rotator registration" in said
    rotated.run("rotate", NAME, "--abort")
    rotated.run("rotate", NAME, "--rotator", "registration", "--grace", "1s")

    assert (True, True) == (lost[0] != rotated.held()[0], rotated.accepted(rotated.held()))


def test_a_client_that_was_deleted_already(furnish: Furnish) -> None:
    """A run that was cut off after the deletion is gone on with: nobody is told to delete the client by hand."""
    rotated = furnish("registration")
    assert isinstance(rotated, Robot)
    old, access = rotated.held(), rotated.vault.file.secret(NAME, "auth.registration_access_token").reveal()
    uri = str(rotated.vault.entry(NAME).auth.registration_client_uri)
    rotated.begin()
    assert 204 == asked(uri, method="DELETE", Authorization=f"Bearer {access}")[0]

    assert [] == rotated.end()
    assert (False, True) == (rotated.accepted(old), rotated.accepted(rotated.held()))
