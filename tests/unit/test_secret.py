"""``Secret`` and the redaction filter."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import re
import sys
import traceback
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from mcpvault.secret import MASK, RedactingFilter, Secret, redact

CANARY = "canary-5a1f0c77e2"


def test_a_secret_shows_only_to_reveal() -> None:
    """Neither repr, str nor a container's repr shows the value."""
    secret = Secret(CANARY)

    assert CANARY == secret.reveal()
    assert "Secret(…)" == repr(secret) == str(secret)
    assert CANARY not in repr([secret, {"k": secret}])


@pytest.mark.parametrize(
    "leak",
    [
        lambda s: f"{s}",
        lambda s: "{}".format(s),  # noqa: UP032  the call itself is what is tested
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        hash,
    ],
    ids=["f-string", "format", "pickle", "copy", "deepcopy", "json", "hash"],
)
def test_a_secret_refuses_every_way_out(leak: object) -> None:
    """Formatting, pickling, copying, JSON and hashing are type errors."""
    with pytest.raises(TypeError) as caught:
        leak(Secret(CANARY))  # type: ignore[operator]
    assert CANARY not in str(caught.value)


def test_secrets_compare_by_value() -> None:
    """Two secrets of the same text are equal; a text is not a secret."""
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY


def test_a_secret_is_not_found_in_a_tracebacks_locals() -> None:
    """A traceback printed with locals shows the placeholder."""

    def fail(token: Secret) -> None:
        raise ValueError("boom")

    try:
        fail(Secret(CANARY))
    except ValueError:
        shown = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())  # type: ignore[arg-type]

    assert "Secret(…)" in shown
    assert CANARY not in shown


def test_redact_knows_every_live_secret_and_forgets_dead_ones() -> None:
    """A value is masked as long as a Secret holds it."""
    value = "only-here-91f0"
    secret = Secret(value)
    assert f"x {MASK} y" == redact(f"x {value} y")

    del secret
    assert f"x {value} y" == redact(f"x {value} y")


def test_what_a_secret_was_made_of_is_masked_with_it() -> None:
    """A header keeps the bare token masked that stands in it, for as long as it lives."""
    bare = "a-token-of-this-test-only"
    whole = Secret(f"Bearer {bare}", of=[Secret(bare)])
    assert f"said {MASK}" == redact(f"said {bare}")

    del whole
    assert f"said {bare}" == redact(f"said {bare}")


HARD = "qq\"pw\\'/ \n\t\u00e9\U0001f511-0123456789"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: json.dumps(value).replace("/", "\\/"),
        repr,
        lambda value: repr(value.replace('"', "")),
        lambda value: repr(value.encode()),
        lambda value: quote(value, safe=""),
        lambda value: urlencode({"password": value}),
    ],
    ids=["json", "json-utf8", "json-php", "repr", "repr-in-double-quotes", "repr-of-bytes", "url", "form"],
)
@pytest.mark.parametrize("value", [HARD, HARD.replace("'", ""), "plain words-0123456789", "dXNlcjpw/3c+x0=="])
def test_a_secret_is_masked_however_it_is_written(written: Callable[[str], str], value: str) -> None:
    """JSON, ``repr`` and URLs escape what stands in a secret; the log says none of it."""
    secrets = [Secret(value), Secret(value.replace('"', ""))]
    record = logging.LogRecord("test", logging.INFO, "", 0, "said %s", (written(value),), None)

    assert RedactingFilter().filter(record)
    assert re.fullmatch(rf"said b?(password=)?[\"']?{re.escape(MASK)}[\"']?", record.getMessage()), record.getMessage()
    assert secrets


def test_half_a_surrogate_pair_stops_no_log() -> None:
    """A secret that no file could hold is masked as it is, and nothing is raised."""
    secret = Secret("half-of-it-\ud800")

    assert f"said {MASK}" == redact(f"said {secret.reveal()}")


def test_the_longest_secret_is_masked_first() -> None:
    """A secret that contains another leaves no tail behind."""
    inner, outer = Secret("abcdefgh"), Secret("abcdefgh-and-more")

    assert f"{MASK} {MASK}" == redact("abcdefgh-and-more abcdefgh")
    assert (inner, outer) == (inner, outer)


def test_the_filter_masks_messages_arguments_and_tracebacks() -> None:
    """Nothing that a log record carries gets past the filter."""
    secret = Secret(CANARY)
    stream = io.StringIO()
    log = logging.Logger("test", level=logging.DEBUG)
    channel = logging.StreamHandler(stream)
    channel.addFilter(RedactingFilter())
    log.addHandler(channel)

    log.debug("sent %s", CANARY)
    log.debug("sent " + CANARY)
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.exception("failed")

    assert CANARY not in stream.getvalue()
    assert 3 <= stream.getvalue().count(MASK)
    assert secret
