"""Keys with too many parts, which decoders of TOML take the square of their number for."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_samples import text, vault

from vault_schema import SchemaError, parse
from vault_schema.scanner import long_key

DOTS = "a." * 40 + "a"


@pytest.mark.parametrize(
    "line",
    [
        "[servers.gh.x-a{}]", "[[servers.gh.x-a{}]]", "servers.gh.x-a{} = 1", "servers = {{gh.x-a{} = 1}}",
        "servers = {{gh = {{a = 1, x-a{} = [{{}}]}}}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", [".a", " . a", '."a b"', ".\t'.#'", '."\\".\\\\"'])
def test_a_key_of_twenty_thousand_parts_is_refused_at_once(line: str, part: str) -> None:
    """However it is written: what stands in the way is named with its line, before anything decodes it."""
    with pytest.raises(SchemaError, match=r"^a key of more than 32 parts at line 2$") as caught:
        parse("# first\n" + line.format(part * 20_000))

    assert 2 == caught.value.line


@pytest.mark.parametrize("part", ["a", "'a.b'", '"a\\"b"', '""', "-", "1"])
@pytest.mark.parametrize("dot", [".", " .", "\t. "])
def test_thirty_two_parts_are_a_key(part: str, dot: str) -> None:
    """The last number that is allowed is 32, for a table and for a value."""
    for around in ("[{}]\n", "x = 1\n[[{}]]\n", "{} = 1\n"):
        good, bad = (around.format(dot.join([part] * number)) for number in (32, 33))
        assert None is long_key(good)
        assert around.index("{") == long_key(bad)


@pytest.mark.parametrize(
    "line",
    [
        f'note = "{DOTS}"', f"note = '{DOTS}'", f'note = """\n{DOTS}\n"quoted" {DOTS} ""\n\\""" {DOTS}"""',
        f"note = '''\n{DOTS} '' {DOTS}\n'''''", f"x-a = 1 # {DOTS}", f'x-a = ["{DOTS}", # \"{DOTS}\n"#{DOTS}"]',
        f"x-a = {{b = '{DOTS}', \"{DOTS}\" = 1}}", f'"x-{DOTS}" = 1', f'note = "{"." * 99}"',
        f'x-a = [["{DOTS}"], ' + ", ".join(["{a.b.c = '.'}"] * 40) + "]",
    ],
)  # fmt: skip
def test_dots_in_texts_and_comments_are_none_of_a_key(line: str) -> None:
    """A vault may say as many dots as it likes where they join nothing."""
    said = f"# {DOTS}\n{text(vault())}\n[servers.dotted]\nurl = 'https://h.example/'\n{line}\n"

    assert tomllib.loads(line)
    assert "dotted" in parse(said).tree["servers"]


@pytest.mark.parametrize(
    "before", ['"', "'", '"""', "'''", '"' + '\\"' * 1_000_000, '"""' + '\\"""' * 1_000_000, "a.b.'"],
    ids=["basic", "literal", "lines", "literal-lines", "escapes", "escapes-in-lines", "part"],
)  # fmt: skip
def test_nothing_is_looked_for_behind_a_text_without_an_end(before: str) -> None:
    """No decoder gets there either; to look again from each quote would take the square of their number."""
    text = f"{before}\n{DOTS} = 1\n"

    assert None is long_key(text)
    with pytest.raises(SchemaError, match="^not valid TOML"):
        parse(text)


_INSIDE = st.text(st.sampled_from("a.\\#='[{\n \t"), max_size=20).map(lambda text: text + DOTS)
_VALUE = st.one_of(
    _INSIDE.map(lambda text: "'" + text.replace("'", "").replace("\n", "") + "'"),
    _INSIDE.map(lambda text: "'''" + text.replace("'", "") + "'''"),
    _INSIDE.map(lambda text: '"' + text.replace("\\", "\\\\").replace("\n", "\\n") + '"'),
    _INSIDE.map(lambda text: '"""' + text.replace("\\", "\\\\") + '"""'),
    st.just("1"),
)
_STATEMENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["{} = ", "'{}#' = ", '"{}\\"" = ', "{} . b . c = ["]), _VALUE),
        st.tuples(st.just("{} = {{b.c = "), _VALUE),
        st.just(("#{}", f' """ {DOTS}')),
        st.just(("[x{}]", f"# ''' {DOTS}")),
    ),
    max_size=8,
).map(
    lambda pairs: [
        (opens + value).replace("{{", "{").replace("{}", f"k{number}")
        + ("]" * ("[" in opens[-1:]) + "}" * ("{{" in opens))
        for number, (opens, value) in enumerate(pairs)
    ]
)


@given(_STATEMENTS, st.data())
def test_only_keys_are_counted_whatever_is_around_them(statements: list[str], data: st.DataObject) -> None:
    """A text without such a key has none, and one put between any two statements is found where it stands."""
    whole = "".join(f"{each}\n" for each in statements)
    tomllib.loads(whole)  # it is TOML
    assert None is long_key(whole)

    at = data.draw(st.integers(0, len(statements)))
    before = "".join(f"{each}\n" for each in statements[:at])
    assert len(before) == long_key(before + DOTS + " = 1\n" + whole[len(before) :])
