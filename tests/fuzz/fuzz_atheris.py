"""
One parser under atheris: ``python tests/fuzz/fuzz_atheris.py NAME [libFuzzer option or folder…]``; see scripts/fuzz.

Everything that the target runs is instrumented, so it is imported here and nowhere before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["mcpvault", "vault_schema", "tomllib"]):
    from fuzz_targets import TARGETS

name = sys.argv.pop(1)
atheris.Setup(sys.argv, TARGETS[name])
atheris.Fuzz()
