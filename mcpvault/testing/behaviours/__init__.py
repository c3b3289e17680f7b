"""
Every way in which ``FakeMcpServer`` can be wrong, by name: ``BEHAVIOURS``.

Each behaviour takes the ``Exchange`` and its options and gives the whole answer.
"""

from __future__ import annotations

from mcpvault.testing.behaviours import answers, flow, wire
from mcpvault.testing.behaviours.registry import BEHAVIOURS, Behaviour

__all__ = ["BEHAVIOURS", "Behaviour", "answers", "flow", "wire"]
