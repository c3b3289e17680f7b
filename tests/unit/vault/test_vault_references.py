"""The one reference grammar: what is a reference, what is refused, and where each is looked up."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.errors import ConfigurationError
from mcpvault.vault.references import Reference, references_in, split

COMMAND = '["prog", "a}b", "{\\"c\\": \\"${x}\\"}"]'


@pytest.mark.parametrize(
    ("text", "scheme", "body"),
    [
        ("${env:NAME}", "env", "NAME"),
        ("${NAME}", "env", "NAME"),
        ("${_}", "env", "_"),
        ("${file:/abs/pa th}", "file", "/abs/pa th"),
        ("${cred:a.b-c_d}", "cred", "a.b-c_d"),
        ("${keyring:service/user}", "keyring", "service/user"),
        ("${keyring:https://a/b/c}", "keyring", "https://a/b/c"),
        ("${vault:web.auth.token}", "vault", "web.auth.token"),
        ("${vault:web.headers.X-Api-Key}", "vault", "web.headers.X-Api-Key"),
        (f"${{cmd:{COMMAND}}}", "cmd", COMMAND),
        ("${env}", "env", "env"),
    ],
)
def test_every_scheme_is_understood(text: str, scheme: str, body: str) -> None:
    """A reference alone is one piece, and remembers how it was written."""
    [reference] = split(text, where="here")

    assert isinstance(reference, Reference)
    assert (scheme, body, None, False, text) == (
        reference.scheme,
        reference.body,
        reference.default,
        reference.optional,
        reference.text,
    )


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("${env:X:-d}", "d"),
        ("${X:-d}", "d"),
        ("${X:-}", ""),
        ("${X:-a:-b}", "a:-b"),
        ("${X:-a?}", "a?"),
        ("${X:- }", " "),
    ],
)
def test_a_default_is_everything_after_the_mark(text: str, default: str) -> None:
    """It may be empty, and may hold marks itself."""
    [reference] = references_in(text)

    assert ("X", default, False) == (reference.body, reference.default, reference.optional)


@pytest.mark.parametrize(
    ("text", "body"),
    [("${X?}", "X"), ("${env:X?}", "X"), ("${file:/a?}", "/a"), ("${cred:a?}", "a"), ("${keyring:s/u?}", "s/u"),
     ("${vault:a.b?}", "a.b")],
)  # fmt: skip
def test_a_question_mark_makes_a_reference_optional(text: str, body: str) -> None:
    """For every scheme but commands, whose list ends with a bracket."""
    [reference] = references_in(text)

    assert (body, True) == (reference.body, reference.optional)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("$", ["$"]),
        ("$X {Y} }", ["$X {Y} }"]),
        ("$${X}", ["${", "X}"]),
        ("a$${b}c", ["a${", "b}c"]),
        ("$$$${", ["$$${"]),
    ],
)
def test_what_is_no_reference_is_literal(text: str, pieces: list[str]) -> None:
    """``$${`` is a literal ``${``; a dollar without a brace is a dollar."""
    assert pieces == split(text, where="here")


def test_references_stand_within_text() -> None:
    """Pieces come in order, literals between them."""
    pieces = split("a ${X} b ${file:/y} $${z} ${W}", where="here")

    shown = [piece.text if isinstance(piece, Reference) else piece for piece in pieces]
    assert ["a ", "${X}", " b ", "${file:/y}", " ${", "z} ", "${W}"] == shown


@pytest.mark.parametrize(
    "text",
    ["${", "${env:X", "a ${X", '${cmd:["a"]', "${cmd:x}", "${cmd:}", '${cmd:["a}'],
)
def test_a_reference_that_is_not_closed_is_exit_8(text: str) -> None:
    """The place is named, and how to write a literal."""
    with pytest.raises(ConfigurationError, match="here: a reference is not closed") as caught:
        split(text, where="here")

    assert (8, True) == (caught.value.exit_code, "$${" in (caught.value.hint or ""))


@pytest.mark.parametrize(
    "text",
    ["${}", "${1X}", "${X-Y}", "${env:}", "${env:1}", "${env:ä}", "${ENV:X}", "${unknown:x}", "${X }", "${X\n}",
     "${file:}", "${file:relative}", "${file:~/x}", "${cred:}", "${cred:a/b}", "${cred:..}", "${cred:.}",
     "${keyring:}", "${keyring:service}", "${keyring:/user}", "${keyring:service/}", "${vault:}", "${vault:web}",
     "${vault:web.}", "${vault:.x}", "${vault:-a.x}", "${vault:web.a b}", "${cmd:[]}", '${cmd:["a", 1]}',
     '${cmd:"a"}', '${cmd:{"a": 1}}', '${cmd:["a\\u0000"]}', "${X:-a${Y}", "${X?:-d}", "${X:-a${Y}}", "${??}"],
)  # fmt: skip
def test_a_malformed_reference_is_exit_8_and_not_quoted(text: str) -> None:
    """The forms that there are stand in the hint; of the text only the scheme is told."""
    with pytest.raises(ConfigurationError, match="here: malformed reference") as caught:
        split(text, where="here")

    assert "${keyring:service/user}" in (caught.value.hint or "")
    assert "relative" not in caught.value.message


def test_endless_nesting_is_exit_8() -> None:
    """A list of lists of lists is no reason to fall over."""
    with pytest.raises(ConfigurationError):
        split("${cmd:" + "[" * 200_000 + "}", where="here")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.sampled_from('${}a?:-"[]'), max_size=30))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    """Nothing else than ``ConfigurationError`` comes out, and nothing gets lost."""
    try:
        pieces = split(text, where="here")
    except ConfigurationError:
        return
    again = "".join(piece.text if isinstance(piece, Reference) else piece.replace("${", "$${") for piece in pieces)
    assert text == again


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40))
def test_an_escaped_text_is_itself(text: str) -> None:
    """Whatever somebody wants to say can be said literally."""
    assert text == "".join(map(str, split(text.replace("${", "$${"), where="here")))


def test_references_are_listed_without_the_literals() -> None:
    """For ``sign`` and ``doctor``."""
    assert ["X", "/y"] == [reference.body for reference in references_in("a ${X} $${no} ${file:/y}")]
