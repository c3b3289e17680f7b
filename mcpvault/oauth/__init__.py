"""
OAuth 2.1 as an MCP client needs it, as pure functions and generators: they ask for I/O and do none.

Spec: MCP 2026-07-28 "Authorization"; RFC 6749, 6750, 7009, 7523, 7591, 7636, 8414, 8628, 8693, 8707, 9207, 9449, 9728.
"""
