"""
From the vault file to its secrets: slots, seals, signature, references, edits. No network.

``vaultfile.VaultFile`` is what the other rooms use.
"""
