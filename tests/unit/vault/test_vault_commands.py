"""``${cmd:…}``, and what is resolved outside of a vault."""

from __future__ import annotations

import os
import sys
import traceback

import pytest
from reference_samples import missing, resolved

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, DeadlineExceededError
from mcpvault.secret import Secret
from mcpvault.vault.commands import run_command
from mcpvault.vault.references import Resolver, Surroundings


def run(words: list[str]) -> Secret:
    """Run a command with a small environment."""
    return run_command(words, env={"PATH": os.environ["PATH"], "SHOWN": "shown"}, timeout=30)


def command(code: str) -> list[str]:
    """Return a command that runs *code*."""
    return [sys.executable, "-S", "-c", code]


def test_a_commands_output_where_the_vault_allows_it() -> None:
    """Without one line end; words are words, there is no shell."""
    text = '${cmd:["printf", "%s\\n", "a $HOME ; b"]}'

    assert "a $HOME ; b" == resolved(text, allow_commands=True, run=run)


def test_commands_are_off_unless_allowed() -> None:
    """Nothing is run, and the command is not quoted: an argument may be a secret."""

    def never(_: list[str]) -> Secret:
        raise AssertionError("it was run")

    error = missing('${cmd:["prog", "an-argument"]}', run=never)

    assert "commands are not allowed in this vault" in error.message
    assert ("servers.web.auth.token: ${cmd:…}",) == error.missing
    assert "an-argument" not in error.message


def test_a_command_gets_the_environment_that_it_is_given() -> None:
    """Nothing of ours."""
    os.environ["MCPVAULT_KEY"] = "mvk1-ours"
    try:
        shown = run(command("import os; print(os.environ.get('SHOWN'), os.environ.get('MCPVAULT_KEY'))"))
    finally:
        del os.environ["MCPVAULT_KEY"]

    assert "shown None" == shown.reveal()


def test_a_commands_input_is_empty() -> None:
    """It cannot wait for a person."""
    assert "''" == run(command("import sys; print(repr(sys.stdin.read()))")).reveal()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (command("import sys; print('printed'[::-1]); sys.exit(3)"), "returned 3"),
        (command("import sys; sys.stdout.buffer.write(b'printed'[::-1] + bytes([255]))"), "not UTF-8"),
        (["/not/there"], "cannot be run: No such file or directory"),
        (["/"], "cannot be run: Permission denied"),
        (["prog\ud800"], "cannot be run: it is no command line"),
    ],
    ids=["status", "bytes", "missing", "folder", "surrogate"],
)
def test_a_command_that_fails_is_exit_8(words: list[str], reason: str) -> None:
    """What it printed is neither quoted nor in a frame of the exception."""
    with pytest.raises(ConfigurationError) as caught:
        run(words)

    error = caught.value
    held = [repr(value) for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]
    assert reason in error.message
    assert (None, None) == (error.__cause__, error.__context__)
    assert [] == [each for each in (error.message, *held) if "detnirp" in each]


def test_a_command_that_takes_too_long_is_killed() -> None:
    """With the time that it was given."""
    with pytest.raises(ConfigurationError, match="took longer than 0.2 s"):
        run_command(command("import time; time.sleep(60)"), env={}, timeout=0.2)


def test_a_command_keeps_to_the_deadline_of_the_call() -> None:
    """Whoever resolves it may have less time than a command is given: the error is the deadline's."""
    with Deadline(0.2).governing(), pytest.raises(DeadlineExceededError, match="no answer within 0.2 s") as caught:
        run_command(command("import time; time.sleep(60)"), env={}, timeout=30)
    assert not caught.value.sent


def test_an_empty_output_is_missing() -> None:
    """Like an empty variable."""
    assert "is empty" in missing('${cmd:["true"]}', allow_commands=True, run=run).message


# Outside of a vault


@pytest.mark.parametrize("text", ["${file:/x}", "${cred:x}", "${keyring:a/b}", "${vault:a.b}", '${cmd:["x"]}'])
def test_outside_of_a_vault_only_variables_are_resolved(text: str) -> None:
    """A file that nobody signed reads no files and runs nothing."""
    assert "is resolved in a vault only" in missing(text, schemes=("env",), allow_commands=True, run=run).message


@pytest.mark.parametrize("text", ["${vault:a.b}", '${cmd:["x"]}'])
def test_what_nobody_provides_cannot_be_resolved(text: str) -> None:
    """Surroundings without other entries or without a way to run commands."""
    assert "cannot be resolved here" in missing(text, allow_commands=True).message


def test_the_place_in_messages_can_be_another() -> None:
    """A file of ``mcpServers`` has places of its own."""
    mine = Resolver(server="web", surroundings=Surroundings(env={}), where="mcpServers.web")
    mine.resolve("headers.X", "${X}", secret=True)

    assert ["mcpServers.web.headers.X: ${X}"] == mine.missing
