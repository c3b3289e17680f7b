"""
A script that never ends of itself: ``python rekey_worker.py STOP once|always`` calls a server until STOP is there.

``once`` keeps one session, as a service does; ``always`` opens the vault anew for each call, as a cron job does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mcpvault import Session, Vault


def main(stop: Path, how: str) -> int:
    """Call until *stop* is there; print how often, each call counted when it ended well."""
    calls, session = 0, None
    while not stop.exists():
        if how == "always" or session is None:
            session = opened(session)
        assert 6 == len(session.list_tools())
        calls += 1
        print(calls, flush=True)
    return 0


def opened(before: Session | None) -> Session:
    """Open the vault, in place of what was opened before."""
    if before is not None:
        before.close()
    return Vault.open().session("x")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
