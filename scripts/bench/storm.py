"""
32 processes find the same access token expired; the server revokes the grant when a refresh token comes twice.

Run by scripts/bench/storm: mcpvault, then the official SDK with its tokens in a shared file. Then the same where an
answer is lost, and where processes are killed, and the server forgives a reuse for a minute. A line for each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from mcpvault.secret import Secret
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
CROWD = 32
REDIRECT = "http://127.0.0.1:38471/callback"


def ours(home: Path, issuer: FakeAuthorizationServer, server: FakeMcpServer) -> tuple[list[str], dict[str, str]]:
    """Put an expired grant into the state of a vault; return the command and its environment."""
    from place import new_vault

    from mcpvault.connect import Vault
    from mcpvault.state.grants import grant
    from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "MCPVAULT_KEY_FILE": str(home / "key"),
        "BENCH_ENTRY": "oauth",
    }
    new_vault(env, {})
    told = issuer.grant("bench", resource=server.url)
    with Vault.open(env=env) as vault:
        with vault.change() as change:
            change.add_server("oauth", {"url": server.url, "auth": {"kind": "oauth"}})
        grant(
            vault.authorization("oauth").store,
            TokenSet(
                access_token=Secret(told["access_token"]),
                refresh_token=Secret(told["refresh_token"]),
                issued_at=time.time() - 3600,
                expires_at=time.time() - 1,
            ),
            server=AuthorizationServer(issuer=issuer.issuer, token_endpoint=issuer.url("token")),
            registration=Registration(issuer=issuer.issuer, client_id="bench", source="dynamic"),
            resource=server.url,
        )
    return [sys.executable, str(HERE / "programs/library_job.py")], env


def theirs(home: Path, issuer: FakeAuthorizationServer, server: FakeMcpServer) -> tuple[list[str], dict[str, str]]:
    """Write the same into the file of the SDK's job."""
    told = issuer.grant("bench", resource=server.url)
    client = {"client_id": "bench", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    client["issuer"] = issuer.issuer
    file = home / "tokens.json"
    tokens = {key: told[key] for key in ("access_token", "refresh_token", "token_type", "expires_in")}
    metadata = {
        "issuer": issuer.issuer,
        "authorization_endpoint": issuer.url("authorize"),
        "token_endpoint": issuer.url("token"),
        "response_types_supported": ["code"],
    }
    held = {"tokens": tokens, "client": client, "expires_at": time.time() - 1, "metadata": metadata}
    file.write_text(json.dumps(held))
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "BENCH_URL": server.url, "BENCH_TOKENS": str(file)}
    return [str(ROOT / ".peers/mcp2/bin/python"), str(HERE / "programs/sdk_job.py")], env


def storm(command: list[str], env: dict[str, str], kills: int) -> tuple[int, int]:
    """Start all at once, kill some, one every 50 ms; return how many were served, and how many got killed."""
    crowd = [
        subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(CROWD)
    ]
    for victim in random.Random(0).sample(crowd, kills):
        time.sleep(0.05)
        victim.kill()
    ends = [each.wait() for each in crowd]
    return ends.count(0), ends.count(-signal.SIGKILL)


# What happens, for how long the server forgives a reuse, how many answers are lost after it has rotated, how many die.
STORMS = {"all at once": (0, 0, 0), "first answer lost": (60, 1, 0), "eight killed": (60, 0, 8)}


def main() -> None:
    """Run every storm with both."""
    for (what, (grace, lost, kills)), (name, prepare) in product(
        STORMS.items(), (("mcpvault", ours), ("mcp SDK 2.3.0", theirs))
    ):
        with (
            tempfile.TemporaryDirectory() as folder,
            FakeAuthorizationServer(reuse="revoke", grace=grace, resource_required=False) as issuer,
            FakeMcpServer(authorization_server=issuer) as server,
        ):
            issuer.register("bench", redirect_uris=(REDIRECT,))
            command, env = prepare(Path(folder), issuer, server)
            if lost:
                issuer.misbehave("close-before-answer", on="refresh_token", times=lost, carried_out=True)
            begin = time.perf_counter()
            served, killed = storm(command, env, kills)
            print(
                f"{what:18} {name:14} served {served}/{CROWD - killed}, redemptions {issuer.redemptions}, "
                f"reuse detected {issuer.reuse_detected}, grants revoked {issuer.families_revoked}, "
                f"{time.perf_counter() - begin:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
