"""
How a person gets to an authorization server and back: browser and loopback, pasted URL, or a code on another device.

Decides which way fits the surroundings. Leaves what is asked and how the answer is judged to ``authorization``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError, UsageError
from mcpvault.secret import Secret

_MOST_PARAMETERS = 64
METHODS = ("loopback", "paste", "device")
Tell = Callable[[str], None]
Read = Callable[[str, Deadline], str]


@runtime_checkable
class OAuthProvider(Protocol):
    """
    A caller's own way through a login, for tests and headless runs; it replaces the built-in ones entirely.

    ``redirect_uri`` is registered and sent; ``redirect`` takes the authorization URL and returns the URL that
    the authorization server redirected to, query and all.
    """

    redirect_uri: str

    def redirect(self, url: str) -> str:
        """Visit *url*, let the person consent, and return where the browser was sent."""


class Way(Protocol):
    """One login in progress: where the authorization server will redirect to, and the visit itself."""

    @property
    def redirect_uri(self) -> str:
        """What is registered and sent."""

    def visit(self, url: str, ours: Callable[[str], bool | str], deadline: Deadline) -> str:
        """Take the person to *url*; return the redirected URL for which *ours* is true."""


class Provided:
    """The way of a caller's ``OAuthProvider``."""

    def __init__(self, provider: OAuthProvider) -> None:
        self._provider = provider
        self.redirect_uri = provider.redirect_uri

    def visit(self, url: str, ours: Callable[[str], bool | str], deadline: Deadline) -> str:
        """Let the provider do all of it."""
        redirected = self._provider.redirect(url)
        if not isinstance(redirected, str):
            where, got = type(self._provider).__name__, type(redirected).__name__
            raise TypeError(f"{where}.redirect: expected the URL that the browser was sent to, got {got}")
        return redirected


class Paste:
    """The redirect flow without a port: the URL goes out, the redirected URL comes back by hand."""

    def __init__(self, redirect_uri: str, *, tell: Tell, read: Read) -> None:
        self.redirect_uri = redirect_uri
        self._tell = tell
        self._read = read

    def visit(self, url: str, ours: Callable[[str], bool | str], deadline: Deadline) -> str:
        """
        Print the URL and read the answer, until it is ours.

        Raises:
            AuthorizationRequiredError: Nothing was pasted.
            DeadlineExceededError: Not in time.
        """
        self._tell(f"Open this URL in any browser:\n\n  {url}\n")
        self._tell(
            "After consent the browser is sent to a page that may not load. "
            "Copy its whole address from the address bar."
        )
        while True:
            pasted = self._read("Paste the address here: ", deadline).strip()
            if not pasted:
                raise AuthorizationRequiredError("nothing was pasted, so nobody is logged in", hint="try again")
            if ours(pasted):
                return pasted
            if pasted.lower().strip("\"'`<").startswith(self.redirect_uri.lower()):
                self._tell("That address answers another login: open the URL above, and paste what comes of that.")
            else:
                self._tell("That address does not belong to this login; it begins with " + self.redirect_uri)


def choose_method(
    named: str | None, *, env: Mapping[str, str], terminal: bool, device_offered: bool, server: str, scope: str | None
) -> str:
    """
    Return the login method for these surroundings.

    Raises:
        AuthorizationRequiredError: No method was named and there is nobody to ask.
        UsageError: There is no such method.
    """
    if named is not None:
        if named not in METHODS:
            raise UsageError(f"method: expected one of {', '.join(METHODS)}, got {named!r}")
        return named
    if not terminal:
        error = login_needed(server, scope, "there is no terminal to ask on")
        error.hint = f"run it on a terminal, or name a way: {error.login_command} --method device"
        raise error
    desktop = sys.platform in ("darwin", "win32") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))
    if desktop and not env.get("SSH_CONNECTION"):
        return "loopback"
    return "device" if device_offered else "paste"


def login_needed(server: str, scope: str | None, why: str) -> AuthorizationRequiredError:
    """Return the error that only a person's login mends, with the exact command."""
    command = login_command(server, scope)
    return AuthorizationRequiredError(f"{server}: {why}", hint=f"run: {command}", server=server, login_command=command)


def login_command(server: str, scope: str | None) -> str:
    """Return the command that logs in, fit for a shell: the scopes may be a server's words."""
    return f"mcpvault login {server}" + (f" --scope {in_shell(scope)}" if scope else "")


def in_shell(text: str) -> str:
    """Return *text* as one word of a command line that somebody will paste, or a program run."""
    if re.fullmatch(r"[A-Za-z0-9_.:/ +@%,=-]*", text):
        return f'"{text}"'
    from shlex import quote

    return quote(text)


def state_of(redirected: Secret) -> Secret | None:
    """Return the ``state`` parameter of a redirected URL, or None if it has none, or several."""
    from mcpvault.oauth.urls import pasted

    head, mark, query = pasted(redirected.reveal()).partition("#")[0].partition("?")
    query = query if mark else head  # the query alone
    try:
        found = [value for name, value in parse_qsl(query, max_num_fields=_MOST_PARAMETERS) if name == "state"]
    except ValueError:
        return None
    return Secret(found[0]) if len(found) == 1 else None
