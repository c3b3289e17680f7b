"""
The server of ``mcpvault demo --serve``, also to be run by hand: ``python -m mcpvault.testing.demo_server``.

    --port N       listen there instead of on a free port
    --token TEXT   demand this bearer token instead of a fresh one

Prints the endpoint and the token on the first two lines, then serves until interrupted.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence

from mcpvault.testing.server import FakeMcpServer


def serve(*, port: int = 0, token: str | None = None, announce: Callable[[str, str], None]) -> None:
    """
    Serve both eras until interrupted; demand *token*, or a fresh one.

    Args:
        port: The port to listen on; 0 takes a free one.
        token: The bearer token to demand.
        announce: Called once with the endpoint and the token when the server answers.
    """
    demanded = token or secrets.token_urlsafe(24)
    with FakeMcpServer(era="both", token=demanded, port=port) as server:
        announce(server.url, demanded)
        try:
            server.closing.wait()
        except KeyboardInterrupt:
            pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="mcpvault.testing.demo_server", description="a fake MCP server on loopback")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token")
    options = parser.parse_args(arguments)

    def announce(url: str, token: str) -> None:
        sys.stdout.write(f"{url}\n{token}\n")
        sys.stdout.flush()

    serve(port=options.port, token=options.token, announce=announce)
    return 0


if __name__ == "__main__":
    sys.exit(main())
