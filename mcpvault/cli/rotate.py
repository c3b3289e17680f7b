"""``mcpvault rotate``: a new secret, tried on the live server before it is used; then the old one is ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, durations, output, rotation_report, secret_input, standing
from mcpvault.errors import McpVaultError, UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.rotation.ground import Conditions
    from mcpvault.rotation.machine import Machine
    from mcpvault.secret import Secret
    from vault_schema import Rotation

EXAMPLE = """
Example:

\b
  mcpvault rotate github --plan
  mcpvault rotate github --stdin < new-token.txt
  mcpvault rotate github --exec -- /usr/local/bin/new-github-token
  mcpvault rotate --resume --all        # from a timer: ends what is in grace
"""
_WORDS = "mcpvault.words"
_DEFAULT_GRACE = "24h"
DATA_KEY = "data-key"  # of the vault itself: no entry's secret, and one atomic step


class TakesProgram(click.Command):
    """A command whose words behind ``--`` are another program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words behind ``--`` apart."""
        own, words = args, tuple[str, ...]()
        if "--" in args:
            own, words = args[: args.index("--")], tuple(args[args.index("--") + 1 :])
        ctx.meta[_WORDS] = words
        return super().parse_args(ctx, own)


@click.command(cls=TakesProgram, epilog=EXAMPLE)
@click.argument("server", required=False, metavar="[NAME]", shell_complete=app.complete_server)
@click.argument("field", required=False, metavar="[FIELD]")
@click.option("--stdin", is_flag=True, help="Read the new secret from stdin.")
@click.option("--prompt", is_flag=True, help="Ask for the new secret.")
@click.option("--file", "path", metavar="PATH", help="Read the new secret from a private file.")
@click.option("--exec", "program", is_flag=True, help="Let the program behind -- make the new secret.")
@click.option("--rotator", "how", metavar="NAME", help="What makes it, instead of what fits the entry.")
@click.option("--grace", type=durations.DURATION, metavar="24h", help="How long the old secret stays good.")
@click.option("--plan", is_flag=True, help="Say what would be done, and ask nobody. The same as --dry-run.")
@click.option(
    "--resume", is_flag=True, help="Go on with what was begun, here or elsewhere (tokens: only where they are)."
)
@click.option("--abort", is_flag=True, help="Give it up: the old secret is, or comes again into, use.")
@click.option("--all", "everything", is_flag=True, help="With --resume: every rotation that is open.")
@click.option(
    "--force", is_flag=True, help="With --resume or --abort: end it, though an old or new secret stays alive."
)
@click.option("--accept-changes", is_flag=True, help="Take a new secret that sees fewer tools or scopes.")
@click.option("--require-dead", is_flag=True, help="Fail if the old secret is accepted after it was ended.")
@click.option("--wait", type=durations.DURATION, default="5m", show_default=True, metavar="5m",
              help="How long an issuer may take to know a published key, and to refuse an old secret.")  # fmt: skip
@app.timeout_option
@app.dry_run_option
@app.json_option
def command(server: str | None, field: str | None, as_json: bool, **options: Any) -> None:
    """
    Replace the secret FIELD of NAME: stage it, try it on the live server, promote it, end the old one.

    FIELD is the one that the entry has, or auth.token and its like. The new secret must reach the server and see the
    tools and scopes that the old one sees, or nothing changes and the exit code is 9. Done is when the old one is in
    grace: scripts fall back to it. --resume ends it when that is over.

    Rotators: manual, exec, private-key, client-secret, registration, tokens (the grant of an OAuth entry; FIELD is
    auth.tokens), data-key (the vault's own, without NAME: as 'rekey' does), and entry points mcpvault.rotators.
    """
    words = click.get_current_context().meta[_WORDS]
    if options["how"] == DATA_KEY:
        _rekey(server, as_json=as_json, dry_run=_planned(options))
        return
    _check(server, field, words, **options)
    vault = app.open_for_change()
    if options["resume"] or options["abort"]:
        names = _open_ones(vault) if options["everything"] else [str(server)]
        _go_on(vault, names, as_json=as_json, **options)
        return
    _begin(vault, str(server), field, words, as_json=as_json, **options)


def _rekey(server: str | None, *, as_json: bool, dry_run: bool) -> None:
    """Rotate what the vault is sealed with; ``mcpvault rekey`` says more."""
    from mcpvault.cli import rekey

    if server is not None:
        raise UsageError("the data key is the vault's: name no server", hint="mcpvault rotate --rotator data-key")
    context = click.get_current_context()
    context.invoke(rekey.command, compromised=False, yes=True, dry_run=dry_run, as_json=as_json)


def _check(server: str | None, field: str | None, words: Sequence[str], **options: Any) -> None:
    ways = [options["stdin"], options["prompt"], options["path"] is not None, options["program"]]
    if sum(ways) > 1:
        raise UsageError("expected one of --stdin, --prompt, --file, --exec")
    if bool(words) is not options["program"]:
        raise UsageError("--exec wants a program behind --", hint="mcpvault rotate NAME --exec -- PROGRAM ARG…")
    if options["resume"] and options["abort"]:
        raise UsageError("--resume and --abort exclude each other")
    if options["force"] and (server is None or not (options["resume"] or options["abort"])):
        raise UsageError(
            "--force belongs to --resume or --abort of one server", hint="mcpvault rotate NAME --resume --force"
        )
    if options["force"] and options["require_dead"]:
        raise UsageError("--force and --require-dead exclude each other")
    if options["everything"] and not options["resume"]:
        raise UsageError("--all belongs to --resume", hint="mcpvault rotate --resume --all")
    if options["everything"] is (server is not None):
        raise UsageError("name a server, or give --resume --all", hint="mcpvault rotate NAME --plan")
    if field is not None and (options["resume"] or options["abort"]):
        raise UsageError("which secret it is, the journal knows: name the server only")


def _begin(
    vault: Vault, server: str, field: str | None, words: Sequence[str], *, as_json: bool, **options: Any
) -> None:
    from mcpvault.rotation import tokens
    from mcpvault.rotation.machine import Machine
    from mcpvault.rotation.rotator import usual

    entry = vault.entry(server)
    if tokens.ROTATOR in (options["how"], entry.policy.rotator) or field == tokens.FIELD:
        field, options["how"] = tokens.FIELD, tokens.ROTATOR
    field = field or _only_field(vault, server)
    how = options["how"] or ("exec" if words else usual(entry, field))
    given = None if _planned(options) else _given(field, options)
    machine = Machine(vault, server, _conditions(given, options))
    command = tuple(words) or entry.policy.command
    if _planned(options):
        rotation_report.tell_plan(machine, server, field, how, command, as_json=as_json, given=any(_ways(options)))
        return
    if given is None and how == "manual" and app.on_terminal():
        machine = Machine(vault, server, _conditions(secret_input.from_prompt(f"New {field}"), options))
    try:
        journal = machine.start(field, how, grace=_grace(vault, server, options["grace"]), command=command)
    except McpVaultError:
        rotation_report.note_remarks(server, machine)
        raise
    rotation_report.tell([(server, machine, journal)], [], as_json=as_json)


def _go_on(vault: Vault, names: Sequence[str], *, as_json: bool, **options: Any) -> None:
    machines = {name: _machine(vault, name, options) for name in names}
    outcomes = {name: _taken(machine, options) for name, machine in machines.items()}
    for name, found in outcomes.items():
        # What was ended just now may take a while to die: all are waited for together, not one after the other.
        if (
            options["everything"]
            and not _planned(options)
            and not isinstance(found, McpVaultError)
            and _dying(machines[name], found)
        ):
            outcomes[name] = _taken(machines[name], options | {"everything": False})
    done = [(name, machines[name], found) for name, found in outcomes.items() if not isinstance(found, McpVaultError)]
    failed = {name: found for name, found in outcomes.items() if isinstance(found, McpVaultError)}
    for name, error in failed.items():
        rotation_report.note_remarks(name, machines[name])
        if len(names) == 1:
            raise error
    failures = [*failed.values()]
    rotation_report.tell(done, failures, as_json=as_json, forced=options["force"])
    if failures:
        raise standing.worst(failures)


def _machine(vault: Vault, name: str, options: dict[str, Any]) -> Machine:
    from mcpvault.rotation import tokens
    from mcpvault.rotation.machine import Machine

    found = vault.entry(name).rotation
    given = _given(found.field if found else "", options)
    # Tokens that somebody wanted to be dead stay open for a timer, until they are.
    alive = found is not None and found.rotator == tokens.ROTATOR and found.step == "revoked" and bool(found.problem)
    wanted = options["everything"] and alive
    return Machine(vault, name, _conditions(given, options | {"require_dead": options["require_dead"] or wanted}))


def _taken(machine: Machine, options: dict[str, Any]) -> Rotation | McpVaultError:
    if _planned(options):
        return machine.journal
    try:
        return machine.abort() if options["abort"] else machine.resume(leave=options["everything"])
    except McpVaultError as error:
        return error


def _dying(machine: Machine, journal: Rotation) -> bool:
    return journal.step == "revoked" and journal.problem is None and not machine.left


def _conditions(given: Secret | None, options: dict[str, Any]) -> Conditions:
    from mcpvault.rotation.ground import Conditions

    return Conditions(
        timeout=options["timeout"] or 60.0,
        accept_changes=options["accept_changes"],
        require_dead=options["require_dead"],
        force=options["force"],
        dead_within=options["wait"],
        known_within=options["wait"],
        tell=output.note if not click.get_current_context().params["as_json"] else (lambda _: None),
        given=given,
    )


def _ways(options: dict[str, Any]) -> tuple[bool, ...]:
    return (options["stdin"], options["prompt"], options["path"] is not None)


def _planned(options: dict[str, Any]) -> bool:
    return bool(options["plan"] or options["dry_run"])


def _given(field: str, options: dict[str, Any]) -> Secret | None:
    if options["stdin"]:
        return secret_input.for_field(field, secret_input.from_stdin(field))
    if options["prompt"]:
        return secret_input.for_field(field, secret_input.from_prompt(f"New {field}"))
    if options["path"] is not None:
        return secret_input.for_field(field, secret_input.from_file(options["path"]))
    return None


def _only_field(vault: Vault, server: str) -> str:
    """Return the secret that is meant where none is named: the entry's only one."""
    fields = [*vault.file.sealed_fields(server)]
    own = sorted(field for field in fields if field != "auth.registration_access_token")
    if len(own) == 1:
        return own[0]
    held = [path for path, _, _ in vault.document.secrets(server)]
    if not own and held:
        raise UsageError(
            f"{server}: {', '.join(held)} is a reference: rotate it where it comes from",
            hint=f"or seal it here: mcpvault set {server} {held[0]} --stdin",
        )
    told = f"has several secrets: {', '.join(own)}" if own else "has no secret"
    raise UsageError(f"{server}: {told}", hint=f"mcpvault rotate {server} {own[0]}" if own else None)


def _grace(vault: Vault, server: str, given: float | None) -> str:
    if given is not None:
        return f"{int(given)}s" if given else "1s"
    return vault.entry(server).policy.grace or vault.document.header.policy.grace or _DEFAULT_GRACE


def _open_ones(vault: Vault) -> list[str]:
    found = {name: vault.entry(name).rotation for name in vault.names()}
    return [name for name, journal in found.items() if journal is not None and journal.open]
