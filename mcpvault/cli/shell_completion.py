"""
What the tab key offers in ``mcpvault shell``: verbs, tools, prompts, resources, and their arguments.

Decides candidates from what the server offers. Leaves the keyboard to readline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.cli.arguments import list_of, part_of, property_schema, types_of
from mcpvault.cli.shell_lines import continued, unfinished
from mcpvault.errors import McpVaultError
from mcpvault.mcp.prompts import Prompt

if TYPE_CHECKING:
    from mcpvault.mcp.session import Session

Candidate = tuple[str, bool]  # a word, and whether it is whole: what is typed next is another one
_PATIENCE = 5.0  # seconds that a person waits for the tab key
_MOST = 200


class Completion:
    """
    Finds what a word may become.

    Args:
        session: The server; it is asked for its lists once, until ``forget``.
        verbs: The first words of a line.
    """

    def __init__(self, session: Session, verbs: Sequence[str]) -> None:
        self._session = session
        self._verbs = verbs
        self._lists: dict[str, list[dict[str, Any]]] = {}

    def forget(self) -> None:
        """Ask anew what the server offers, the next time."""
        self._lists.clear()

    def candidates(self, before: str, word: str) -> list[str]:
        """
        Return what *word* may become behind the text *before*; whatever goes wrong, there is nothing to offer.

        *word* begins at a blank, which may stand in a name: what is typed of that stays as it is typed.
        """
        try:
            words, typed, quoting = unfinished(before + word)
            found = self._found(words, typed)
        except McpVaultError:
            return []
        offered: list[str] = []
        for each, whole in found:
            # Only what can stand in a line, and does not draw on the terminal.
            if not each.startswith(typed) or not each.isprintable():
                continue
            rest = continued(each[len(typed) :], quoting)
            if rest is not None:
                offered.append(f"{word}{rest} " if whole else word + rest.removesuffix(quoting))
        return offered[:_MOST]

    def _found(self, words: list[str], word: str) -> list[Candidate]:
        verb = words[0] if words else None
        if verb is None:
            return [(each, True) for each in self._verbs]
        if len(words) == 1:
            key = {"tools": "tools", "call": "tools", "get": "prompts", "read": "resources"}.get(verb)
            named = "uri" if key == "resources" else "name"
            return [(str(item[named]), True) for item in self._list(key)] if key else []
        if verb == "call":
            return self._of_tool(words[1], words[2:], word)
        return self._of_prompt(words[1], words[2:], word) if verb == "get" else []

    def _of_tool(self, name: str, given: Sequence[str], word: str) -> list[Candidate]:
        tool = next((each for each in self._list("tools") if each["name"] == name), {})
        schema = part_of(tool, "inputSchema")
        properties = part_of(schema, "properties")
        key, equals, _ = word.partition("=")
        if not equals:
            return _open(properties, given)
        part = property_schema(schema, key)
        values = list_of(part, "enum") or ([True, False] if types_of(part, schema) == ["boolean"] else [])
        return [(f"{key}={each if isinstance(each, str) else json.dumps(each)}", True) for each in values]

    def _of_prompt(self, name: str, given: Sequence[str], word: str) -> list[Candidate]:
        prompt = next((each for each in self._list("prompts") if each["name"] == name), {})
        arguments = [str(each["name"]) for each in Prompt(prompt).arguments if "name" in each]
        key, equals, value = word.partition("=")
        if not equals:
            return _open(arguments, given)
        context = dict(pair.split("=", 1) for pair in given if "=" in pair)
        found = self._session.complete(key, value, prompt=name, context=context, timeout=_PATIENCE)
        return [(f"{key}={each}", True) for each in found.values]

    def _list(self, key: str) -> list[dict[str, Any]]:
        asked: dict[str, Callable[..., Sequence[Any]]] = {
            "tools": self._session.list_tools,
            "prompts": self._session.list_prompts,
            "resources": self._session.list_resources,
        }
        if key not in self._lists:
            self._lists[key] = [item.raw for item in asked[key](timeout=_PATIENCE)]
        return self._lists[key]


def _open(names: Any, given: Sequence[str]) -> list[Candidate]:
    """Return the arguments that have no value yet."""
    have = {word.partition("=")[0].rstrip(":") for word in given}
    return [(f"{name}=", False) for name in names if name not in have]
