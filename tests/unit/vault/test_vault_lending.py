"""``${vault:…}``: a sealed value serves another entry of the same origin, and nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from reference_samples import resolved
from vault_samples import TOOL, WEB, Made, done

from mcpvault import entries
from mcpvault.errors import BindingMismatchError, UnresolvedReferenceError
from mcpvault.secret import Secret


def test_another_entrys_value_is_asked_for() -> None:
    """Server up to the first dot, field after it."""
    asked = []

    def sealed(server: str, path: str) -> Secret:
        asked.append((server, path))
        return Secret("sealed-elsewhere")

    assert "sealed-elsewhere" == resolved("${vault:web2.headers.X-A.b}", sealed=sealed)
    assert [("web2", "headers.X-A.b")] == asked


def with_reference(made: Made, target: str, **table: object) -> Callable[[], entries.Concrete]:
    """Add an entry ``other`` whose token refers to *target*, and return what makes it concrete."""
    entry = {"url": WEB["url"], "auth": {"kind": "bearer", "token": f"${{vault:{target}}}"}, **table}
    vault = done(made, lambda change: change.add_server("other", entry))
    return lambda: entries.resolve(vault, "other", env={}, credentials_dir=None)


def test_a_sealed_value_serves_another_entry_of_the_same_origin(made: Made) -> None:
    """Two paths of one API share a token."""
    concrete = with_reference(made, "web.auth.token", url="https://mcp.example.com/other")()

    assert Secret("web-token") == concrete.token


def test_a_sealed_value_does_not_serve_another_origin(made: Made) -> None:
    """The refusal names the reference; the value is not opened for it."""
    resolve = with_reference(made, "web.auth.token", url="https://evil.example/mcp")

    with pytest.raises(UnresolvedReferenceError, match="is for another origin than this entry's"):
        resolve()


@pytest.mark.parametrize(
    "target", ["tool.env.DB_PASSWORD", "web.url", "web.note", "wen.auth.token", "web.headers.X-Api-Key"]
)
def test_only_a_sealed_value_for_an_origin_is_lent(made: Made, target: str) -> None:
    """Not a variable of a command, not a plain field, not what is not there."""
    with pytest.raises(UnresolvedReferenceError) as caught:
        with_reference(made, target)()

    assert (f"servers.other.auth.token: ${{vault:{target}}}",) == caught.value.missing


def test_a_lent_value_is_not_followed_further(made: Made) -> None:
    """A reference to a reference leads nowhere."""
    done(made, lambda change: change.set_plain("web", "auth.token", "${env:TOKEN}"))

    with pytest.raises(UnresolvedReferenceError, match="holds no sealed value"):
        with_reference(made, "web.auth.token")()


def test_a_binding_is_still_checked_when_a_value_is_lent(made: Made) -> None:
    """``resolve`` of the entry itself says the same."""
    vault = made.open()
    with vault.change() as change:
        change.replace_server("web", {**vault.table("web"), "url": "https://evil.example/mcp"})

    with pytest.raises(BindingMismatchError):
        entries.resolve(made.open(), "web", env={}, credentials_dir=None)


def test_a_stdio_entry_borrows_nothing(made: Made) -> None:
    """It has no origin."""
    table = {**TOOL, "env": {"API_TOKEN": "${vault:web.auth.token}"}}
    vault = done(made, lambda change: change.add_server("other", table))

    with pytest.raises(UnresolvedReferenceError, match="is no sealed value for an origin"):
        entries.resolve(vault, "other", env={}, credentials_dir=None)


def test_what_was_resolved_is_never_written_back(made: Made) -> None:
    """The file and the document keep the reference."""
    vault = done(made, lambda change: change.set_plain("web", "headers.X-A", "${env:X}"))
    concrete = entries.resolve(vault, "web", env={"X": "resolved-value"}, credentials_dir=None)
    assert "resolved-value" == concrete.headers["X-A"].reveal()

    with vault.change() as change:
        change.set_plain("web", "note", "new")

    assert "${env:X}" == vault.table("web")["headers"]["X-A"]
    assert "resolved-value" not in made.path.read_text()
