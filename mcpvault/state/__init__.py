"""
What runs produce: the anchor, trusted roots, era verdicts, the active server. Never in git.

One folder a vault, ``<state home>/<vault id>/``; ``vault.toml`` is never written from here.
"""
