"""A minimal lazy click program with as many commands as ours: the floor of ``--help``."""

import sys

import click

HELPS = {f"command-{number}": "does one of many things" for number in range(int(sys.argv.pop()))}


class Lazy(click.Group):
    """Knows the one-line helps; loads a command when it is run."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names."""
        return [*HELPS]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([*HELPS.items()])


@click.group(cls=Lazy)
def main() -> None:
    """A program."""


main()
