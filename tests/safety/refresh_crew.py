"""
A process that forks workers, which all want the token of one credential. ``python refresh_crew.py '<json>'``.

Each worker prints one line of JSON for each outcome. With ``kill_every`` a random worker is killed at that interval
and another one takes its place; its pid is printed, too.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import filelock  # noqa: F401  before the forks: the race is not to be decided by an import

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RequestLostError,
)
from mcpvault.secret import Secret
from mcpvault.state.files import StateDirectory
from mcpvault.state.grants import grant
from mcpvault.state.record import KeptAnswer, TokenRecord
from mcpvault.state.redemption import Exchange
from mcpvault.state.refresh import current
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet
from mcpvault.vault.state_sealing import seal_state, unseal_state
from vault_schema import dump_plain  # noqa: F401  as above

KEY, VAULT, HOST = bytes(32), "AAECAwQFBgcICQoLDA0ODw", "h" * 32
CLIENT = Registration(issuer="https://as.example", client_id="client-1", source="dynamic")
SERVER = AuthorizationServer(issuer="https://as.example", token_endpoint="https://as.example/token")


def store_at(place: Path) -> TokenStore:
    """Return the store of the credential ``linear``."""
    return TokenStore(
        StateDirectory(place),
        "linear",
        vault_id=VAULT,
        seal=lambda data, to: seal_state(KEY, 1, data, to),
        unseal=lambda line, to: unseal_state(KEY, line, to),
        host=HOST,
        host_name="web01",
    )


def post(url: str, form: dict[str, str], seconds: float) -> KeptAnswer:
    """Post a form; our errors say whether it may have been carried out."""
    request = urllib.request.Request(url, urlencode(form).encode(), {"X-Pid": str(os.getpid())})
    problem: McpVaultError
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return KeptAnswer(status=response.status, body=response.read())
    except urllib.error.HTTPError as error:
        with error:
            return KeptAnswer(status=error.code, body=error.read())
    except TimeoutError:
        problem = DeadlineExceededError("no answer")
    except (HTTPException, ConnectionResetError, BrokenPipeError):
        problem = RequestLostError("reset")
    except urllib.error.URLError as error:
        problem = (
            RequestLostError("lost") if isinstance(error.reason, ConnectionResetError) else ConnectFailedError("no")
        )
    raise problem


def tokens_in(answer: KeptAnswer, now: float) -> TokenSet:
    """Return the tokens of an answer."""
    told = json.loads(answer.body)
    if "error" in told:
        raise AuthorizationFailedError(told["error"], error=told["error"])
    return TokenSet(
        access_token=Secret(told["access_token"]),
        refresh_token=Secret(told["refresh_token"]),
        issued_at=now,
        expires_at=now + told["expires_in"],
    )


def exchange_with(url: str) -> Exchange:
    """Return the exchange with the server at *url*."""

    def redeem(record: TokenRecord, deadline: Deadline) -> KeptAnswer:
        assert record.tokens is not None and record.tokens.refresh_token is not None
        form = {"grant_type": "refresh_token", "refresh_token": record.tokens.refresh_token.reveal()}
        return post(f"{url}/token", form, min(deadline.remaining(), 20))

    return Exchange(
        redeem=redeem,
        was_sent=lambda error: not isinstance(error, ConnectFailedError),
        read=lambda answer, _: tokens_in(answer, answer.asked_at),
    )


def log_in(store: TokenStore, url: str, *, ago: float = 0.0) -> TokenRecord:
    """Log in, as if that had been *ago* seconds before now."""
    tokens = tokens_in(post(f"{url}/login", {}, 20), time.time() - ago)
    return grant(store, tokens, server=SERVER, registration=CLIENT, resource="https://h.example")


def say(**facts: Any) -> None:
    """Print one line in one piece."""
    os.write(1, json.dumps({"pid": os.getpid(), **facts}).encode() + b"\n")


def work(told: dict[str, Any], number: int) -> None:
    """Ask for the token, as often as told, and say what came of it; log in where only that helps."""
    store, exchange = store_at(Path(told["place"])), exchange_with(told["url"])
    offset = told.get("clocks", [0])[number % len(told.get("clocks", [0]))]
    for _ in range(told.get("times", 1)):
        try:
            record = current(
                store,
                exchange,
                deadline=Deadline(told.get("deadline", 60)),
                clock=lambda: time.time() + offset,
                insist=told.get("insist", False),
                patience=told.get("patience", 60),
            )
        except AuthorizationRequiredError as error:
            say(error=error.kind, message=error.message)
            if told.get("logs_in"):
                log_in(store, told["url"])
        except McpVaultError as error:
            say(error=error.kind, message=error.message)
        else:
            assert record.tokens is not None
            say(generation=record.generation, access=record.tokens.access_token.reveal())


def hired(told: dict[str, Any], number: int, ready: int, start: int | None = None) -> int:
    """Fork a worker that begins when the other end of *ready* is closed; return its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if start is not None:
                os.close(start)  # or it would wait for itself
            os.read(ready, 1)
            work(told, number)
            code = 0
        finally:
            os._exit(code)
    return pid


def main(told: dict[str, Any]) -> int:
    """Run the crew; return the number of workers that ended in a way that they should not."""
    logging.disable()
    ready, start = os.pipe()
    crew = {hired(told, number, ready, start): number for number in range(told["workers"])}
    say(crew=[*crew])
    os.close(start)
    storm, chance = "kill_every" in told, random.Random(told.get("seed", 0))
    ends = time.monotonic() + told.get("seconds", 0)
    while storm and time.monotonic() < ends:
        time.sleep(told["kill_every"])
        victim = chance.choice([*crew])
        os.kill(victim, signal.SIGKILL)
        say(killed=victim)
        os.waitpid(victim, 0)
        number = crew.pop(victim)
        crew[hired(told, number, ready)] = number
    failed = 0
    for pid in crew:
        if storm:
            os.kill(pid, signal.SIGKILL)
            say(killed=pid)
        status = os.waitpid(pid, 0)[1]
        failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
