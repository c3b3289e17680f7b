"""
The way from each format to the next, as pure functions from tree to tree.

There is one format so far, hence no step. A later one is added as ``STEPS[1] = …`` together
with a golden file of the old format.

Spec: SPEC §4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from vault_schema.parse import CURRENT

STEPS: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}


def migrate(tree: dict[str, Any]) -> dict[str, Any]:
    """
    Return *tree* in the current format, unsigned: the caller re-MACs and re-signs it.

    Raises:
        LookupError: No step leads on from its format.
    """
    while tree["vault"]["format"] != CURRENT:
        tree = STEPS[tree["vault"]["format"]](tree)
    return tree
