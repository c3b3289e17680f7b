"""The environment of children: as little as a program needs, plus what an entry gives it."""

from __future__ import annotations

from collections.abc import Mapping

from mcpvault.secret import Secret

INHERITED = frozenset({"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "LANG"})
_WINDOWS = frozenset({"SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP", "USERPROFILE", "PATHEXT", "COMSPEC", "APPDATA"})
OURS = ("MCPVAULT_KEY", "CREDENTIALS_DIRECTORY")
# With which a job asks for its own identity: GitHub Actions, Azure Pipelines.
IDENTITY = frozenset(
    {
        *("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        *("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "SYSTEM_COLLECTIONURI"),
    }
)


def child_environment(env: Mapping[str, str], given: Mapping[str, Secret], *, windows: bool = False) -> dict[str, str]:
    """
    Return the whole environment of a child: the few inherited variables, then *given*.

    Args:
        env: Our own environment.
        given: The variables that the entry names, with their values.
        windows: Whether the child runs there.

    The vault's key and systemd's credentials folder never pass, not even when *given* names them.
    What is returned holds secrets in clear: pass it on, and keep it in no variable.
    """
    kept = {
        name: value
        for name, value in env.items()
        # A value that starts with "()" is a shell function (CVE-2014-6271).
        if (name in INHERITED or name.startswith("LC_") or (windows and name.upper() in _WINDOWS))
        and not value.startswith("()")
    }
    own = {name: held.reveal() for name, held in given.items()}
    return {name: value for name, value in {**kept, **own}.items() if not name.startswith(OURS)}
