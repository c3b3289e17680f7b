"""
What lets a secret out, or goes unnoticed, although all works: memory, literals, the log.

Leaves what a secret looks like to the caller, for ``interop`` decides that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcpvault.audit_keys import LogKeys
from mcpvault.upkeep.audit_trail import verified
from mcpvault.upkeep.findings import Check, Finding, fail, ok, warn
from mcpvault.vault.references import references_in
from mcpvault.vault.slots import KDF_DEFAULT
from vault_schema import is_sensitive_name
from vault_schema.forms import without_references

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from vault_schema import Document

# Yields index and name of each argument of a command that holds a secret in clear.
InArguments = Callable[[Sequence[str]], Iterable[tuple[int, str]]]
_SWAPS, _BLOCKS, _PATTERN = Path("/proc/swaps"), Path("/sys/class/block"), Path("/proc/sys/kernel/core_pattern")
# What a machine thought of and shows to everybody: neither typed nor secret.
_NAMES = frozenset({"rotation", "tls", "client_id", "issuer", "resource", "key_id", "client_id_metadata_document"})


def memory() -> Check[None]:
    """Ask where the memory of a process, which holds opened secrets, may be written to."""
    if os.name == "nt":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        goes_to = _PATTERN.read_text("utf-8", "replace").strip()
    except OSError:
        goes_to = "core"
    if limit == 0:
        yield ok("host.core_dumps", "core dumps: off for this process")
    else:
        to = goes_to.split(" ")[0] if goes_to.startswith("|") else f"a file {goes_to!r}"
        what = f"core dumps: on; a crash would write opened secrets to {to}"
        yield warn("host.core_dumps", what, "run: ulimit -c 0; in a unit: LimitCORE=0")
    if sys.platform == "linux":
        yield from _swap()


def _swap() -> Iterator[Finding]:
    try:
        devices = [line.split()[0] for line in _SWAPS.read_text("utf-8", "replace").splitlines()[1:] if line.strip()]
    except OSError:
        return
    clear = [device for device in devices if not _is_private(device)]
    if clear:
        yield ok("host.swap", f"swap: {', '.join(clear)} is not known to be encrypted; memory may be written there")
    else:
        yield ok("host.swap", f"swap: {'encrypted or in memory' if devices else 'none'}")


def _is_private(device: str) -> bool:
    """Tell whether a swap device is compressed memory, or a mapping of dm-crypt."""
    name = Path(os.path.realpath(device)).name
    if name.startswith("zram"):
        return True
    try:
        return (_BLOCKS / name / "dm/uuid").read_text("utf-8").startswith("CRYPT-")
    except OSError:
        return False


def netrc(env: Mapping[str, str]) -> Check[None]:
    """Name the netrc file that other programs would take credentials from."""
    home = env.get("HOME")
    for path in (Path(home) / name for name in (".netrc", "_netrc")) if home else ():
        if path.is_file():
            yield ok("environment.netrc", f"{path}: is ignored, as every netrc file is")


def derivation(document: Document) -> Check[None]:
    """Compare what guessing a passphrase costs with what a new slot would cost."""
    for slot in document.header.slots:
        if slot.kind != "passphrase" or slot.m is None or slot.t is None:
            continue
        if slot.m * slot.t < KDF_DEFAULT["m"] * KDF_DEFAULT["t"]:
            what = f"vault.slots: {slot.id!r} stretches its passphrase by {slot.m // 1024} MiB × {slot.t}"
            least = f"{KDF_DEFAULT['m'] // 1024} MiB × {KDF_DEFAULT['t']}"
            hint = "make another: mcpvault slots add NEW --passphrase; then: mcpvault slots remove " + slot.id
            yield warn("slots.kdf", f"{what}, below {least} of new slots", hint)


def literals(
    document: Document, name: str, shows_secret: Callable[[str], bool], in_arguments: InArguments
) -> Check[None]:
    """Look for secrets that were written where nothing is sealed: notes, arguments, the query of an address."""
    for index, _ in in_arguments(document.server(name).args):
        what = f"servers.{name}.args[{index}]: looks like a secret, in clear; every user of the host can read arguments"
        hint = f"if the program reads a variable: take it out, then run: mcpvault set {name} env.VARIABLE --stdin"
        yield warn("entry.literal", what, hint, server=name)
    for field, text in texts(document.tree["servers"][name]):
        if field != "args" and shows_secret(without_references(text)):
            what = f"servers.{name}.{field}: looks like a secret, and stands in clear"
            hint = f"if it is one: rotate it, and keep it in a sealed field: mcpvault set {name} FIELD --stdin"
            yield warn("entry.literal", what, hint, server=name)


def arguments(
    document: Document, name: str, env: Mapping[str, str], shows_secret: Callable[[str], bool]
) -> Check[None]:
    """Look for arguments that are filled in with a secret: by the option, the variable's name, or its value here."""
    before = ""
    for index, argument in enumerate(document.server(name).args):
        option = argument.partition("=")[0] if argument.startswith("-") else before
        before = argument if argument.startswith("-") and "=" not in argument else ""
        for reference in references_in(argument, where=f"servers.{name}.args[{index}]"):
            names = (option, reference.body)
            if any(map(is_sensitive_name, names)) or shows_secret(env.get(reference.body, "")):
                where = f"servers.{name}.args[{index}]"
                what = f"{where}: every user of the host can read what {reference.shown} holds here"
                hint = f"if the program reads a variable: mcpvault set {name} env.VARIABLE '{reference.shown}'"
                yield warn("entry.argument", what, hint, server=name)


def texts(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield field and text of everything that an entry's table says in clear, but what is known to everybody."""
    for key, value in table.items():
        field = f"{above}{key}"
        if key in _NAMES:
            continue
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, Mapping):
            yield from texts(value, f"{field}.")
        elif isinstance(value, list):
            yield from ((field, each) for each in value if isinstance(each, str))


def log(vault: Vault) -> Check[None]:
    """Follow the chain of the audit log."""
    mode = vault.document.header.audit
    if mode == "off":
        hint = 'set audit = "on" below [vault], then: mcpvault sign'
        yield warn("audit.log", "vault.audit: off; nothing that is done with the vault is written down", hint)
        return
    verdict = verified(vault.state, LogKeys(vault.state, vault.file))
    for fault in verdict.faults:
        hint = f"keep a copy of {vault.state.path}, and find out who could write there: mcpvault audit verify"
        yield fail("audit.log", f"{vault.state.path}: {fault}", hint, code=6)
    if not verdict.faults:
        yield ok("audit.log", f"{vault.state.path}: whole, {verdict.lines} lines")
