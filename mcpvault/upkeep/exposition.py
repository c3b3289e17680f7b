"""
The text format of Prometheus, for its node exporter's textfile collector.

Pure. Decides how a value is written; leaves what is measured to ``due`` and to ``standing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcpvault.upkeep.standing import Standing


def escaped(text: str) -> str:
    """Return *text* as the value of a label."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def gauge(name: str, told: str, samples: Iterable[tuple[Mapping[str, str], int]]) -> Iterator[str]:
    """Yield the lines of one gauge: what it is, then a line for each of its labels and values."""
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value}" if labels else f"{name} {value}"


def _failures(standing: Standing) -> int:
    """Return how often the refresh has failed in a row."""
    failures = (standing.trouble or {}).get("failures", 0)
    return failures if isinstance(failures, int) else 0


def status_metrics(standings: Sequence[Standing], now: float) -> str:
    """Return how credentials stand, as metrics; no secret and no scope is among their labels."""
    from mcpvault.upkeep.standing import STATES

    lines = [
        *gauge(
            "mcpvault_credential_state",
            "How a server's credential stands: 1 for the state that it is in.",
            (
                ({"server": each.server, "auth": each.auth, "state": state}, int(each.state == state))
                for each in standings
                for state in STATES
            ),
        ),
        *gauge(
            "mcpvault_credential_needs_login",
            "Whether nothing works until a person logs in.",
            (({"server": each.server}, int(each.needs_login)) for each in standings),
        ),
        *gauge(
            "mcpvault_access_token_expires_timestamp_seconds",
            "When the access token ends.",
            (({"server": each.server}, each.expires_at) for each in standings if each.expires_at is not None),
        ),
        *gauge(
            "mcpvault_credential_human_by_timestamp_seconds",
            "When a person will have to log in, as far as it is known.",
            (({"server": each.server}, each.human_by) for each in standings if each.human_by is not None),
        ),
        *gauge(
            "mcpvault_credential_refresh_by_timestamp_seconds",
            "When the credential must have been refreshed, or a person will have to log in, as far as it is known.",
            (({"server": each.server}, each.refresh_by) for each in standings if each.refresh_by is not None),
        ),
        *gauge(
            "mcpvault_refresh_failures",
            "How often the refresh has failed in a row.",
            (({"server": each.server}, _failures(each)) for each in standings if each.refreshable is not None),
        ),
        *gauge("mcpvault_status_timestamp_seconds", "When this was written.", [({}, int(now))]),
    ]
    return "\n".join(lines) + "\n"
