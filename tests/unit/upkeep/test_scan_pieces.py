"""Where a secret is found does not depend on where a file is cut into pieces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpvault import Secret, Vault
from mcpvault.upkeep import scan
from mcpvault.upkeep.scan import Scan
from mcpvault.upkeep.sought import Sought
from mcpvault.vault.slots import NewSlot, RawKey

SECRETS = ("abababab-1", "the-longest-of-them-all", "second secret\nof two lines")


@pytest.fixture(scope="module")
def sought(tmp_path_factory: pytest.TempPathFactory) -> Sought:
    """What is looked for: three secrets, one of which has lines."""
    home, key = tmp_path_factory.mktemp("home"), RawKey.generate()
    env = {"HOME": str(home), "MCPVAULT_KEY": key.text.reveal()}
    with Vault.create(env=env, slots=[NewSlot.raw("me", key)]) as vault:
        with vault.change() as change:
            for number, secret in enumerate(SECRETS):
                change.add_server(f"s{number}", {"url": "https://h.example/", "auth": {"kind": "bearer"}})
                change.set_secret(f"s{number}", "auth.token", Secret(secret))
        return Sought(vault)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.sampled_from([*SECRETS, "\n", "ab", "abab", "x", "the-longest"]), max_size=12),
    piece=st.integers(1, 90),
)
def test_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, sought: Sought, parts: list[str], piece: int
) -> None:
    """Each occurrence is told once, with its line, in order."""
    text = "".join(parts)
    file = tmp_path_factory.getbasetemp() / f"pieces-{os.getpid()}"
    file.write_text(text)
    expected = sorted(
        (at, number) for number, secret in enumerate(SECRETS) for at in range(len(text)) if text.startswith(secret, at)
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_PIECE", piece)
        found = list(Scan(sought, {}).below(Path(file)))

    assert [(text.count("\n", 0, at) + 1, f"s{number}.auth.token") for at, number in expected] == [
        (leak.line, leak.field) for leak in found
    ]


def test_what_is_looked_for_is_not_shown(sought: Sought) -> None:
    """No secret is in a repr, nor in what a traceback shows of the object."""
    assert not [secret for secret in SECRETS if secret in repr(sought) or secret in repr(vars(sought))]
