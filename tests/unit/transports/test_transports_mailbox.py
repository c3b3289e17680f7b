"""One stream, many who wait: what is whose, and how much of it is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from mcpvault.deadline import Deadline
from mcpvault.transports.mailbox import Mailbox, Waiter

Json = dict[str, Any]
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {}}


def receive(*messages: Json) -> Callable[[Deadline, str], list[Json] | None]:
    """Return what gives one message after the other, and then the end."""
    coming = iter(messages)

    def one(deadline: Deadline, what: str) -> list[Json] | None:
        del deadline, what
        return [message] if (message := next(coming, None)) is not None else None

    return one


def progress(token: str, n: int) -> Json:
    """Return a notification of progress."""
    told = {"progressToken": token, "progress": n}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}


def test_the_progress_of_a_slow_reader_is_not_kept_for_ever() -> None:
    """While another thread reads, a flood of progress stays within bounds, and the answer behind it is kept."""
    flood = [progress("slow", n) for n in range(5_000)]
    mailbox = Mailbox(receive(*flood, ANSWER, {**ANSWER, "id": 2}))
    slow, quick = mailbox.expect(Waiter((1,), "slow")), mailbox.expect(Waiter((2,)))

    assert {**ANSWER, "id": 2} == mailbox.next(quick, Deadline(5), "x", server="s")

    assert 1_001 == len(slow.mail)
    assert [flood[0], ANSWER] == [slow.mail[0], slow.mail[-1]]


NAMELESS = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "cannot parse"}}


@pytest.mark.parametrize("listening", [False, True])
def test_an_error_without_an_id_is_the_only_ones(listening: bool) -> None:
    """Where one request is open, an error that names none is its answer; who listens has asked nothing."""
    mailbox = Mailbox(receive(NAMELESS))
    if listening:
        mailbox.expect(Waiter((7,), listens="subscription"))
    one = mailbox.expect(Waiter((1,)))

    assert NAMELESS == mailbox.next(one, Deadline(5), "x", server="s")


def test_an_error_without_an_id_refuses_a_subscription_that_is_alone() -> None:
    """Where nothing but a subscription is open, it is not waited for until the time is over."""
    mailbox = Mailbox(receive(NAMELESS))
    listener = mailbox.expect(Waiter((7,), listens="subscription"))

    assert NAMELESS == mailbox.next(listener, Deadline(5), "x", server="s")


def test_an_error_without_an_id_is_nobodys_among_several(caplog: pytest.LogCaptureFixture) -> None:
    """Where several are open it may be anybody's: each waits for its own answer, and the log says what came."""
    mailbox = Mailbox(receive(NAMELESS, {**ANSWER, "id": 2}, ANSWER))
    one, two = mailbox.expect(Waiter((1,))), mailbox.expect(Waiter((2,)))

    with caplog.at_level(logging.WARNING, "mcpvault"):
        assert ANSWER == mailbox.next(one, Deadline(5), "x", server="s")
    assert {**ANSWER, "id": 2} == mailbox.next(two, Deadline(5), "x", server="s")
    assert ["an error that names no request, with 2 open"] == [record.getMessage() for record in caplog.records]
