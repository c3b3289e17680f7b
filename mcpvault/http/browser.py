"""
Show a URL in the person's browser.

Decides what may be opened, and what the browser inherits. Leaves which browser to the standard library,
which knows the platforms and ``BROWSER``.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from mcpvault.deadline import Deadline

_OPENABLE = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")  # RFC 3986, without the apostrophe
_OURS = ("MCPVAULT_KEY", "CREDENTIALS_DIRECTORY")
_LAUNCH = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1], new=2))"
_PATIENCE = 5.0  # seconds after which a launcher that still runs is taken to be the browser itself

_lasting: set[int] = set()  # launchers that had not ended, to be waited for the next time


def open_browser(url: str, env: Mapping[str, str]) -> bool:
    """
    Open *url* in a browser; return whether that seems to have worked.

    It is launched by a process of its own, without a shell: some launchers only end with the browser, some
    write to the terminal, and none of them may have the vault's key in its environment.

    Args:
        url: http or https; anything else is not opened.
        env: The environment, the vault's key included; it is left out.
    """
    if not _OPENABLE.fullmatch(url):
        return False
    if sys.platform == "win32":
        import webbrowser

        return webbrowser.open(url, new=2)
    clean = {name: value for name, value in env.items() if not name.startswith(_OURS)}
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    for earlier in [*_lasting]:
        with suppress(ChildProcessError):
            if os.waitpid(earlier, os.WNOHANG) == (0, 0):
                continue
        _lasting.discard(earlier)
    try:
        child = os.posix_spawn(
            sys.executable, [sys.executable, "-I", "-c", _LAUNCH, url], clean, file_actions=null, setpgroup=0
        )
    except OSError:
        return False
    patience = Deadline(_PATIENCE)
    while not patience.expired():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    _lasting.add(child)
    return True
