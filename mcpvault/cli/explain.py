"""``mcpvault explain``: what a call would do now, without sending anything."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

import click

from mcpvault.cli import app, output
from mcpvault.cli.report import one_line

EXAMPLE = """
Example:

\b
  mcpvault explain linear
  mcpvault explain linear --json | jq .problems
"""
_WIDTH = 12  # columns of the first column


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.json_option
def command(server: str, as_json: bool) -> None:
    """
    Say what a call of SERVER would do now: vault, key, references, origin, proxy, TLS, credential, protocol.

    Nothing is sent, no server is started, no ${cmd:} is run, and no value is shown. Its exit code is 0 although a
    call would fail: problems are listed with the code that the call would end with.
    """
    from mcpvault.upkeep.explain import explain

    told = explain(app.open_vault(), server, time.time())
    output.say("\n".join(_lines(told)), as_json=as_json, json=told)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['server']}: what a call would do now; nothing was sent"
    before = None
    for name, text in _rows(told):
        yield f"  {'' if name == before else name:<{_WIDTH}}{one_line(text)}"
        before = name


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    vault, key = told["vault"], told["key"]
    yield "vault", f"{vault['path']} (serial {vault['serial']}, {vault['root']})"
    yield "key", f"{key['source']}: opens slot {key['slot']!r} ({key['kind']}, {key['role']})"
    yield "state", told["state"]
    yield from _of_http(told) if told["kind"] == "http" else _of_stdio(told)
    for each in told["references"]:
        yield "references", f"{each['field']}: {each['reference']} {each['standing']}"
    for each in told["sealed"]:
        yield "sealed", f"{each['field']}: {_version(each)}: {each['standing']}"
    yield from _of_credential(told["credential"])
    limits = told["timeout"]
    if told["kind"] == "http":
        yield "time", f"{limits['connect']} s to connect, {limits['read']} s of silence, {limits['total']} s in all"
        yield "time", f"what is safe is repeated up to {told['retries']} times"
    else:
        yield "time", f"{limits['total']} s in all"
    yield from _of_protocol(told["protocol"])
    for text in told["asks"]:
        yield "asks you", text
    for each in told["problems"]:
        yield "problem", f"exit {each['code']}: {each['message']}"
        if each["hint"]:
            yield "problem", each["hint"]


def _version(sealed: dict[str, Any]) -> str:
    if "version" not in sealed:
        return "no current version"
    return f"version {sealed['version']} of {sealed['created']}, for {' '.join(sealed['bound'][1:])}"


def _of_http(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "sends to", told["url"]
    yield "pinned to", f"{told['origin']}: its credential goes nowhere else"
    proxy, tls = told["proxy"], told["tls"]
    yield "proxy", f"{proxy['via']} (from {proxy['from']})" if proxy["via"] else "none"
    if tls is None:
        yield "tls", "none: plain http"
    else:
        more = [f"and those in {tls['ca_file']}"] if tls.get("ca_file") else []
        cert = [f"client certificate {tls['client_cert_file']}"] if tls.get("client_cert_file") else []
        yield "tls", "; ".join([f"{tls['minimum']} or newer", ", ".join(["the system's authorities", *more]), *cert])
    for header in told["headers"]:
        yield "headers", f"{header['name'] or 'what it likes'}, from {header['from']}"


def _of_stdio(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "starts", shlex.join(told["command"])
    yield "program", told["program"] or "not found"
    if told["cwd"]:
        yield "in", told["cwd"]
    yield "variables", ", ".join(told["env"]["given"]) or "none of its own"
    yield "variables", f"inherited: {', '.join(told['env']['inherited'])}"


def _of_credential(credential: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from mcpvault.state.journal import stamp

    yield "credential", f"{credential['auth']}: {credential['state']}"
    for name in ("issuer", "resource", "client_id", "scope"):
        if name in credential:
            yield "credential", f"{name}: {credential[name]}"
    if "expires_at" in credential:
        yield "credential", f"access token ends at {stamp(credential['expires_at'])}"
        refresh = credential["refresh"]
        yield "credential", f"replaced from {stamp(refresh['from'])} on, by {refresh['by']}"
    for text in credential["notes"]:
        yield "credential", text


def _of_protocol(protocol: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if protocol["wanted"] != "auto":
        yield "protocol", f"{protocol['wanted']}, as the entry says"
    else:
        yield "protocol", f"{protocol['remembered']}, as remembered" if protocol["remembered"] else "not known yet"
    yield "protocol", f"first: {', '.join([*protocol['first'], 'then the call']) if protocol['first'] else 'the call'}"
