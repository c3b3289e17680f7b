"""
``mcpvault shell``: one session with a server, and lines that ask it something.

Decides what the lines mean. An error ends a line and not the shell; ctrl-C cancels what runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, offers, output, report
from mcpvault.cli.meanwhile import Meanwhile, quiet_options
from mcpvault.cli.shell_lines import taken_out, words_of
from mcpvault.errors import EXIT_DONE, EXIT_INTERRUPTED, McpVaultError, UsageError

if TYPE_CHECKING:
    from mcpvault.cli.shell_completion import Completion
    from mcpvault.cli.shell_history import History
    from mcpvault.mcp.session import Session

EXAMPLE = """
Example:

\b
  mcpvault shell linear
  linear> tools
  linear> call create_issue title="Rotate the keys" priority=2
  linear> exit
"""
HELP = """\
tools [TOOL]                       what the tools are called, or what one of them takes
call TOOL [JSON | @FILE] [KEY=VALUE | KEY:=JSON]… [--save DIR]
                                   call a tool
resources                          what can be read
read URI [--save DIR]              read it
prompts                            what the prompts are called
get PROMPT [KEY=VALUE]…            fill a prompt in
help                               this
exit                               end; so does ctrl-D

The tab key completes. Ctrl-C cancels a call. A line that begins with a space, or that may hold a secret, is not
remembered."""


@click.command(epilog=EXAMPLE)
@app.server_argument
@quiet_options
@app.timeout_option
@app.json_option
def command(server: str, quiet: bool, log_level: str | None, timeout: float | None, as_json: bool) -> int:
    """
    Talk to SERVER line by line: tools, call, resources, read, prompts, get; help lists them.

    Lines are read from the terminal, with history and completion, or from stdin; then the exit code is that of the
    last line. --timeout is for each line.
    """
    from mcpvault.cli.shell_completion import Completion

    with Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile:
        vault = app.open_vault()
        shell: Shell | None = None

        def heard(method: str, _: dict[str, Any]) -> None:
            if shell is not None and method.endswith("list_changed"):
                shell.completion.forget()

        callbacks = meanwhile.callbacks().replaced(on_notification=heard)
        with vault.session(server, timeout=timeout, callbacks=callbacks) as session:
            shell = Shell(session, meanwhile, Completion(session, Shell.VERBS), as_json=as_json)
            if app.on_terminal() and sys.stdout.isatty():
                from mcpvault.cli.shell_history import History

                history = History(vault.state)
                try:
                    return shell.run(_typed(f"{session.name}> ", history, shell.completion), lasting=True)
                finally:
                    history.save()
            return shell.run(sys.stdin, lasting=False)


class Shell:
    """
    What the lines do.

    Args:
        session: The server.
        meanwhile: Shows what happens during a line.
        completion: Forgets its lists when they may have changed.
        as_json: Print JSON.
    """

    VERBS = ("tools", "call", "resources", "read", "prompts", "get", "help", "exit")

    def __init__(self, session: Session, meanwhile: Meanwhile, completion: Completion, *, as_json: bool) -> None:
        self.completion = completion
        self._session = session
        self._meanwhile = meanwhile
        self._as_json = as_json
        self._acts: dict[str, Callable[[list[str]], None]] = {
            "tools": self._tools,
            "call": self._call,
            "resources": self._resources,
            "read": self._read,
            "prompts": self._prompts,
            "get": self._get,
            "help": lambda _: output.raw(HELP),
        }

    def run(self, lines: Iterator[str] | Any, *, lasting: bool) -> int:
        """
        Do *lines*, one after the other, and return the exit code.

        Args:
            lines: What is typed.
            lasting: A person sits there: ctrl-C ends a line only, and how the last one went is of no interest.
        """
        code = EXIT_DONE
        for line in lines:
            try:
                words = words_of(line)
                if words and words[0] in ("exit", "quit"):
                    break
                if words:
                    self._act(words)
                    code = EXIT_DONE
            except McpVaultError as error:
                code = report.tell(error, as_json=self._as_json, debug=False)
            except BrokenPipeError:
                raise
            except Exception as error:
                code = report.unexpected(error, as_json=self._as_json, debug=False)
            except KeyboardInterrupt:
                if not lasting:
                    raise
                output.note("interrupted")
                code = EXIT_INTERRUPTED
            finally:
                self._meanwhile.close()
            sys.stdout.flush()
        return EXIT_DONE if lasting else code

    def _act(self, words: list[str]) -> None:
        if words[0] not in self._acts:
            from mcpvault.suggestion import did_you_mean

            raise UsageError(f"there is no verb {words[0]!r}", hint=did_you_mean(words[0], self.VERBS) or "type: help")
        self._acts[words[0]](words[1:])

    def _tools(self, words: list[str]) -> None:
        self.completion.forget()
        offers.show_tools(self._session, _at_most_one(words, "tools [TOOL]"), as_json=self._as_json)

    def _call(self, words: list[str]) -> None:
        words, folder = taken_out(words, "--save")
        tool = _first(words, "call TOOL [JSON | @FILE] [KEY=VALUE]…")
        text = words[1] if words[1:] and words[1].startswith(("{", "@")) else None
        pairs = words[2:] if text is not None else words[1:]
        opening = nullcontext(self._session)
        offers.call_tool(opening, self._meanwhile, tool, text, pairs, folder=folder, as_json=self._as_json)

    def _resources(self, words: list[str]) -> None:
        self.completion.forget()
        _none(words, "resources")
        offers.show_resources(self._session, None, as_json=self._as_json)

    def _read(self, words: list[str]) -> None:
        words, folder = taken_out(words, "--save")
        uri = _first(words, "read URI [--save DIR]")
        _none(words[1:], "read URI [--save DIR]")
        offers.show_resources(self._session, uri, folder=folder, as_json=self._as_json)

    def _prompts(self, words: list[str]) -> None:
        self.completion.forget()
        _none(words, "prompts")
        offers.show_prompts(self._session, None, None, (), as_json=self._as_json)

    def _get(self, words: list[str]) -> None:
        prompt = _first(words, "get PROMPT [KEY=VALUE]…")
        offers.show_prompts(self._session, prompt, None, words[1:], as_json=self._as_json)


def _first(words: Sequence[str], usage: str) -> str:
    if not words:
        raise UsageError(f"expected: {usage}", hint="type: help")
    return words[0]


def _at_most_one(words: Sequence[str], usage: str) -> str | None:
    _none(words[1:], usage)
    return words[0] if words else None


def _none(words: Sequence[str], usage: str) -> None:
    if words:
        raise UsageError(f"{words[0]!r} is too much, expected: {usage}", hint="type: help")


def _typed(prompt: str, history: History, completion: Completion) -> Iterator[str]:
    """Yield what a person types, until they close the line; with readline, where this Python has it."""
    readline = _readline(history, completion)
    while True:
        try:
            line = input(prompt)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        if history.add(line) and readline is not None:
            readline.add_history(line)
        yield line


def _readline(history: History, completion: Completion) -> Any:
    try:
        import readline
    except ImportError:  # Windows, and some builds
        return None
    readline.set_auto_history(False)
    for line in history.earlier():
        readline.add_history(line)
    found: list[str] = []

    def complete(word: str, index: int) -> str | None:
        if index == 0:
            found[:] = completion.candidates(readline.get_line_buffer()[: readline.get_begidx()], word)
        return found[index] if index < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    return readline
