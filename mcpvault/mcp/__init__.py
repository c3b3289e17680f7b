"""
MCP as pure functions, and the session on top of a ``Transport``.

Rule: nothing in this package opens a socket, a pipe or a file.

``wire`` draws the seams, ``jsonrpc`` and ``sse`` turn bytes into messages, ``era`` says
what each era asks for, ``judgement`` which of them a server speaks, ``types`` gives results
their names, ``session`` is what users call.
"""
