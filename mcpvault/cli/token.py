"""``mcpvault token``: one credential, bare or in the form that another program's helper protocol wants."""

from __future__ import annotations

import os
import sys
import time

import click

from mcpvault.cli import app, giving, output
from mcpvault.cli.durations import DURATION

EXAMPLE = """
Example:

\b
  curl -H "Authorization: Bearer $(mcpvault token billing)" https://billing.example.com/export
  git config credential.https://git.example.com.helper '!mcpvault token forge --format git'
  mcpvault token cluster --format exec-credential      for kubectl's users.exec
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("operation", required=False, type=click.Choice(["get", "store", "erase"]), metavar="[OPERATION]")
@click.option(
    "--format", "form", type=click.Choice(["bare", "git", "exec-credential"]), default="bare", show_default=True
)
@click.option("--for", "url", metavar="URL", help="Refuse, unless URL is at the entry's origin.")
@click.option("--min-ttl", type=DURATION, metavar="TIME", help="Replace an access token that ends sooner, such as 5m.")
@click.option("--username", metavar="NAME", help="For git: the user name beside it, instead of oauth2.")
@giving.reveal_option
@app.json_option
def command(
    server: str,
    operation: str | None,
    form: str,
    url: str | None,
    min_ttl: float | None,
    username: str | None,
    reveal: bool,
    as_json: bool,
) -> None:
    """
    Print the credential of NAME: its token, its header's value or its password; of an OAuth entry an access token.

    git gives OPERATION and says on stdin which host it means; another host's credential is refused. kubectl says it
    in KUBERNETES_EXEC_INFO. It never opens a browser: without a grant it ends with 3 and the command to run.
    """
    from mcpvault.opened import opened
    from mcpvault.upkeep import credential_formats as formats

    if operation in ("store", "erase"):
        return  # the vault is changed by its own verbs only
    giving.check_stdout(reveal=reveal)
    asked = formats.git_request(sys.stdin.read()) if form == "git" and operation == "get" else None
    info = formats.exec_info(os.environ.get("KUBERNETES_EXEC_INFO")) if form == "exec-credential" else None
    vault = app.open_vault()
    meant = (asked.url if asked else None, info.server if info else None, url)
    for each in meant:
        giving.check_origin(vault, server, each)
    live = opened(vault, server, purpose="token", min_ttl=min_ttl)
    short = live.expires_at is not None and min_ttl is not None and live.expires_at < time.time() + min_ttl
    if short and not live.kept:
        output.warn(f"{server}: no token of that server lives for {min_ttl:.0f} s")
    if form == "git":
        name = username or vault.entry(server).auth.username or "oauth2"
        output.raw(formats.git_answer(live, asked, username=name, kind=vault.entry(server).auth.kind, server=server))
    elif info is not None:
        output.json(formats.exec_credential(live, info))
    else:
        facts = {"server": server, "value": live.value.reveal(), "expires_at": live.expires_at}
        output.say(live.value.reveal(), as_json=as_json, json=facts)
