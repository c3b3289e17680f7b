"""
How a ``${cmd:}`` reference runs: no shell, an environment that is given, an end in time.

Leaves to ``references`` whether the vault lets commands run at all.

Spec: SPEC §13.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcpvault.deadline import deadline_in
from mcpvault.errors import ConfigurationError
from mcpvault.secret import Secret


def run_command(words: list[str], *, env: Mapping[str, str], timeout: float = 30.0) -> Secret:
    """
    Run a ``${cmd:}`` reference and return its output without one trailing newline.

    Args:
        words: Program and arguments; no shell.
        env: The child's whole environment.
        timeout: Seconds, where nothing governs this thread that ends before.

    Raises:
        ConfigurationError: It cannot be run, failed, or took too long. Its output is not quoted.
        DeadlineExceededError: It took longer than the deadline that governs this thread.
    """
    import subprocess

    governing = deadline_in(None)
    try:
        code, output = _output_of(words, env, min(timeout, governing.remaining()))
        if code == 0:
            return output
        problem = f"{words[0]!r} returned {code}"
    except subprocess.TimeoutExpired:
        problem = f"{words[0]!r} took longer than {timeout:g} s"
    except UnicodeDecodeError:
        problem = f"{words[0]!r} printed something that is not UTF-8"
    except (OSError, ValueError) as error:
        problem = f"{words[0]!r} cannot be run: {getattr(error, 'strerror', None) or 'it is no command line'}"
    governing.check(repr(words[0]), sent=False)
    raise ConfigurationError(problem)


def _output_of(words: list[str], env: Mapping[str, str], timeout: float) -> tuple[int, Secret]:
    """Return exit status and output; what a failing command has printed stays in this frame."""
    import subprocess

    done = subprocess.run(
        words, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
    )
    printed = done.stdout.decode("utf-8") if done.returncode == 0 else ""
    return done.returncode, Secret(printed.removesuffix("\n").removesuffix("\r"))
