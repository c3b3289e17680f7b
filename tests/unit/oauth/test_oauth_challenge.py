"""What ``WWW-Authenticate`` says, from the RFCs' own examples to text that nobody should send."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.oauth.challenge import Challenge, bearer, dpop, oauth, parse

Plain = tuple[str, dict[str, str], str | None]
TOKEN = st.text("!#$%&'*+.^_`|~0123456789abcXYZ-", min_size=1, max_size=12)
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)


def plain(header: str) -> list[Plain]:
    """Return the challenges in *header* as plain values."""
    return [(found.scheme, dict(found.parameters), found.token68) for found in parse(header)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("Bearer", [("Bearer", {}, None)], id="a scheme alone"),
        pytest.param(
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                ("Basic", {"realm": "simple"}, None),
                ("Newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, None),
            ],
            id="RFC 9110 §11.6.1",
        ),
        pytest.param(
            'Bearer realm="example",\r\n  error="invalid_token",\r\n  error_description="The access token expired"',
            [
                (
                    "Bearer",
                    {
                        "realm": "example",
                        "error": "invalid_token",
                        "error_description": "The access token expired",
                    },
                    None,
                )
            ],
            id="RFC 6750 §3",
        ),
        pytest.param(
            'Bearer resource_metadata="https://resource.example.com/.well-known/oauth-protected-resource"',
            [
                (
                    "Bearer",
                    {"resource_metadata": "https://resource.example.com/.well-known/oauth-protected-resource"},
                    None,
                )
            ],
            id="RFC 9728 §5.1",
        ),
        pytest.param(
            'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"',
            [
                (
                    "DPoP",
                    {
                        "error": "use_dpop_nonce",
                        "error_description": "Resource server requires nonce in DPoP proof",
                    },
                    None,
                )
            ],
            id="RFC 9449 §9",
        ),
        pytest.param("Negotiate YII=, Bearer", [("Negotiate", {}, "YII="), ("Bearer", {}, None)], id="token68"),
        pytest.param("Negotiate, NTLM", [("Negotiate", {}, None), ("NTLM", {}, None)], id="schemes alone"),
        pytest.param("Digest a=", [("Digest", {}, "a=")], id="token68 that looks like a parameter"),
        pytest.param(", ,Bearer scope=a ,, ,b=c,", [("Bearer", {"scope": "a", "b": "c"}, None)], id="empty elements"),
        pytest.param('Bearer Scope = "a"', [("Bearer", {"scope": "a"}, None)], id="bad whitespace around ="),
        pytest.param('Bearer a="1", A="2"', [("Bearer", {"a": "1"}, None)], id="the first of a name counts"),
        pytest.param('Bearer a="\\\\\\"\\x"', [("Bearer", {"a": '\\"x'}, None)], id="quoted pairs"),
        pytest.param('Bearer a=""', [("Bearer", {"a": ""}, None)], id="an empty text"),
        pytest.param('Bearer a="x, y=z"', [("Bearer", {"a": "x, y=z"}, None)], id="a comma in a quoted string"),
    ],
)
def test_a_well_formed_header_is_read(header: str, expected: list[Plain]) -> None:
    """Challenges, parameters and opaque texts are told apart as RFC 9110 §11.6.1 says."""
    assert expected == plain(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param('realm="x"', [], id="a parameter without a scheme"),
        pytest.param('Bearer a="1" b="2"', [("Bearer", {"a": "1", "b": "2"}, None)], id="no comma between parameters"),
        pytest.param(
            "Bearer resource_metadata=https://mcp.example/x?y=z, a=b",
            [("Bearer", {"resource_metadata": "https://mcp.example/x?y=z", "a": "b"}, None)],
            id="a URL without quotation marks",
        ),
        pytest.param('Bearer a="1", b="never closed, c=d', [("Bearer", {"a": "1"}, None)], id="an open quotation"),
        pytest.param('"junk" here, Bearer a=b', [("Bearer", {"a": "b"}, None)], id="junk up to the comma"),
        pytest.param("Bearer a=, b=c", [("Bearer", {"b": "c"}, "a=")], id="a value that is missing"),
        pytest.param("Bearer a =, b=c", [("Bearer", {"a": "", "b": "c"}, None)], id="a value that is missing, spaced"),
    ],
)
def test_what_servers_get_wrong_costs_only_itself(header: str, expected: list[Plain]) -> None:
    """What cannot be understood is left out, and what stands beside it is not."""
    assert expected == plain(header)


def test_a_parameter_is_not_found_inside_another_one() -> None:
    """``scope=`` in a description is not the scope."""
    challenge = bearer('Bearer error_description="retry with scope=admin, scope=\\"all\\"", scope="read"')

    assert challenge is not None
    assert challenge.scope == "read"


def test_the_named_parameters_have_properties() -> None:
    """What clients act on is there by name; what is not in the challenge is None."""
    full = bearer('Bearer realm="r", scope=" a  b ", error="e", error_description="d", resource_metadata="https://x"')
    empty = bearer('Bearer scope="", resource_metadata=""')

    assert full is not None
    assert empty is not None
    assert ("r", "a b", "e", "d", "https://x") == (
        full.realm,
        full.scope,
        full.error,
        full.error_description,
        full.resource_metadata,
    )
    assert (None, None, None, None, None) == (
        empty.realm,
        empty.scope,
        empty.error,
        empty.error_description,
        empty.resource_metadata,
    )


def test_a_scheme_is_found_beside_others_in_any_case() -> None:
    """Bearer and DPoP may stand in one header, spelt in any case."""
    header = 'Basic realm="b", dpop algs="ES256", bEARER error="invalid_token"'

    assert "bEARER" == (bearer(header) or Challenge("")).scheme
    assert "dpop" == (dpop(header) or Challenge("")).scheme
    assert bearer("Basic realm=x, DPoP") is None
    assert dpop("Bearer") is None


def test_of_two_bearer_challenges_the_one_with_metadata_counts() -> None:
    """Frameworks put a bare challenge of their own before the one that leads somewhere."""
    challenge = bearer('Bearer, Bearer resource_metadata="https://mcp.example/m"')

    assert challenge is not None
    assert challenge.resource_metadata == "https://mcp.example/m"


@pytest.mark.parametrize(
    ("header", "signed_with", "expected"),
    [
        ("Basic", "", None),
        ("DPoP, Bearer", "", ("Bearer", None, None)),
        ("Bearer, DPoP", "DPoP", ("DPoP", None, None)),
        ("Bearer, DPoP scope=b", "", ("DPoP", None, "b")),
        ("Bearer scope=a, DPoP resource_metadata=m", "", ("DPoP", "m", None)),
        ("Bearer, DPoP error=e, scope=b", "Bearer", ("DPoP", None, "b")),
        ("Bearer error=e, scope=a, DPoP error=e, scope=b", "DPoP", ("DPoP", None, "b")),
        ("DPoP error=e, scope=b, Bearer error=e, scope=a", "bearer", ("Bearer", None, "a")),
        ("Bearer resource_metadata=m, DPoP error=e, scope=b", "DPoP", ("DPoP", "m", "b")),
    ],
)
def test_of_two_schemes_the_one_that_says_more_counts(
    header: str, signed_with: str, expected: tuple[str, str | None, str | None] | None
) -> None:
    """An error first, to the scheme that was used above all; the metadata of either are the resource's."""
    found = oauth(header, signed_with)

    assert expected == (found and (found.scheme, found.resource_metadata, found.scope))


def quoted(text: str) -> str:
    """Return *text* as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


CHALLENGES = st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), TEXT, min_size=1, max_size=4)), max_size=4)


@given(CHALLENGES, st.sampled_from([", ", ",", " , ,", ",\t"]))
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]], comma: str) -> None:
    """Whatever a parameter holds, a quoted-string brings it through."""
    header = comma.join(
        f"{scheme} " + comma.join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )

    assert [(scheme, parameters, None) for scheme, parameters in challenges] == plain(header)


@given(st.text(st.sampled_from('Bearer =,"\\ \t\r\n/a0\u2028é'), max_size=60) | st.text(max_size=60))
def test_nothing_makes_it_raise(header: str) -> None:
    """Any text has challenges, if only none."""
    assert isinstance(parse(header), tuple)


@pytest.mark.parametrize(
    "piece", ['a="', "a ", "a=", "=", '"', "\\", ",", " ", "a=b ", 'a="\\', "a/", "a b=", "a\t", 'a="b",', "ab=="]
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """128 KiB of any repeated piece are read at once: by a time that grows with the square, it would be minutes."""
    header = "Bearer " + piece * ((1 << 17) // len(piece))

    start = time.process_time()
    parse(header)

    assert time.process_time() - start < 10
