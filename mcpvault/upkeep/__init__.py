"""
Keeping a vault and its host in order. Nothing here changes anything unless that is its one job.

``doctor.examine`` is the whole examination: ``host_checks``, ``vault_checks`` and ``entry_checks`` look,
``findings`` is what they say. ``restore`` puts a good generation back.
"""
