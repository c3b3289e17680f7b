"""
How a run ends: an error as one line and a hint on stderr, and an exit code that means something.

Decides the form of errors. Their codes and texts come with them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from mcpvault.errors import EXIT_DONE, EXIT_INTERRUPTED, McpVaultError

USAGE = 2
UNEXPECTED = 1
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
remarks: list[str] = []  # what was logged as a warning, for the end of the run


def run(act: Callable[[], Any], words: Sequence[str]) -> int:
    """
    Run *act* and return the exit code; print what went wrong.

    Args:
        act: The command line.
        words: Its words; ``--json`` and ``--debug`` among them decide the form of an error.
    """
    own = words[: words.index("--")] if "--" in words else words  # what follows are the words of another command
    as_json, debug = "--json" in own, "--debug" in own
    code = _ended(act, as_json=as_json, debug=debug)
    if not as_json:
        _remark("")
    problem = _unwritable()
    return code or (tell(problem, as_json=as_json, debug=debug) if problem else EXIT_DONE)


def _ended(act: Callable[[], Any], *, as_json: bool, debug: bool) -> int:
    stdout = sys.stdout
    try:
        code = act()
    except McpVaultError as error:
        return tell(error, as_json=as_json, debug=debug)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("mcpvault: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _usage(error, as_json=as_json)
    except BrokenPipeError:
        return EXIT_DONE
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return EXIT_DONE  # click wraps stdout and exits with 1 when the reader has gone
    except Exception as error:
        if isinstance(error, OSError) and (problem := _unwritable(error)) is not None:
            return tell(problem, as_json=as_json, debug=debug)
        return unexpected(error, as_json=as_json, debug=debug)
    return code if isinstance(code, int) else EXIT_DONE


def _unwritable(failed: OSError | None = None) -> McpVaultError | None:
    """
    Write what is left of stdout; return what to say where that fails, unless its reader has gone.

    A stream without buffer has nothing left: then *failed* tells, for whoever writes a file has errors of his own.
    """
    reason = failed.strerror if failed and failed.errno in _FULL and failed.filename is None else None
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return None
    except OSError as error:
        reason = error.strerror or "refused"
    if reason is None:
        return None
    _give_up_stdout()
    hint = "its output is lost; see what it has done before you run it again"
    return McpVaultError(f"stdout: cannot be written: {reason.lower()}", hint=hint)


def _give_up_stdout() -> None:
    """Let what is left go nowhere: the interpreter would try to write it once more, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print a warning on stderr."""
    print(f"mcpvault: warning: {one_line(text)}", file=sys.stderr)


def _remark(known: str) -> None:
    """Print what was logged, once, and not what the error or a longer remark says as well."""
    told = [*dict.fromkeys(remarks)]
    for text in told:
        if text not in known and not any(text in longer for longer in told if longer != text):
            warn(text)
    remarks.clear()


def one_line(text: str) -> str:
    """Return *text* with control characters escaped: the words of a file or server must not draw on a screen."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def tell(error: McpVaultError, *, as_json: bool, debug: bool) -> int:
    """Print an error and return its exit code."""
    if debug:
        _traceback(error)
    if as_json:
        _json(error.kind, error.exit_code, error.message, error)
    else:
        _remark(error.message)
        print(f"mcpvault: error: {one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"mcpvault: hint: {one_line(error.hint)}", file=sys.stderr)
    return error.exit_code


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        print(error.format_message(), file=sys.stderr)
        return USAGE
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    hint = f"run: {context.command_path} --help" if context is not None else "run: mcpvault --help"
    if near := _near(error):
        message, hint = error.message.rstrip("."), f"did you mean {near[0]!r}?"
        message = message[:1].lower() + message[1:]
    elif isinstance(error, click.NoSuchOption) and context is not None and context.parent is None:
        hint = f"options follow the verb: mcpvault VERB {error.option_name}"
    if as_json:
        _json("usage", USAGE, message, None, hint)
    else:
        print(f"mcpvault: error: {one_line(message)}", file=sys.stderr)
        print(f"mcpvault: hint: {one_line(hint)}", file=sys.stderr)
    return USAGE


def _near(error: click.ClickException) -> list[str]:
    """Return what was meant perhaps; before the verb only what is all but spelt alike, as --json belongs behind it."""
    found: list[str] = list(getattr(error, "possibilities", None) or ())
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and error.ctx.parent is None:
        from difflib import get_close_matches

        return get_close_matches(error.option_name, found, cutoff=0.8)
    return found


def unexpected(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Print an error that nobody foresaw, redacted, and return its exit code."""
    from mcpvault.secret import redact

    message = one_line(redact(f"unexpected {type(error).__name__}: {error}").splitlines()[0][:300])
    if debug:
        _traceback(error)
    if as_json:
        _json("unexpected", UNEXPECTED, message, None, "run it again with --debug and report it")
    else:
        print(f"mcpvault: error: {message}", file=sys.stderr)
        print("mcpvault: hint: run it again with --debug and report it", file=sys.stderr)
    return UNEXPECTED


def _json(kind: str, code: int, message: str, error: McpVaultError | None, hint: str | None = None) -> None:
    import json

    facts = {
        "kind": kind,
        "code": code,
        "message": message,
        "hint": error.hint if error else hint,
        "server": error.server if error else None,
        "retry_after": error.retry_after if error else None,
        "login_command": error.login_command if error else None,
    }
    print(json.dumps({"error": facts}, ensure_ascii=False), file=sys.stderr)


def _traceback(error: BaseException) -> None:
    import traceback

    from mcpvault.secret import redact

    print(redact("".join(traceback.format_exception(error))), file=sys.stderr, end="")
