"""The JSON Schema for editors agrees with the parser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from schema_samples import bearer, header, vault, version
from test_schema_parse import GOOD

from vault_schema import json_schema

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_file_is_what_the_tables_say() -> None:
    """``scripts/schema --check`` passes on the committed file."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "schema", "--check"], capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)
    assert json_schema() == json.loads((ROOT / "vault_schema" / "vault.schema.json").read_text("utf-8"))


def test_it_is_a_schema() -> None:
    """It obeys its own meta-schema."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("entry", GOOD.values(), ids=GOOD.keys())
def test_it_accepts_what_is_legal(entry: dict[str, object]) -> None:
    """What the parser takes, the editor does not underline."""
    VALIDATOR.validate(vault(one=entry))


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"vault": header(format=2)},
        {"vault": header(seriel=1)},
        vault(one=bearer(timout={})),
        vault(one=bearer(command="npx")),
        vault(one=bearer(auth={"kind": "bearer", "token": "plain"})),
        vault(one=bearer(auth={"kind": "bearer", "token": [version(sealed="x")]})),
        {"vault": header(), "servers": {"a.b": bearer()}},
    ],
)
def test_it_refuses_what_it_can_see(tree: dict[str, object]) -> None:
    """Misspelt keys, wrong types and literals in secret fields are underlined."""
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(tree)
