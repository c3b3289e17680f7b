"""
What a server says of its transport: ``type`` and ``transport``, which most clients find out by themselves.

Decides which transport is meant, and keeps a word that ``export`` would not say again.
"""

from __future__ import annotations

from typing import Any

from mcpvault.interop.entry import Draft, Unfit
from mcpvault.interop.source import Written
from mcpvault.interop.targets import TARGETS

_STREAMABLE = frozenset({"http", "streamable-http", "streamable_http", "streamablehttp", "stdio", "local", "remote"})


def take(draft: Draft, kind: str, keys: dict[str, Any]) -> None:
    """
    Take ``type`` and ``transport`` out of *keys*.

    Raises:
        Unfit: It is no transport of MCP.
    """
    for key in ("type", "transport"):
        word = keys.pop(key, None)
        if isinstance(word, Written) and word.reveal().lower() in _STREAMABLE:
            _keep(draft, kind, key, word.reveal())
        elif isinstance(word, Written):
            if word.reveal().lower() in ("ws", "websocket"):
                raise Unfit("speaks WebSocket, which is no MCP transport")
            draft.put("transport", "sse")
            draft.todo.append("url: speaks the old HTTP+SSE transport; most such servers have a newer endpoint by now")


def _keep(draft: Draft, kind: str, key: str, word: str) -> None:
    """Keep a word that the client need not say, and that ``export`` would leave out or say otherwise."""
    if (target := TARGETS.get(kind)) is None:
        return
    usual = (target.stdio if "command" in draft.tree else target.http).get(key)
    if usual is None:
        draft.tree.setdefault(f"x-{kind}", {})[key] = word
    elif usual != word:
        draft.losses.append(f"{key}: is written {usual!r} by export, which means the same")
