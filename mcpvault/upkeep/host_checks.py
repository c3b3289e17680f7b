"""
What the host brings along: versions, variables of the environment, the state folder.

Decides nothing about a vault's content; reads no secret.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mcpvault._version import VERSION
from mcpvault.errors import PermissionsError
from mcpvault.state import filesystem
from mcpvault.state.files import StateDirectory
from mcpvault.state.token_file import BLOCK
from mcpvault.upkeep.findings import Check, Finding, fail, ok, warn
from mcpvault.vault.primitives import openssl_version

DISTRIBUTION = "mcpvault-sdk"
_LEFTOVER_AGE = 3600  # seconds; a younger temporary file may belong to a writer at work

# What others obey and mcpvault does not: whoever set it may count on an effect.
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
# Whoever can write where these point runs code in this process, which holds the secrets.
_LOADERS = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"),
    *("DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH"),
)


def versions() -> Check[None]:
    """Compare the installed libraries with what this version of mcpvault asks for."""
    import ssl
    from importlib.metadata import PackageNotFoundError, version

    found = [f"mcpvault {VERSION}", f"Python {sys.version.split()[0]}", f"{ssl.OPENSSL_VERSION} (TLS)"]
    found.append(f"{openssl_version()} (cryptography)")
    for name, least in _required():
        try:
            here = version(name)
        except PackageNotFoundError:
            here = ""
        if _numbers(here) < _numbers(least):
            state = f"is {here}" if here else "is not installed"
            yield fail("versions", f"{name} {state}, expected {least} or newer", f"run: pip install '{name}>={least}'")
        else:
            found.append(f"{name} {here}")
    yield ok("versions", ", ".join(found))


def _required() -> Iterator[tuple[str, str]]:
    """Yield the distributions that we need and the least version of each, as our own metadata say."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # run from a source tree
        needed = ["cryptography>=47"]
    for line in needed:
        name, least = re.match(r"[A-Za-z0-9._-]+", line), re.search(r">=\s*([0-9.]+)", line)
        if ";" not in line and name and least:  # behind a semicolon: extras
            yield name[0], least[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def environment(env: Mapping[str, str]) -> Check[None]:
    """Name the variables that weaken or steer this run, or that somebody believes to do so; never a value."""
    quiet = True

    def those(names: Sequence[str]) -> Iterator[str]:
        nonlocal quiet
        for name in names:
            if env.get(name):
                quiet = False
                yield name

    for name in those(["MCPVAULT_KEY"]):
        what = f"{name}: the vault's key stands in the environment, which other processes of this user can read"
        yield warn("environment.key", what, "keep it in a file of mode 0600 and set MCPVAULT_KEY_FILE instead")
    for name in those(sorted(name for name in env if name.startswith("OAUTHLIB_"))):
        what = f"{name}: switches checks of oauthlib off; mcpvault does not obey it, other programs do"
        yield warn("environment.oauthlib", what, f"run: unset {name}")
    for name in those(["SSLKEYLOGFILE"]):
        what = f"{name}: has TLS keys written to a file; mcpvault does not obey it, other programs do"
        yield warn("environment.tls_keys", what, f"run: unset {name}")
    for name in those(_CERTIFICATES):
        what = f"{name}: is ignored; a server's certificates are trusted by the system or by its entry"
        yield warn("environment.certificates", what, "run: mcpvault set NAME tls.ca_file PATH")
    for name in those(["NETRC"]):
        what = f"{name}: is ignored, as every netrc file is"
        yield warn("environment.netrc", what, "run: mcpvault set NAME auth.password --stdin")
    for name in those(_LOADERS):
        what = f"{name}: loads code into this process, which holds the secrets"
        yield warn("environment.loader", what, f"run: unset {name}; in a unit, leave it out")
    for name in those(_PROXIES):
        yield ok("environment.proxy", f"{name}: is used for entries without proxies of their own; never for loopback")
    if quiet:
        yield ok("environment", "environment: no variable weakens or steers this run")


def state_folder(state: StateDirectory) -> Check[None]:
    """Ask whether the state folder is ours, private and writable, and whether locks in it keep others out."""
    state.judge()
    place = state.path
    if not place.exists():
        place = next(parent for parent in place.parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = f"{place}: {'cannot be written' if place.is_dir() else 'is no folder'}, so state cannot be kept"
        yield fail("state.folder", what, "set MCPVAULT_STATE_DIR to a folder of yours")
        return
    if place != state.path:
        yield ok("state.folder", f"{state.path}: is made when it is needed")
    else:
        yield _room(state)
        filesystem.check_locks(place)
        if not filesystem.lock_excludes(place):
            what = f"{place}: a lock that this process held did not keep a child process out"
            yield fail("state.locks", what, "set MCPVAULT_STATE_DIR to a folder on a local disk")
        else:
            kind = filesystem.type_of(place) or "a file system of unknown type"
            yield ok("state.locks", f"{place}: on {kind}; a lock keeps a child process out")
    yield from leftovers("state.leftovers", state.leftovers())
    for name in state.names():
        if name.startswith("edited-"):
            kept = state.path / name
            what = f"{kept}: the text of an edit that was not taken, perhaps with a secret in clear"
            yield warn("state.edited", what, f"take it over with: mcpvault edit; then run: rm {shlex.quote(str(kept))}")


def _room(state: StateDirectory) -> Finding:
    """Write as much as a grant takes, and take it away again: a full disk looks writable."""
    problem: str | None = None
    try:
        with state.room("doctor", BLOCK) as room:
            room.fill(bytes(BLOCK))
    except PermissionsError as error:
        problem = error.message
    except OSError as error:
        problem = f"{state.path}: not written: {error.strerror or 'refused'}"
    if problem is None:
        return ok("state.folder", f"{state.path}: ours, private, writable")
    hint = f"make room there, and let this user write; look: df -h {shlex.quote(str(state.path))}"
    return fail("state.folder", f"{problem}, so what a refresh brings cannot be kept", hint)


def state_home(home: Path) -> Check[None]:
    """Say what can be said of the state while the vault, and so its folder's name, is unknown."""
    place = next(parent for parent in (home, *home.parents) if parent.exists())
    kind = filesystem.type_of(place)
    if kind in filesystem.REFUSED:
        what = f"{place}: is on {kind}, where locks of several hosts do not exclude each other"
        yield fail("state.locks", what, "set MCPVAULT_STATE_DIR to a folder on a local disk")
    elif not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = f"{place}: {'cannot be written' if place.is_dir() else 'is no folder'}, so state cannot be kept"
        yield fail("state.folder", what, "set MCPVAULT_STATE_DIR to a folder of yours")
    else:
        yield ok("state.folder", f"{home}: can hold the state of a vault")


def leftovers(check: str, paths: Sequence[Path]) -> Check[None]:
    """Name the temporary files that writers left behind when they died."""
    for path in paths:
        try:
            age = time.time() - path.lstat().st_mtime
        except OSError:  # its writer has just been done
            continue
        if age > _LEFTOVER_AGE:
            what = f"{path}: left behind by a writer that died {age / 3600:.0f} h ago"
            yield warn(check, what, f"the next write removes it, or run: rm {shlex.quote(str(path))}")
        else:
            yield ok(check, f"{path}: a writer's temporary file, {age:.0f} s old")
