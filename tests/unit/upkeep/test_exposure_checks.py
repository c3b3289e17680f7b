"""Where memory may be written to, and how dearly a passphrase is guessed, by the facts of the host and the vault."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mcpvault.upkeep import exposure_checks
from mcpvault.upkeep.exposure_checks import derivation, memory, netrc
from mcpvault.vault.slots import KDF_CHEAPEST, KDF_DEFAULT
from vault_schema import Document

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and resource limits as Linux has them")


@pytest.mark.parametrize(
    ("swaps", "words"),
    [
        ("", "swap: none"),
        ("/dev/zram0 partition 1 0 -2\n", "swap: encrypted or in memory"),
        ("/dev/dm-3 partition 1 0 -2\n", "swap: encrypted or in memory"),
        ("/dev/sda2 partition 1 0 -2\n/dev/dm-4 partition 1 0 -2\n", "swap: /dev/sda2, /dev/dm-4 is not known"),
    ],
)
def test_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: str, words: str) -> None:
    """Compressed memory and mappings of dm-crypt are private; anything else is named, and fails nothing."""
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n" + swaps)
    for name, uuid in (("dm-3", "CRYPT-PLAIN-swap"), ("dm-4", "LVM-x")):
        (tmp_path / name / "dm").mkdir(parents=True)
        (tmp_path / name / "dm/uuid").write_text(uuid)
    monkeypatch.setattr(exposure_checks, "_SWAPS", tmp_path / "swaps")
    monkeypatch.setattr(exposure_checks, "_BLOCKS", tmp_path)

    [found] = [finding for finding in memory() if finding.id == "host.swap"]

    assert ("ok", words) == (found.level, found.message[: len(words)])


def test_core_dumps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A limit above nothing is a warning that says where a dump would go."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    (tmp_path / "pattern").write_text("|/usr/lib/collector %P %u\n")
    monkeypatch.setattr(exposure_checks, "_PATTERN", tmp_path / "pattern")
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
        assert ["ok"] == [finding.level for finding in memory() if finding.id == "host.core_dumps"]
        if before[1] == 0:
            pytest.skip("this process may not raise the limit")
        resource.setrlimit(resource.RLIMIT_CORE, (1, before[1]))
        [found] = [finding for finding in memory() if finding.id == "host.core_dumps"]
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)

    assert ("warn", "run: ulimit -c 0; in a unit: LimitCORE=0") == (found.level, found.hint)
    assert "|/usr/lib/collector" in found.message
    assert "%P" not in found.message


def test_cheap_passphrases() -> None:
    """A slot that stretches less than a new one would is warned of, by its id."""
    head: dict[str, Any] = {
        **dict.fromkeys(("id", "mac", "root", "sig", "suite"), ""),
        **dict.fromkeys(("format", "serial", "epoch"), 1),
    }
    slot = {"kind": "passphrase", "role": "admin", "pub": "", "box": "", "kdf": "argon2id"}
    head["slots"] = [{"id": "cheap", **slot, **KDF_CHEAPEST}, {"id": "dear", **slot, **KDF_DEFAULT}]

    [found] = list(derivation(Document({"vault": head, "servers": {}}, "")))

    assert ("warn", "slots.kdf") == (found.level, found.id)
    assert "'cheap'" in found.message


def test_a_netrc_that_others_obey(tmp_path: Path) -> None:
    """It is named, since somebody may believe that it counts."""
    (tmp_path / ".netrc").write_text("machine h login l password p\n")

    assert [f"{tmp_path}/.netrc: is ignored, as every netrc file is"] == [
        finding.message for finding in netrc({"HOME": str(tmp_path)})
    ]
    assert [] == list(netrc({}))
