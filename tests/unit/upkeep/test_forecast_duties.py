"""The calendar of what people owe: logins and rotations, the first first."""

from __future__ import annotations

from mcpvault.upkeep.due import Item
from mcpvault.upkeep.forecast import forecast
from mcpvault.upkeep.standing import Standing

NOW, DAY = 1_800_000_000, 86_400


def test_logins_and_rotations_in_their_order() -> None:
    """What is late is due now; what lies beyond the days asked for, or has no date, is left out."""
    standings = [
        Standing(server="slack", auth="oauth", state="ready", human_by=NOW + DAY, login_command="mcpvault login slack"),
        Standing(server="old", auth="oauth", state="dead", needs_login=True, login_command="mcpvault login old",
                 notes=("its grant has ended",)),
        Standing(server="fine", auth="oauth", state="ready", refreshable=True),
        Standing(server="idle", auth="oauth", state="ready", refreshable=True, refresh_by=NOW + 3 * DAY),
        Standing(server="far", auth="oauth", state="ready", human_by=NOW + 91 * DAY, login_command="mcpvault"),
    ]  # fmt: skip
    items = [
        Item(server="slack", field="auth.client_secret", state="near", due_at=NOW + 2 * DAY, owner="ada"),
        Item(server="git", field="auth.token", state="overdue", due_at=NOW - DAY, reason="policy", runbook="wiki"),
        Item(server="ref", field="auth.token", state="unknown", reason="a reference"),
    ]  # fmt: skip

    found = forecast(standings, items, {"slack": ("ada", None), "idle": (None, "wiki/idle")}, now=NOW, days=90)

    assert [("git", "rotate", NOW), ("old", "login", NOW), ("slack", "login", NOW + DAY),
            ("slack", "rotate", NOW + 2 * DAY), ("idle", "refresh", NOW + 3 * DAY)] == [
        (each.server, each.what, each.at) for each in found
    ]  # fmt: skip
    assert ("ada", "wiki", "its grant has ended") == (found[2].owner, found[0].runbook, found[1].reason)
    assert ("mcpvault rotate slack auth.client_secret", "mcpvault refresh idle") == (found[3].command, found[4].command)
    assert "wiki/idle" == found[4].runbook
