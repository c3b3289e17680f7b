"""
The figures, measured: prints the machine, then one line per figure; exit 1 if one misses its bar.

    --quick    few rounds: a first look, no evidence
    NAME …     only the figures whose group begins so: help start cron oauth calls threads event large vault huge
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import Contestant, Figure, compare, machine, process, timed
from place import HERE, PYTHON, Place, new_vault, place
from sessions import calls_figures, large_figures, result, threads_figures
from thin_server import TOKEN

MCPVAULT = str(Path(PYTHON).with_name("mcpvault"))


def help_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """``--help`` against a minimal lazy click program."""
    floor = [PYTHON, str(HERE / "programs/lazy_click.py"), "--help", "32"]
    yield compare("mcpvault --help / lazy click --help", 1.25, rounds, *_both([MCPVAULT, "--help"], floor, here.env))


def start_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """What looks at the vault without a key, against the same minimal program."""
    floor = [PYTHON, str(HERE / "programs/lazy_click.py"), "--help", "32"]
    for verb in ("due", "status", "list"):
        yield compare(f"mcpvault {verb} / lazy click --help", 1.5, rounds, *_both([MCPVAULT, verb], floor, here.env))


def cron_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """Whole cron processes against a bare requests script; the era is known."""
    bare = [PYTHON, str(HERE / "programs/bare_requests.py")]
    job = [PYTHON, str(HERE / "programs/library_job.py")]
    call = [MCPVAULT, "call", "thin", "echo", '{"message": "hi"}']
    yield compare("cron job through the library / bare requests", 1.3, rounds, *_both(job, bare, here.env))
    yield compare("mcpvault call / bare requests", 1.5, rounds, *_both(call, bare, here.env))


def oauth_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """Whole cron processes of an OAuth entry: with a valid token, then with one that is due; then 32 at once."""
    env = {**here.env, "BENCH_ENTRY": "oauth"}
    due, valid = oauth_state(env, here.url, 60), oauth_state(env, here.url, 3600)
    state = next(Path(here.env["HOME"]).rglob("token-oauth.toml"))
    bare = [PYTHON, str(HERE / "programs/bare_requests.py")]
    job = [PYTHON, str(HERE / "programs/library_job.py")]
    yield compare("cron job with a valid OAuth token / bare requests", 1.3, rounds, *_both(job, bare, env))

    def refreshing() -> float:
        state.write_bytes(due)
        return process(job, env)()

    theirs = process([*bare, "refresh"], env)
    yield compare("the same with a refresh due / bare requests", 1.75, rounds, refreshing, theirs)

    def together(content: bytes) -> float:
        state.write_bytes(content)
        begin = time.perf_counter()
        jobs = [subprocess.Popen(job, env=env, stdout=subprocess.DEVNULL) for _ in range(32)]
        if any(each.wait() for each in jobs):
            raise SystemExit("a job failed")
        return (time.perf_counter() - begin) * 1000

    one = statistics.median(refreshing() - process(job, env)() for _ in range(5))
    yield compare(
        "32 jobs that find it due / valid, plus one refresh",
        1.5,
        max(3, rounds // 5),
        lambda: together(due),
        lambda: together(valid) + max(one, 0.0),
    )


def oauth_state(env: Mapping[str, str], url: str, seconds: int) -> bytes:
    """Keep a grant that ends in so many seconds in the state of the entry ``oauth``; return the file."""
    from mcpvault.connect import Vault
    from mcpvault.oauth_entry import entry_of, sealing_of
    from mcpvault.secret import Secret
    from mcpvault.state.grants import grant
    from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

    issuer = url.removesuffix("/mcp")
    with Vault.open(env=env) as vault:
        if "oauth" not in vault.names():
            with vault.change() as change:
                change.add_server("oauth", {"url": url, "auth": {"kind": "oauth"}})
        entry = vault.resolve("oauth")
        authorization = entry_of(entry, state=vault.state, sealing=sealing_of(vault.file), env=env).authorization
        now = time.time()
        tokens = TokenSet(
            access_token=Secret(TOKEN),
            refresh_token=Secret("old"),
            issued_at=now - 3600 + seconds,
            expires_at=now - 30 if seconds < 100 else now + seconds,
        )
        grant(
            authorization.store,
            tokens,
            server=AuthorizationServer(issuer=issuer, token_endpoint=f"{issuer}/token"),
            registration=Registration(issuer=issuer, client_id="bench", source="dynamic"),
            resource=url,
        )
        with vault.session("oauth") as session:
            if seconds >= 100:
                session.call_tool("echo", {"message": "hi"})
        return next(Path(env["HOME"]).rglob("token-oauth.toml")).read_bytes()


def event_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """One event of 10 MB: time, then peak memory, each in a fresh process."""
    ours, bare = (result(here, who, "big", 10_000_000, 0) for who in ("ours", "bare"))
    yield compare("one event of 10 MB / bare requests", 1.3, rounds, ours, bare)
    ours, bare = (result(here, who, "big", 10_000_000, 1) for who in ("ours", "bare"))
    yield compare("the same, peak memory of the process", 1.0, 5, ours, bare, "MB")


def vault_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """A vault of 1,000 servers against tomllib's parsing of the same file."""
    from mcpvault.connect import Vault

    big = here.folder / "big.toml"
    env = {**here.env, "MCPVAULT_FILE": str(big), "MCPVAULT_KEY_FILE": str(here.folder / "big.key")}
    names = [f"server-{number:04}" for number in range(1000)]
    new_vault(env, {name: (f"https://{name}.example.com/mcp", f"{name}-{'x' * 32}") for name in names})

    def parse() -> None:
        tomllib.loads(big.read_text("utf-8"))

    def open_one() -> None:
        with Vault.open(env=env) as vault:
            vault.resolve("server-0500")

    def set_one() -> None:
        with Vault.open(env=env) as vault, vault.change() as change:
            change.set_plain("server-0500", "note", f"changed {os.urandom(4).hex()}")

    yield compare("open 1,000 servers, resolve one / tomllib", 1.5, rounds, timed(open_one), timed(parse))
    yield compare("set one field of 1,000 servers / tomllib", 3.0, rounds, timed(set_one), timed(parse))


def huge_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """Whole processes over a vault of 10,000 servers against tomllib's parsing of the same file."""
    huge = here.folder / "huge.toml"
    env = {**here.env, "MCPVAULT_FILE": str(huge), "MCPVAULT_KEY_FILE": str(here.folder / "huge.key")}
    names = [f"server-{number:05}" for number in range(10_000)]
    new_vault(env, {name: (f"https://{name}.example.com/mcp", f"{name}-{'x' * 32}") for name in names})

    def parse() -> None:
        tomllib.loads(huge.read_text("utf-8"))

    def edit() -> None:
        process([MCPVAULT, "set", "server-05000", "note", f"changed {os.urandom(4).hex()}"], env)()

    listing = process([MCPVAULT, "list"], env)
    yield compare("mcpvault list of 10,000 servers / tomllib", 2.0, rounds, listing, timed(parse))
    yield compare("mcpvault set in 10,000 servers / tomllib", 3.0, rounds, timed(edit), timed(parse))


GROUPS = {
    "help": (help_figures, 25),
    "start": (start_figures, 25),
    "cron": (cron_figures, 25),
    "oauth": (oauth_figures, 25),
    "calls": (calls_figures, 25),
    "threads": (threads_figures, 15),
    "event": (event_figures, 15),
    "large": (large_figures, 7),
    "vault": (vault_figures, 15),
    "huge": (huge_figures, 5),
}


def _both(ours: list[str], theirs: list[str], env: Mapping[str, str]) -> tuple[Contestant, Contestant]:
    return process(ours, env), process(theirs, env)


def main(arguments: list[str]) -> int:
    """Measure what is asked for."""
    quick = "--quick" in arguments
    wanted = tuple(word for word in arguments if not word.startswith("--")) or tuple(GROUPS)
    print(machine(), flush=True)
    missed = 0
    with place() as here:
        for name, (figures, rounds) in GROUPS.items():
            if name.startswith(wanted):
                for figure in figures(here, 5 if quick else rounds):
                    print(figure.line, flush=True)
                    missed += figure.ratio > figure.bar
    print(json.dumps({"missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
