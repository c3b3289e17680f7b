"""
The vault for async programs: what other libraries take as authentication or token storage.

Every token comes from the vault's own state: it is refreshed under the same kernel lock as everybody's, so that no
two programs redeem one. What blocks runs in a worker thread of the caller's library.

``client_auth`` is for clients that run for long; ``mcp_storage`` and ``fastmcp_storage`` for those
whose own OAuth provider wants a storage: it asks once, and none of them ever gets a refresh token.
"""
