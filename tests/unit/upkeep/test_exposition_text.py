"""What is written for Prometheus: labels that hold anything, and one line a sample."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcpvault.upkeep.exposition import escaped, gauge, status_metrics
from mcpvault.upkeep.standing import STATES, Standing


@given(st.text())
def test_a_label_may_hold_anything(text: str) -> None:
    """What is escaped is one line, ends at the first bare quote, and reads back as it was."""
    shown = escaped(text)

    plain = shown.replace("\\\\", "\0" if "\0" not in text else "\1\1\1")
    assert '"' not in plain.replace('\\"', "")
    assert "\n" not in shown
    pairs = iter(shown)
    back = "".join({"n": "\n"}.get(after := next(pairs), after) if char == "\\" else char for char in pairs)
    assert text == back


def test_how_credentials_stand() -> None:
    """One of the states is 1, times are those that are known, and nobody learns a scope or a client."""
    found = Standing(
        server="demo", auth="oauth", state="dead", scope="files:read", client_id="c-1", expires_at=1700,
        refreshable=True, needs_login=True, trouble={"failures": 3, "reason": "invalid_grant"},
    )  # fmt: skip

    lines = status_metrics([found, Standing(server="plain", auth="bearer", state="static")], 1800.9).splitlines()

    assert ['mcpvault_credential_state{server="demo",auth="oauth",state="dead"} 1'] == [
        line for line in lines if line.endswith(" 1") and 'state{server="demo"' in line
    ]
    assert 2 * len(STATES) == len([line for line in lines if line.startswith("mcpvault_credential_state{")])
    assert 'mcpvault_access_token_expires_timestamp_seconds{server="demo"} 1700' in lines
    assert 'mcpvault_refresh_failures{server="demo"} 3' in lines
    assert 'mcpvault_credential_needs_login{server="plain"} 0' in lines
    assert "mcpvault_status_timestamp_seconds 1800" == lines[-1]
    assert not [line for line in lines if "files:read" in line or "c-1" in line]


def test_a_gauge_without_samples_is_told() -> None:
    """Its help and type stand there, so that a rule on it finds nothing instead of an unknown name."""
    assert ["# HELP a b", "# TYPE a gauge"] == list(gauge("a", "b", []))
