"""
The command line: parse, call one function, print. The only place that knows click.

A verb is a module with ``command: click.Command``, listed in ``main.VERBS`` with its one-line help.
"""
