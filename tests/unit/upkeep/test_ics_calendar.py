"""The calendar of duties, read by rules of RFC 5545 that are written down here anew."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mcpvault.upkeep.forecast import Duty
from mcpvault.upkeep.ics import calendar_of

NOW, DAY = 1_800_000_000, 86_400  # 2027-01-15
LOGIN = Duty(
    server="slack",
    what="login",
    at=NOW + 40 * DAY,
    reason="its refresh token ends",
    command="mcpvault login slack",
    owner="ops; on call",
    runbook="https://wiki.example/slack",
)


def events(text: str) -> list[dict[str, str]]:
    """Return the properties of each event, unfolded and their escapes undone."""
    assert text.endswith("\r\n")
    lines = text.replace("\r\n ", "").split("\r\n")[:-1]
    assert [] == [line for line in lines if re.search(r"[\x00-\x1f\x7f]", line)]
    assert ("BEGIN:VCALENDAR", "VERSION:2.0", "END:VCALENDAR") == (lines[0], lines[1], lines[-1])
    found: list[dict[str, str]] = []
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and line != "END:VEVENT":
            assert name not in found[-1]
            found[-1][name] = re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), value)
    return found


def test_a_duty_is_an_event_of_a_day() -> None:
    """What, when, why, and the command that does it; a runbook is a link."""
    [event] = events(calendar_of([LOGIN], vault_id="v", now=NOW))

    assert ("20270224", "20270225") == (event["DTSTART;VALUE=DATE"], event["DTEND;VALUE=DATE"])
    assert ("slack: log in", "https://wiki.example/slack") == (event["SUMMARY"], event["URL"])
    told = ["its refresh token ends", "run: mcpvault login slack", "owner: ops; on call", "https://wiki.example/slack"]
    assert told == event["DESCRIPTION"].split("\n")
    assert "20270115T080000Z" == event["DTSTAMP"]


def test_a_duty_that_moves_stays_the_same_event() -> None:
    """A calendar that reads the next file moves it; another server's, secret's or vault's duty is another event."""

    def uid(duty: Duty, vault: str = "v", now: float = NOW) -> str:
        return events(calendar_of([duty], vault_id=vault, now=now))[0]["UID"]

    assert uid(LOGIN) == uid(LOGIN.replaced(at=NOW, reason="another"), now=NOW + DAY)
    others = [uid(LOGIN), uid(LOGIN, "w"), uid(LOGIN.replaced(command="mcpvault login linear"))]
    assert 3 == len({*others})


def test_a_runbook_that_is_no_link_is_text() -> None:
    """It cannot begin a line of its own either."""
    [event] = events(calendar_of([LOGIN.replaced(runbook="https://h/\r\nATTACH:file")], vault_id="v", now=NOW))
    assert {"URL", "ATTACH"}.isdisjoint(event)


@given(reason=st.text(), owner=st.text(min_size=1))
def test_whatever_is_said_stays_in_its_line(reason: str, owner: str) -> None:
    """No text ends a property or begins another, and no line has more than 75 octets."""
    duty = LOGIN.replaced(reason=f"because {reason}", owner=owner, runbook=None)
    text = calendar_of([duty], vault_id="v", now=NOW)

    [event] = events(text)
    controls = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
    expected = f"because {controls.sub(' ', reason)}\nrun: mcpvault login slack\nowner: {controls.sub(' ', owner)}"
    assert expected == event["DESCRIPTION"]
    assert max(len(line.encode("utf-8", "replace")) for line in text.split("\r\n")) <= 75
