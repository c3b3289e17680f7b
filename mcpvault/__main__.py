"""``python -m mcpvault``."""

from __future__ import annotations

import sys

from mcpvault.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
