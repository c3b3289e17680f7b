"""
The figures, measured: prints the machine, then one line per figure; exit 1 if one misses its bar.

    --quick    few rounds: a first look, no evidence
    NAME …     only the figures whose group begins so: help cron calls event vault
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import Contestant, Figure, compare, machine, process, timed
from thin_server import TOKEN

HERE = Path(__file__).parent
PYTHON = sys.executable
MCPVAULT = str(Path(sys.executable).with_name("mcpvault"))


@dataclass(frozen=True, slots=True)
class Place:
    """A home with a vault whose entry ``thin`` leads to the thin server."""

    folder: Path
    url: str
    env: Mapping[str, str]


def new_vault(env: Mapping[str, str], entries: Mapping[str, tuple[str, str]]) -> None:
    """Write the vault that *env* names, opened by its key file, with a sealed bearer token in each entry."""
    from mcpvault.connect import Vault
    from mcpvault.secret import Secret
    from mcpvault.vault.slots import NewSlot, RawKey

    key = RawKey.generate()
    file = Path(env["MCPVAULT_KEY_FILE"])
    file.touch(mode=0o600)
    file.write_text(key.text.reveal() + "\n")
    with Vault.create(env=env, slots=[NewSlot.raw("bench", key)]) as vault, vault.change() as change:
        for name, (url, token) in entries.items():
            change.add_server(name, {"url": url, "note": "one of many", "auth": {"kind": "bearer"}})
            change.set_secret(name, "auth.token", Secret(token))


@contextmanager
def place() -> Iterator[Place]:
    """Start the thin server, make the vault, and let one call remember the era."""
    from mcpvault.connect import Vault

    server = subprocess.Popen([PYTHON, str(HERE / "thin_server.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/mcp"
        with tempfile.TemporaryDirectory(prefix="mcpvault-bench-") as name:
            env = {"PATH": os.environ["PATH"], "HOME": name, "LANG": "C.UTF-8", "BENCH_URL": url, "BENCH_TOKEN": TOKEN}
            env["MCPVAULT_KEY_FILE"] = f"{name}/vault.key"
            new_vault(env, {"thin": (url, TOKEN)})
            with Vault.open(env=env) as vault, vault.session("thin") as session:
                session.call_tool("echo", {"message": "hi"})
            yield Place(Path(name), url, env)
    finally:
        server.kill()
        server.wait()


def help_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """``--help`` against a minimal lazy click program."""
    floor = [PYTHON, str(HERE / "programs/lazy_click.py"), "--help", "32"]
    yield compare("mcpvault --help / lazy click --help", 1.25, rounds, *_both([MCPVAULT, "--help"], floor, here.env))


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
    from mcpvault.oauth_entry import authorization_of, sealing_of
    from mcpvault.secret import Secret
    from mcpvault.state.grants import grant
    from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

    issuer = url.removesuffix("/mcp")
    with Vault.open(env=env) as vault:
        if "oauth" not in vault.names():
            with vault.change() as change:
                change.add_server("oauth", {"url": url, "auth": {"kind": "oauth"}})
        entry = vault.resolve("oauth")
        authorization = authorization_of(entry, state=vault.state, sealing=sealing_of(vault.file), env=env)
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


def calls_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """Sequential calls on one session; the bar is the time that 1.2 times the rate means."""
    import requests

    import mcpvault.connect

    count = 300
    plain = requests.Session()
    plain.trust_env = False
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
    }
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    params = {"name": "echo", "arguments": {"message": "hi"}, "_meta": meta}

    def theirs() -> None:
        for number in range(count):
            message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
            plain.post(here.url, json=message, headers=headers, timeout=30).json()["result"]["content"]

    vault = mcpvault.connect.Vault.open(env=here.env)
    with vault.session("thin") as session:
        assert session.call_tool("echo", {"message": "hi"}).text() == "hi"

        def ours() -> None:
            for _ in range(count):
                session.call_tool("echo", {"message": "hi"})

        yield compare(f"{count} x call_tool / Session.post + json", 1 / 1.2, rounds, timed(ours), timed(theirs))


def event_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """One event of 10 MB: time, then peak memory, each in a fresh process."""

    def taken(who: str, column: int) -> Contestant:
        command = [PYTHON, str(HERE / "programs/big_event.py"), who, "10000000"]

        def run() -> float:
            done = subprocess.run(command, env=dict(here.env), capture_output=True, text=True, check=True)
            return float(done.stdout.split()[column]) / (1, 1024)[column]

        return run

    yield compare("one event of 10 MB / bare requests", 1.3, rounds, taken("ours", 0), taken("bare", 0))
    yield compare("the same, peak memory of the process", 1.0, 5, taken("ours", 1), taken("bare", 1), "MB")


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


GROUPS = {
    "help": (help_figures, 25),
    "cron": (cron_figures, 25),
    "oauth": (oauth_figures, 25),
    "calls": (calls_figures, 15),
    "event": (event_figures, 15),
    "vault": (vault_figures, 15),
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
