"""
Configurations of other clients: read, taken over, and rewritten so that they ask the vault.

``importing.import_file`` is the whole way; ``sources`` knows the clients, ``servers`` what their entries become.
Nothing found in a foreign file is run, fetched or expanded.
"""
