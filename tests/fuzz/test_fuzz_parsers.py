"""Parsers of what others write: every input that was kept, what Hypothesis makes up, and in the storm atheris."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fuzz_targets import CORPUS, HEADER, TARGETS, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SECONDS = 300  # of atheris for each parser in the storm
KEPT = [(folder.name, file) for folder in sorted(CORPUS.iterdir()) for file in sorted(folder.iterdir())]
USUAL = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
STORM = settings(USUAL, max_examples=20_000)


def pieces(name: str) -> st.SearchStrategy[bytes]:
    """Return texts made of the words in a parser's dictionary, and of anything in between."""
    lines = (CORPUS.parent / f"{name}.dict").read_text("utf-8").splitlines()
    words = [line[1:-1].encode().decode("unicode_escape").encode("latin-1") for line in lines]
    return st.lists(st.sampled_from(words) | st.binary(max_size=8), max_size=24).map(b"".join)


ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINES = st.sampled_from(
    [
        b"data: a", b"data:b", b"data:  c", b"data", b"data:", b"data: \xe2\x80\xa8", b"event: x", b"event", b"id: 1",
        b"id: a\0b", b"id", b"retry: 10", b"retry: ten", b": comment", b":", b"other: y", b"datax: z", b"dat", b"", b"",
        b"data: {\"k\": \"v:w\"}", b"\xef\xbb\xbfdata: bom", b" data: indented", b"event: \xff", b"data: " + b"x" * 200,
    ]
)  # fmt: skip
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=24).map(lambda lines: b"".join(a + b for a, b in lines))

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


def known(**fields: Any) -> st.SearchStrategy[Any]:
    """Return objects whose fields are what they should be, or anything, or absent; or something else altogether."""
    return st.fixed_dictionaries({}, optional={name: of | ANYTHING for name, of in fields.items()}) | ANYTHING


WORDS = st.sampled_from(["text", "image", "resource", "QUJD", "a:b", "echo", "2026-07-28", "2025-11-25", "task"])
EMBEDDED = known(uri=WORDS, text=WORDS, blob=WORDS, mimeType=WORDS)
BLOCK = known(type=WORDS, text=WORDS, data=WORDS, mimeType=WORDS, resource=EMBEDDED)
ITEM = known(name=WORDS, title=WORDS, uri=WORDS, inputSchema=known(type=WORDS), annotations=known(), arguments=known())
RESULT = known(
    content=st.lists(BLOCK, max_size=3), structuredContent=ANYTHING, isError=st.booleans(), resultType=WORDS,
    contents=st.lists(EMBEDDED, max_size=3), messages=st.lists(known(role=WORDS, content=BLOCK), max_size=3),
    tools=st.lists(ITEM, max_size=3), completion=known(values=st.lists(WORDS, max_size=3)),
    supportedVersions=st.lists(WORDS, max_size=3), protocolVersion=WORDS, capabilities=known(), serverInfo=known(),
    _meta=known(**{"io.modelcontextprotocol/serverInfo": known(name=WORDS)}),
)  # fmt: skip
ERROR = known(code=st.sampled_from([-32022, -32601, -32602, 1]), message=WORDS, data=known(supported=st.lists(WORDS)))
PARAMS = known(
    progressToken=st.just(1), requestId=st.just(2),
    _meta=known(**{"io.modelcontextprotocol/subscriptionId": st.integers(1, 3)}),
)  # fmt: skip
METHODS = st.sampled_from(
    ["ping", "notifications/progress", "notifications/cancelled", "notifications/tools/list_changed", "roots/list"]
)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": st.integers(1, 3) | ANYTHING, "method": METHODS | ANYTHING,
        "params": PARAMS, "result": RESULT, "error": ERROR,
    },
)  # fmt: skip
DOCUMENTS = (MESSAGES | st.lists(MESSAGES, max_size=2)).map(lambda value: json.dumps(value).encode())

INPUTS = {
    "sse": STREAMS | pieces("sse"),
    "jsonrpc": DOCUMENTS | pieces("jsonrpc"),
    "challenge": pieces("challenge") | st.text(max_size=60).map(str.encode),
    "toml": pieces("toml"),
}


@pytest.mark.parametrize(("name", "file"), KEPT, ids=[f"{name} {file.stem}" for name, file in KEPT])
def test_what_was_kept_still_holds(name: str, file: Path) -> None:
    """Every input of the corpus, those that once broke a parser among them, is read or refused as it should be."""
    TARGETS[name](file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_hypothesis_finds_nothing(name: str) -> None:
    """What is made of a parser's own words is read or refused as it should be."""
    USUAL(given(INPUTS[name])(TARGETS[name]))()


@pytest.mark.storm
@pytest.mark.parametrize("name", TARGETS)
def test_hypothesis_finds_nothing_in_a_storm(name: str) -> None:
    """Twenty thousand times what is made of a parser's own words, and as often any bytes."""
    STORM(given(INPUTS[name])(TARGETS[name]))()
    STORM(given(st.binary(max_size=400))(TARGETS[name]))()


@pytest.mark.storm
@pytest.mark.parametrize("name", TARGETS)
def test_atheris_finds_nothing(name: str) -> None:
    """Minutes of inputs led by coverage break no parser; one that did would be left in the corpus."""
    env = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    command = [str(ROOT / "scripts/fuzz"), name, str(SECONDS)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", timeout=SECONDS + 300)

    assert 0 == done.returncode, done.stderr[-4000:]
    runs = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) > 1_000


def test_the_seeds_go_deep() -> None:
    """The corpus of the vault's parser holds vaults: without them nothing of the rest would be reached."""
    for name in ("comments", "every-kind", "layouts", "stages"):
        assert parse(HEADER + (CORPUS / f"toml/{name}.txt").read_bytes()).server_names
