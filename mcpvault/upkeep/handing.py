"""
How secrets are handed to another program: by variable, by file, by descriptor; never by its words.

Decides the whole environment of the program. Leaves which variables may be set to ``vault.run_variables``, opening
values to ``mcpvault.opened``, and starting the program to the caller.

Rule: what is handed over ends with the program. There is no file on a disk to be left behind.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError, UsageError
from mcpvault.opened import opened
from mcpvault.secret import Secret
from mcpvault.vault.run_variables import check_run_env, check_variable

Way = Literal["variable", "file", "fd"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TARGET = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:\.([a-z_]+(?:\.[!#$%&'*+.^_`|~0-9A-Za-z-]+)?))?")


class Handed(NamedTuple):
    """One value to hand over: how, the variable that says so, and the value."""

    way: Way
    variable: str
    value: Secret


class Handover(NamedTuple):
    """What was asked for: a field of an entry (None: its credential), and the variable that gets it."""

    way: Way
    variable: str
    server: str
    field: str | None


def parsed(way: Way, text: str) -> Handover:
    """
    Return what ``VAR=NAME`` or ``VAR=NAME.FIELD`` asks for.

    Raises:
        UsageError: It has another form.
        ConfigurationError: The variable must not be set.
    """
    variable, equals, target = text.partition("=")
    found = _TARGET.fullmatch(target)
    if not equals or found is None or not _VARIABLE.fullmatch(variable):
        raise UsageError(f"expected VAR=NAME or VAR=NAME.FIELD, got {text[:80]!r}", hint="such as TOKEN=github")
    check_variable(variable)
    return Handover(way, variable, found[1], found[2])


def of_entries(vault: Vault, names: Iterable[str], asked: Iterable[Handover]) -> list[Handover]:
    """
    Return what the entries *names* say in ``run_env``, then what was *asked* for.

    Raises:
        ConfigurationError: An entry says nothing and nothing of it was asked for, or a variable would be set twice.
    """
    wanted = [*asked]
    spoken = {each.server for each in wanted}
    found: list[Handover] = []
    for name in dict.fromkeys(names):
        said = vault.entry(name).run_env
        check_run_env(name, said)
        if not said and name not in spoken:
            raise ConfigurationError(
                f"servers.{name}: says no variable for a program",
                hint=f"give --set VAR={name}, or run: mcpvault set {name} run_env.VAR auth.token",
                server=name,
            )
        for variable, field in said.items():
            found.append(Handover("variable", variable, name, field))
    found += wanted
    for first, second in combinations(found, 2):
        if first.variable == second.variable:
            raise ConfigurationError(f"{first.variable}: is set twice, by {first.server} and by {second.server}")
    return found


def handed(vault: Vault, wanted: Iterable[Handover]) -> list[Handed]:
    """
    Open every value.

    Raises:
        ConfigurationError: A value cannot be a variable's.
        McpVaultError: As ``opened``.
    """
    found = []
    for each in wanted:
        value = opened(vault, each.server, each.field, purpose="run").value
        if each.way == "variable" and "\0" in value.reveal():
            raise ConfigurationError(
                f"{each.variable}: the value holds a NUL, which no variable can", server=each.server
            )
        found.append(Handed(each.way, each.variable, value))
    return found


def hidden(vault: Vault, wanted: Iterable[Handover], values: Sequence[Handed]) -> list[Secret]:
    """
    Return what of *values* must not be seen: they, and a password also as the Basic credential that it is part of.

    Raises:
        McpVaultError: As ``opened``.
    """
    found = [each.value for each in values]
    for each, (_, _, password) in zip(wanted, values, strict=True):
        auth = vault.file.table(each.server).get("auth", {})
        if each.field in (None, "auth.password") and auth.get("kind") == "basic":
            user = opened(vault, each.server, "auth.username", purpose="run").value
            pair = f"{user.reveal()}:{password.reveal()}".encode("utf-8", "surrogateescape")
            found.append(Secret(b64encode(pair).decode("ascii")))
    return found


def environment(env: Mapping[str, str], values: Iterable[Handed]) -> dict[str, str]:
    """
    Return the whole environment of the program: the caller's without ours, and what is handed over.

    For a file or a descriptor one is opened that the program inherits: memory, where the system has such files, else
    a pipe that can be read once.
    """
    whole = {name: held for name, held in env.items() if not name.startswith(("MCPVAULT_KEY", "CREDENTIALS_DIRECTORY"))}
    for each in values:
        if each.way == "variable":
            whole[each.variable] = each.value.reveal()
        else:
            number = _descriptor(each)
            whole[each.variable] = str(number) if each.way == "fd" else _path(number)
    return whole


def _descriptor(handed_over: Handed) -> int:
    data = handed_over.value.reveal().encode("utf-8", "surrogateescape")
    if hasattr(os, "memfd_create"):
        import fcntl

        number = os.memfd_create("mcpvault", os.MFD_ALLOW_SEALING)
        os.fchmod(number, 0o400)
        _write_all(number, data)
        seals = ("F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE")
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in seals))
        os.lseek(number, 0, os.SEEK_SET)
    else:
        number, writing = os.pipe()
        os.set_blocking(writing, False)
        written = _write_all(writing, data)
        os.close(writing)
        if not written:
            raise ConfigurationError(f"{handed_over.variable}: the value is too long to be handed over by a pipe")
    os.set_inheritable(number, True)
    return number


def _write_all(number: int, data: bytes) -> bool:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(number, view) :]
        except BlockingIOError:
            return False
    return True


def _path(number: int) -> str:
    """Return a path for a descriptor: by process where there is one, so that a grandchild can read it too."""
    own = f"/proc/{os.getpid()}/fd/{number}"
    return own if Path(own).exists() else f"/dev/fd/{number}"
