"""
A person at a terminal logs in: browser and loopback, a pasted address, or a code on another device.

The one module that opens a browser or asks on the terminal, and only because somebody asked for a login.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from urllib.parse import urlsplit

from mcpvault.deadline import Deadline
from mcpvault.grants import Grant, Grants, Known
from mcpvault.http.browser import open_browser
from mcpvault.http.loopback import Loopback, stable_port
from mcpvault.login import Paste, choose_method
from mcpvault.oauth.challenge import Challenge
from mcpvault.oauth.wire import ShowCode
from mcpvault.tokens import Settings

_ENDS, _ERASES = b"\n\r\x04", b"\x08\x7f"
DEFAULT_REDIRECT = "http://127.0.0.1:{port}/callback"


def log_in(
    grants: Grants,
    settings: Settings,
    *,
    known: Known,
    seen: Challenge | None,
    scope: str | None,
    deadline: Deadline,
    method: str | None,
    env: Mapping[str, str],
    announced: AbstractContextManager[None],
) -> Grant:
    """
    Take a person through a login in the way that was named, or that fits; meanwhile it is *announced*.

    Raises:
        AuthorizationRequiredError: There is nobody to ask.
        McpVaultError: See ``Grants``.
    """
    named = method or settings.login_method
    found = None
    if named is None and at_terminal():
        found = grants.discover(seen, deadline)
    offered = found is not None and found.server.device_authorization_endpoint is not None
    chosen = choose_method(
        named, env=env, terminal=at_terminal(), device_offered=offered, server=settings.server, scope=scope
    )
    with announced:
        if chosen == "device":
            return grants.by_device(lambda code: _show(code, deadline), known, seen, scope, deadline)
        by_hand = returns_by_hand(settings)
        if chosen == "paste":
            way = Paste(returns_to(settings, known), tell=tell, read=_read)
            return grants.by_person(way, known, seen, scope, deadline, uri_by_hand=by_hand)
        with _listener(settings, known) as listener:
            return grants.by_person(_Browser(listener, env), known, seen, scope, deadline, uri_by_hand=by_hand)


def returns_to(settings: Settings, known: Known) -> str:
    """Return the redirect URI of a login here; a client that registers itself takes another port where it must."""
    held = None if _is_by_hand(settings) else _registered(known)
    return settings.redirect_uri or held or returns_by_hand(settings)


def returns_by_hand(settings: Settings) -> str:
    """Return the redirect URI of every login here once somebody has registered the client; no other port will do."""
    return settings.redirect_uri or DEFAULT_REDIRECT.format(port=_port(settings))


def at_terminal() -> bool:
    """Tell whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def tell(text: str) -> None:
    """Say something to the person, beside the data."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class _Browser:
    """The way through a browser on this machine."""

    def __init__(self, listener: Loopback, env: Mapping[str, str]) -> None:
        self.redirect_uri = listener.redirect_uri
        self._listener = listener
        self._env = env

    def visit(self, url: str, ours: Callable[[str], bool | str], deadline: Deadline) -> str:
        """Open the browser and wait until it comes back."""
        tell(f"Opening the browser. If it does not open, visit:\n\n  {url}\n")
        if not open_browser(url, self._env):
            tell("No browser could be opened: visit the address above on this machine.")
        return self._listener.wait(ours, deadline)


def _read(prompt: str, deadline: Deadline) -> str:
    """Return a line from the person or, where they said how to log in, from whatever stdin is."""
    if not at_terminal():
        tell(prompt)
        return _piped(deadline)
    if sys.platform == "win32":
        from getpass import getpass

        return getpass(prompt, stream=sys.stderr)
    return _typed(sys.stdin.fileno(), prompt, deadline)


def _piped(deadline: Deadline) -> str:
    """Return a line of stdin that is no terminal; what comes after it stays there for the next."""
    stdin, descriptor = sys.stdin, None
    with suppress(AttributeError, OSError, ValueError):  # none, not a file, closed
        descriptor = stdin.fileno()
    if descriptor is None or sys.platform == "win32":
        return stdin.readline() if stdin is not None else ""
    line = bytearray()
    while not line.endswith(b"\n"):
        _await(descriptor, deadline)
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line.decode("utf-8", "replace")


def _await(descriptor: int, deadline: Deadline) -> None:
    """Wait until there is something to read; raises ``DeadlineExceededError`` when the time is over before."""
    from select import select

    left = deadline.remaining()
    while not select([descriptor], [], [], None if math.isinf(left) else left)[0]:
        deadline.check("nothing was pasted")
        left = deadline.remaining()


def _typed(terminal: int, prompt: str, deadline: Deadline) -> str:
    """
    Read a line without echo, because the address holds a code, and of any length.

    Left to itself the terminal collects the line, and cuts it: after 1024 bytes on macOS, after 4095 on Linux.
    """
    import termios

    before = termios.tcgetattr(terminal)
    collecting = termios.tcgetattr(terminal)
    collecting[3] &= ~(termios.ECHO | termios.ICANON)
    collecting[6][termios.VMIN], collecting[6][termios.VTIME] = 1, 0
    line = bytearray()
    termios.tcsetattr(terminal, termios.TCSAFLUSH, collecting)
    try:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        while True:
            _await(terminal, deadline)
            piece = os.read(terminal, 4096)
            if not piece:
                return ""
            for byte in piece:
                if byte in _ENDS:
                    return line.decode("utf-8", "replace")
                if byte in _ERASES:
                    del line[-1:]
                else:
                    line.append(byte)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        tell("")


def _show(code: ShowCode, deadline: Deadline) -> None:
    if code.verification_uri_complete is not None:
        tell(f"Visit this address on any device:\n\n  {code.verification_uri_complete}\n")
        tell(f"Check that it shows the code {code.user_code}")
    else:
        tell(f"Visit {code.verification_uri} on any device and enter the code:\n\n  {code.user_code}\n")
    left = min(code.expires_in, deadline.remaining())
    tell(f"Waiting for you, for up to {f'{left / 60:.0f} minutes' if left >= 120 else f'{left:.0f} seconds'}.")


def _registered(known: Known) -> str | None:
    """Return the redirect URI that this client was registered with before."""
    held = known.registration
    return held.redirect_uris[0] if held is not None and held.redirect_uris else None


def _is_by_hand(settings: Settings) -> bool:
    """Tell whether somebody has registered the client, or published its document, with the redirect URI in it."""
    return settings.client_id is not None or settings.client_metadata_url is not None


def _port(settings: Settings) -> int:
    return stable_port(settings.server, settings.url)


def _listener(settings: Settings, known: Known) -> Loopback:
    if settings.redirect_uri is not None:
        return Loopback.at(settings.redirect_uri)
    if _is_by_hand(settings):
        return Loopback(port=_port(settings))  # another one is not the client's (A75)
    held = _registered(known)
    port = urlsplit(held).port if held is not None else None
    return Loopback(preferred=port or _port(settings))
