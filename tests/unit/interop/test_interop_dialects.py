"""References as other clients write them, in the vault's grammar: nothing is expanded, nothing dangerous comes in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.interop.dialects import Dialect, translate, variable
from mcpvault.interop.sources import CLIENTS
from mcpvault.vault.references import references_in, split

PLAIN = Dialect(client="Somebody")


def text(written: str, kind: str = "mcp-use", *, secret: bool = False) -> str:
    """Return what *written* becomes in a client's dialect."""
    return translate(written, CLIENTS[kind].dialect, secret=secret).text


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain", "plain"),
        ("${X}", "${env:X}"),
        ("${env:X}", "${env:X}"),
        ("a ${X} b ${Y}", "a ${env:X} b ${env:Y}"),
        ("${X:-d}", "${env:X:-d}"),
        ("${X:-}", "${env:X:-}"),
        ("$X", "$X"),
        ("%X%", "%X%"),
        ("{env:X}", "{env:X}"),
        ("${", "$${"),
        ("a ${X", "a $${X"),
        ("${X} ${Y", "${env:X} $${Y"),
    ],
)
def test_variables_are_one_reference_everywhere(kind: str, written: str, expected: str) -> None:
    """What is no reference there is none here."""
    assert expected == text(written, kind)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "written",
    ["${file:/etc/passwd}", '${cmd:["id"]}', "${keyring:a/b}", "${vault:other.auth.token}", "${cred:x}", "${}",
     "${1X}", "${a-b}", "${command:x.y}", "${config:a}"],
)  # fmt: skip
def test_no_reference_that_reads_or_runs_comes_in(kind: str, written: str) -> None:
    """A foreign file brings in variables and nothing else; what is not understood stands as text."""
    found = translate(f"a {written} b", CLIENTS[kind].dialect, secret=False)

    assert {"env"} >= {reference.scheme for reference in references_in(found.text)}
    assert found.todo


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.sampled_from('${}:-aXenvfilecmd?[]"')), st.sampled_from(sorted(CLIENTS)), st.booleans())
def test_whatever_is_written_becomes_text_of_the_vault(written: str, kind: str, secret: bool) -> None:
    """The result is well-formed, and refers to variables only."""
    found = translate(written, CLIENTS[kind].dialect, secret=secret)

    pieces = [piece for piece in split(found.text, where="here") if not isinstance(piece, str)]
    assert {"env"} >= {piece.scheme for piece in pieces}
    assert not secret or all(piece.default is None for piece in pieces)


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("cursor", "${userHome}/x", "${env:HOME}/x"),
        ("cursor", "a${pathSeparator}b${/}c", "a/b/c"),
        ("vscode", "${userHome}${pathSeparator}x", "${env:HOME}/x"),
        ("claude-code", "${userHome}", "${env:userHome}"),
    ],
)
def test_a_clients_own_variables_that_have_an_equal(kind: str, written: str, expected: str) -> None:
    """The home folder is the home folder; another client does not know that name."""
    assert expected == text(written, kind)


@pytest.mark.parametrize(
    ("kind", "written", "name"),
    [
        ("cursor", "${workspaceFolder}", "WORKSPACE_FOLDER"),
        ("cursor", "${workspaceFolderBasename}", "WORKSPACE_FOLDER_BASENAME"),
        ("vscode", "${workspaceFolder}", "WORKSPACE_FOLDER"),
        ("vscode", "${config:a.b}", "CONFIG_A_B"),
        ("vscode", "${command:x}", "COMMAND_X"),
        ("claude-code", "${CLAUDE_PLUGIN_ROOT}", "CLAUDE_PLUGIN_ROOT"),
        ("claude-code", "${CLAUDE_PROJECT_DIR}", "CLAUDE_PROJECT_DIR"),
    ],
)
def test_what_only_the_client_knows_becomes_a_variable_and_a_task(kind: str, written: str, name: str) -> None:
    """A person has to say what it stands for."""
    found = translate(written, CLIENTS[kind].dialect, secret=False)

    assert (f"${{env:{name}}}", [name]) == (found.text, found.references)
    assert [True] == [name in task and CLIENTS[kind].dialect.client in task for task in found.todo]


def test_a_client_that_expands_nothing_is_told_so() -> None:
    """Claude Desktop sends ``${X}`` as it stands; here it is a variable."""
    found = translate("${X}", CLIENTS["claude-desktop"].dialect, secret=False)

    assert "${env:X}" == found.text
    assert "sends ${X} as it stands" in found.todo[0]


# Defaults


@pytest.mark.parametrize(
    ("written", "expected"), [("${X:-d}", "${env:X}"), ("Bearer ${X:-d}", "Bearer ${env:X}"), ("${X:-}", "${env:X}")]
)
def test_a_default_in_a_secret_field_is_left_out_and_told(written: str, expected: str) -> None:
    """It would be a secret in clear; it is not quoted."""
    found = translate(written, PLAIN, secret=True)

    assert (expected, ["the default of ${X:-…} was left out"]) == (found.text, found.losses)


def test_a_default_that_holds_a_reference_is_left_out_and_told() -> None:
    """The vault's grammar is not recursive."""
    found = translate("${X:-${Y:-z}}!", PLAIN, secret=False)

    assert ("${env:X}!", 1) == (found.text, len(found.losses))


def test_a_left_out_default_marks_the_translation() -> None:
    """So that ``--move`` does not throw away what only the source has."""
    assert translate("${X:-d}", PLAIN, secret=True).kept_back
    assert not translate("${X:-}", PLAIN, secret=True).kept_back
    assert not translate("${X:-d}", PLAIN, secret=False).kept_back


# Inputs of VS Code


def vscode(written: str, secret: bool = False, **inputs: str | None) -> Any:
    """Translate with the inputs of a file."""
    return translate(written, Dialect(client="VS Code", inputs=inputs), secret=secret)


def test_an_input_becomes_a_variable_and_a_task() -> None:
    """VS Code asks; a cron job cannot."""
    found = vscode("${input:api-key}", **{"api-key": None})

    assert ("${env:API_KEY}", ["API_KEY"]) == (found.text, found.references)
    assert ["VS Code asks for 'api-key': set API_KEY where mcpvault runs"] == found.todo


def test_an_inputs_default_is_used_where_it_may() -> None:
    """Not in a secret field, and not if it would not be one text."""
    assert "${env:REGION:-eu}" == vscode("${input:region}", region="eu").text
    assert [] == vscode("${input:region}", region="eu").todo
    assert "${env:REGION}" == vscode("${input:region}", secret=True, region="eu").text
    assert "${env:REGION}" == vscode("${input:region}", region="a}b").text
    assert "${env:REGION}" == vscode("${input:region}", region="${X}").text


def test_an_input_that_the_file_does_not_declare_is_a_variable_all_the_same() -> None:
    """Its name is all that is known."""
    assert "${env:OTHER}" == vscode("${input:other}").text


# Names and edges


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("apiKey", "API_KEY"), ("api-key", "API_KEY"), ("X-Api-Key", "X_API_KEY"), ("a.b c", "A_B_C"),
        ("1st", "SECRET_1ST"), ("", "SECRET"), ("--", "SECRET"), ("ключ", "SECRET"), ("x" * 100, "X" * 64),
        ("HTTPServer2Go", "HTTPSERVER2_GO"),
    ],
)  # fmt: skip
def test_a_variable_is_named_as_people_name_them(written: str, name: str) -> None:
    """Letters, digits and underscores, never empty, never beginning with a digit."""
    assert name == variable(written, "SECRET")


def test_a_dollar_before_a_reference_would_escape_it() -> None:
    """So it is left out, and told; the text is a reference, not a literal."""
    found = translate("cost: $${X}", PLAIN, secret=False)

    assert ("cost: ${env:X}", ["a '$' before a reference was left out"]) == (found.text, found.losses)


def test_each_variable_is_listed_once() -> None:
    """In the order of the text."""
    assert ["B", "A"] == translate("${B}${A}${B}", PLAIN, secret=False).references


def test_a_translation_does_not_show_its_text() -> None:
    """It may hold a secret."""
    assert "hidden" not in repr(translate("hidden ${X:-hidden}", PLAIN, secret=False))
