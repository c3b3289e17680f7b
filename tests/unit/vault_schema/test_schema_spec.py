"""The specification and the code speak of the same things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vault_schema.fields import AUTH_KINDS, FIELDS, HEADER_FIELDS, SLOT_FIELDS, VERSION_FIELDS

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "vault_schema" / "SPEC.md").read_text("utf-8")
SECTIONS = set(re.findall(r"^##+ (\d+(?:\.\d+)?)", SPEC, re.M))


def test_every_quoted_section_exists() -> None:
    """A section that the code or the page itself quotes is there."""
    sources = [*ROOT.glob("vault_schema/*.py"), *ROOT.glob("mcpvault/**/*.py"), ROOT / "vault_schema" / "SPEC.md"]
    quoted = {
        (path.name, number)
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if "SPEC" in line or path.suffix == ".md"
        for number in re.findall(r"(?<!RFC \d{4} )§(\d+(?:\.\d+)?)", line)
        if path.suffix == ".md" or "RFC" not in line
    }

    # §3.4 is a numbered rule of a section that has no sections of its own.
    whole = {number for number in SECTIONS if f"{number}.1" not in SECTIONS}
    assert [] == sorted((name, n) for name, n in quoted if n not in SECTIONS and n.partition(".")[0] not in whole)


@pytest.mark.parametrize("spec", FIELDS, ids=lambda spec: spec.path)
def test_every_field_is_specified(spec: object) -> None:
    """The page names each field of an entry."""
    head, _, leaf = spec.path.partition(".")  # type: ignore[attr-defined]

    assert re.search(rf"`{re.escape(head)}\b", SPEC)
    assert leaf in ("", "*") or re.search(rf"[`.]{re.escape(leaf)}`", SPEC)


def test_every_key_of_header_slot_and_version_is_specified() -> None:
    """The page's tables have a row for each key."""
    keys = {spec.path for spec in (*HEADER_FIELDS, *SLOT_FIELDS, *VERSION_FIELDS)} | set(AUTH_KINDS)

    assert [] == sorted(key for key in keys if f"`{key}`" not in SPEC)


@pytest.mark.parametrize("spec", [*SLOT_FIELDS, *HEADER_FIELDS], ids=lambda spec: spec.path)
def test_bounds_are_specified(spec: object) -> None:
    """A bound that the code enforces stands on the page."""
    for bound in (spec.minimum, spec.maximum):  # type: ignore[attr-defined]
        assert bound is None or str(bound) in SPEC or bound == 2**32 - 1
