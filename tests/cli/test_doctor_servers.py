"""``doctor``: what can be wrong with servers, network, clock and environment is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from examination import examined, levels, named, opened, told
from house import TOKEN, House, furnished

from mcpvault import Secret


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


# Entries


def test_missing_references_are_all_named(house: House) -> None:
    """Every reference without a value is named at once, with the command that stores a value instead."""
    house.run("add", "two", house.server.url, "--bearer-env", "NOT_SET", "--header", "X-Team=${env:NO_TEAM}")

    broken = told(examined(house, "--offline", "two", code=8), "entry.references")

    assert "servers.two.auth.token: ${env:NOT_SET}" in broken["message"]
    assert "servers.two.headers.X-Team: ${env:NO_TEAM}" in broken["message"]
    assert ("unresolved_reference", 8, "two") == (broken["kind"], broken["code"], broken["server"])
    assert "mcpvault set two auth.token --stdin" in broken["hint"]
    assert ["ok"] == named(examined(house, "--offline", "two", NOT_SET="t", NO_TEAM="x"), "entry.values")


def test_a_value_for_another_origin(house: House) -> None:
    """A sealed value whose entry has moved is found although the vault is signed."""
    with opened(house).change() as change:
        change.tree["servers"]["demo"] = {**change.tree["servers"]["demo"], "url": "https://elsewhere.example/mcp"}

    broken = told(examined(house, "--offline", code=8), "entry.binding")

    assert ("binding_mismatch", 8) == (broken["kind"], broken["code"])
    assert "elsewhere.example" in broken["message"]
    assert "mcpvault set demo url" in broken["hint"]


def test_plain_http_to_another_machine(house: House) -> None:
    """Plain http is refused, and where it is allowed it is warned of."""
    with opened(house).change() as change:
        change.add_server("near", {"url": "http://192.0.2.1/mcp", "auth": {"kind": "none"}})
        change.add_server("far", {"url": "http://192.0.2.2/mcp", "auth": {"kind": "none"}, "allow_http": True})

    found = examined(house, "--offline", code=8)

    broken, warned = (finding for finding in found if finding["id"] == "entry.http")
    broken, warned = (broken, warned) if broken["level"] == "fail" else (warned, broken)
    assert ("near", "fail", 8) == (broken["server"], broken["level"], broken["code"])
    assert "use https" in broken["hint"]
    assert ("far", "warn", 0) == (warned["server"], warned["level"], warned["code"])
    assert "mcpvault set far url https://" in warned["hint"]


def test_an_imported_command_that_nobody_approved(house: House) -> None:
    """The command waits for somebody who looks at it; whether the vault opens or not."""
    source = house.home / "mcp.json"
    source.write_text(json.dumps({"mcpServers": {"tool": {"command": sys.executable, "args": ["x.py"]}}}))
    house.run("import", str(source))

    for keyless in ({}, {"XDG_DATA_HOME": str(house.home / "empty")}):
        found = examined(house, "--offline", "tool", code=6 if keyless else 8, **keyless)
        broken = told(found, "entry.approval")
        assert ("look at it: mcpvault approve tool", 8) == (broken["hint"], broken["code"])
        assert ["ok"] == named(found, "entry.program")


def test_a_program_that_is_not_there(house: House) -> None:
    """A stdio program is looked for on the PATH of this run; it is never started."""
    house.run("add", "tool", "--", "no-such-program", "--serve")

    broken = told(examined(house, "--offline", "tool", code=8), "entry.program")

    assert ("tool", 8) == (broken["server"], broken["code"])
    assert "mcpvault set tool command /path/to/no-such-program" in broken["hint"]
    program = house.home / "bin" / "no-such-program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ntouch started\n")
    program.chmod(0o755)
    assert "fail" not in levels(examined(house, "tool", PATH=f"{program.parent}:{os.environ['PATH']}"))
    assert not (house.home / "started").exists()


def test_a_working_folder_that_is_not_there(house: House) -> None:
    """A stdio server's folder has to exist."""
    with opened(house).change() as change:
        change.add_server("tool", {"command": "sh", "cwd": str(house.home / "gone")})

    broken = told(examined(house, "--offline", "tool", code=8), "entry.program")

    assert "run: mcpvault set tool cwd PATH" == broken["hint"]


def test_certificates_that_cannot_be_read(house: House) -> None:
    """The files of an entry's TLS configuration have to be there and to hold what they should."""
    ca_file = house.home / "ca.pem"
    with opened(house).change() as change:
        entry = {"url": "https://h.example/mcp", "auth": {"kind": "none"}, "tls": {"ca_file": str(ca_file)}}
        change.add_server("own", entry)

    broken = told(examined(house, "--offline", "own", code=8), "entry.tls")
    assert (8, "run: mcpvault set own tls.ca_file PATH") == (broken["code"], broken["hint"])
    ca_file.write_text("nothing")
    assert "ca.pem" in told(examined(house, "--offline", "own", code=8), "entry.tls")["message"]


def test_a_private_key_that_others_can_read(house: House, tmp_path: Path) -> None:
    """The key of a client certificate is a secret file like any other."""
    pem = house.home / "client.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=t", "-keyout", pem, "-out", pem],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = {"ca_file": str(pem), "client_cert_file": str(pem), "client_key_file": str(pem)}
    with opened(house).change() as change:
        change.add_server("own", {"url": "https://h.example/mcp", "auth": {"kind": "none"}, "tls": tls})
    pem.chmod(0o600)
    assert ["ok"] == named(examined(house, "--offline", "own"), "entry.tls")

    pem.chmod(0o644)

    broken = told(examined(house, "--offline", "own", code=8), "entry.tls")
    assert (f"run: chmod 600 {pem}", "permissions") == (broken["hint"], broken["kind"])


def test_a_secret_that_its_issuer_has_ended(house: House) -> None:
    """A secret past its end is exit 9; one that ends soon is warned of."""
    for end, level, check, hint in (
        ("2020-01-01T00:00:00Z", "fail", "entry.expired", "run: mcpvault set demo auth.token --stdin"),
        (soon(), "warn", "entry.expiry", "run: mcpvault rotate demo auth.token"),
    ):
        with opened(house).change() as change:
            change.set_secret("demo", "auth.token", Secret(TOKEN), not_after=end)
        ended = told(examined(house, code=9 if level == "fail" else 0), check)
        assert (level, hint) == (ended["level"], ended["hint"])
        assert end in ended["message"]


def soon() -> str:
    """Return a time three days from now."""
    return (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_an_entry_whose_caller_authenticates(house: House) -> None:
    """What only the caller can authenticate is looked at and not asked."""
    with opened(house).change() as change:
        change.add_server("own", {"url": house.server.url, "auth": {"kind": "custom"}})

    assert ["ok"] == named(examined(house, "own"), "entry.reachable")
    assert [] == house.server.requests


# The network


def test_a_server_that_refuses_the_token(house: House) -> None:
    """A refused credential is exit 3, with the command that stores a fresh one."""
    house.server.token = "another-by-now-Zk29LmQx"

    broken = told(examined(house, code=3), "entry.reachable")

    assert ("credential_rejected", 3, "demo") == (broken["kind"], broken["code"], broken["server"])
    assert "mcpvault set demo auth.token" in broken["hint"]


@pytest.mark.parametrize(
    ("auth", "hint"),
    [
        ({"kind": "bearer"}, "put in a fresh one: mcpvault set other auth.token --stdin"),
        ({"kind": "header", "name": "X-Key"}, "put in a fresh one: mcpvault set other auth.value --stdin"),
        ({"kind": "basic", "username": "me"}, "put in a fresh one: mcpvault set other auth.password --stdin"),
        ({"kind": "bearer", "token": "${env:WRONG}"}, "auth.token is what ${env:WRONG} says: put a fresh one there"),
        ({"kind": "none"}, "ask the server which one it wants: mcpvault probe http"),
    ],
)
def test_a_refusal_names_what_was_refused(house: House, auth: dict[str, str], hint: str) -> None:
    """The hint names the field that the entry's kind keeps its secret in, or the reference that it came from."""
    field = {"bearer": "auth.token", "header": "auth.value", "basic": "auth.password"}.get(auth["kind"])
    with opened(house).change() as change:
        change.add_server("other", {"url": house.server.url, "auth": auth})
        if field is not None and "token" not in auth:
            change.set_secret("other", field, Secret("another-secret-9Qd2"))

    assert hint in house.run("tools", "other", code=3, WRONG="not-the-token").stderr


def test_a_reference_without_a_value_is_told_with_its_entry_and_field(house: House) -> None:
    """Outside doctor too: the hint is a command that can be copied."""
    house.run("add", "two", house.server.url, "--bearer-env", "NOT_SET")

    assert "or store the value: mcpvault set two auth.token --stdin\n" in house.run("tools", "two", code=8).stderr


def test_a_server_that_is_not_there(house: House) -> None:
    """A dead port is exit 4; beside a refused credential the code is 3, which needs a person."""
    house.run("add", "dead", "http://127.0.0.1:9/mcp")

    broken = told(examined(house, code=4), "entry.reachable")

    assert ("connect_failed", 4, "dead") == (broken["kind"], broken["code"], broken["server"])
    assert "mcpvault doctor dead" in broken["hint"]
    house.server.token = "another-by-now-Zk29LmQx"
    assert {3, 4} == {finding["code"] for finding in examined(house, code=3)} - {0}


def test_a_server_that_hangs(house: House) -> None:
    """Nobody waits longer for a server than ``--timeout`` says."""
    house.server.misbehave("hang-before-headers")

    broken = told(examined(house, "--timeout", "0.3", code=4), "entry.reachable")

    assert ("deadline_exceeded", 4) == (broken["kind"], broken["code"])


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("unauthorized", 3), ("forbidden", 5), ("html", 5), ("bad-gateway", 4), ("echoes-credential-in-error", 5)],
)
def test_a_server_that_misbehaves(house: House, behaviour: str, code: int) -> None:
    """Whatever it answers becomes one finding that carries its error's code, and what to do."""
    house.server.misbehave(behaviour)

    done = house.run("doctor", "--json", code=code)

    assert code == told(json.loads(done.stdout)["findings"], "entry.reachable")["code"]
    assert TOKEN not in done.stdout + done.stderr


LISTS = ("tools/list", "resources/list", "prompts/list")


def reachable(house: House) -> str:
    """Return what is said of a server that answered."""
    [finding] = [each for each in examined(house) if each["id"] == "entry.reachable"]
    return str(finding["message"])


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_server_that_tells_anybody_what_it_is(house: House, era: str) -> None:
    """What it is may be open while all else is refused: the credential counts as accepted for a list only."""
    house.server.era = era
    house.server.misbehave("unauthorized", on=LISTS)

    assert "credential_rejected" == told(examined(house, code=3), "entry.reachable")["kind"]


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ({"tools": {}, "prompts": {}}, "answers, and accepts what it is sent (tools/list, MCP 2026-07-28)"),
        ({"prompts": {}, "resources": {}}, "answers, and accepts what it is sent (resources/list, MCP 2026-07-28)"),
        ({"prompts": {}}, "answers, and accepts what it is sent (prompts/list, MCP 2026-07-28)"),
        ({}, "it has nothing to list, so whether it accepts what it is sent was not seen"),
    ],
)
def test_a_server_is_asked_for_what_it_has(house: House, offered: dict[str, object], said: str) -> None:
    """One list, of tools where it has some; where there is none, no more is said than was seen."""
    house.server.offer.capabilities = offered

    assert reachable(house).endswith(said)
    assert min(1, len(offered)) == sum(len(house.server.called(each)) for each in LISTS)


def test_clocks_that_differ(house: House) -> None:
    """A server whose Date is an hour off is told, by a request that carries no credential."""
    with http_server(hours=1) as (url, requests):
        house.run("add", "late", url, "--bearer-stdin", stdin=TOKEN)
        warned = told(examined(house, "late", code=3), "clock.skew")

    assert ("warn", "late") == (warned["level"], warned["server"])
    assert "ahead of this host's" in warned["message"]
    assert "timedatectl" in warned["hint"]
    assert [("OPTIONS", None)] == [request for request in requests if request[0] == "OPTIONS"]


@contextmanager
def http_server(*, hours: float) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Run a server that refuses everybody and whose clock is some hours ahead; yield its URL and what it was sent."""
    requests: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append((self.command, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(401)
            self.send_header("Date", self.date_time_string(time.time() + hours * 3600))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_OPTIONS = do_POST

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp", requests
        server.shutdown()
        thread.join()


# The environment


@pytest.mark.parametrize(
    ("variable", "check", "hint"),
    [
        ("OAUTHLIB_INSECURE_TRANSPORT", "environment.oauthlib", "unset OAUTHLIB_INSECURE_TRANSPORT"),
        ("SSLKEYLOGFILE", "environment.tls_keys", "unset SSLKEYLOGFILE"),
        ("REQUESTS_CA_BUNDLE", "environment.certificates", "mcpvault set NAME tls.ca_file PATH"),
        ("CURL_CA_BUNDLE", "environment.certificates", "mcpvault set NAME tls.ca_file PATH"),
        ("NETRC", "environment.netrc", "mcpvault set NAME auth.password --stdin"),
        ("PYTHONPATH", "environment.loader", "unset PYTHONPATH"),
    ],
)
def test_a_variable_that_weakens_or_misleads(house: House, variable: str, check: str, hint: str) -> None:
    """The variable is named with what to do, its value is not said, and nothing fails for it."""
    value = str(house.home / "value-of-it")

    warned = told(examined(house, "--offline", **{variable: value}), check)

    assert ("warn", 0) == (warned["level"], warned["code"])
    assert warned["message"].startswith(f"{variable}: ")
    assert hint in warned["hint"]
    assert "value-of-it" not in json.dumps(warned)


def test_the_key_in_the_environment(house: House) -> None:
    """A key in a variable opens the vault and is warned of."""
    [key] = (house.home / ".local/share/mcpvault").glob("*.key")

    done = house.run("doctor", "--json", "--offline", MCPVAULT_KEY=key.read_text().strip())

    assert "MCPVAULT_KEY_FILE" in told(json.loads(done.stdout)["findings"], "environment.key")["hint"]
    assert key.read_text().strip() not in done.stdout


def test_a_proxy_is_mentioned(house: House) -> None:
    """A proxy variable is used and said so, without its password."""
    done = house.run("doctor", "--json", HTTPS_PROXY="http://user:passw0rd@proxy.example:3128")

    assert ["ok"] == named(json.loads(done.stdout)["findings"], "environment.proxy")
    assert "passw0rd" not in done.stdout
