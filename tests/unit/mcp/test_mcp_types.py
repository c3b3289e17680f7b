"""What a server offered, read by somebody who trusts no type."""

from __future__ import annotations

from typing import Any

import pytest

from mcpvault.mcp import prompts, types
from mcpvault.mcp.resources import ResourceContents

ODD = [None, True, 7, 1.5, [], ["x"], {}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_field_of_another_type_is_absent(odd: Any) -> None:
    """Reading what a server sent in the wrong type raises nothing, and never gives a value of the wrong type."""
    block = {"type": "text", "text": odd, "mimeType": odd}
    embedded = {"type": "resource", "resource": odd}
    tool = types.Tool({"name": "t", "title": odd, "description": odd, "annotations": odd, "inputSchema": odd})

    assert "" == types.CallToolResult({"content": [block, embedded]}).text()
    assert (None, None, b"") == (types.Content(block).text, types.Content(block).mime_type, types.Content(block).data())
    assert (None, b"") == (ResourceContents({"text": odd}).text, ResourceContents({"text": odd}).data())
    assert (None, None, {}, {}) == (tool.title, tool.description, tool.annotations, tool.input_schema)
    assert prompts.PromptMessage({"content": odd}).content.text is None
    assert [] == prompts.Prompt({"name": "p", "arguments": odd}).arguments


def test_half_a_surrogate_pair_has_bytes() -> None:
    """Text that UTF-8 cannot say is replaced where bytes are asked for, and kept where text is."""
    part = ResourceContents({"text": "a\ud83d"})

    assert ("a\ud83d", b"a?") == (part.text, part.data())
