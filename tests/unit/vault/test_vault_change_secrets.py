"""What a change does to sealed versions and what they are bound to."""

from __future__ import annotations

import pytest
from vault_samples import WEB, Edit, Made, done, refused, sealed_lines, versions

from mcpvault.errors import (
    BindingMismatchError,
    ConfigurationError,
    TamperedError,
    UnknownFieldError,
)
from mcpvault.secret import Secret
from mcpvault.vault.change import Change

# Versions


def stages(made: Made) -> list[tuple[int, str]]:
    """Return number and stage of each version of the token, in the order of the file."""
    return [(version["v"], version["stage"]) for version in versions(made)]


def test_a_new_current_value_makes_the_old_one_previous(made: Made) -> None:
    """And drops the one before that; the newest stands first."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("two")))
    assert [(2, "current"), (1, "previous")] == stages(made)

    vault = done(made, lambda change: change.set_secret("web", "auth.token", Secret("three")))

    assert [(3, "current"), (2, "previous")] == stages(made)
    assert ("three", "two") == tuple(
        vault.secret("web", "auth.token", stage=stage).reveal() for stage in ("current", "previous")
    )


def test_the_old_version_keeps_its_ciphertext(made: Made) -> None:
    """Only its stage changes."""
    old = versions(made)[0]
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("two")))

    assert {**old, "stage": "previous"} == versions(made)[1]


def test_a_pending_value_waits_beside_the_current_one(made: Made) -> None:
    """A second one replaces it; numbers are never used twice."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("p1"), stage="pending"))
    vault = done(made, lambda change: change.set_secret("web", "auth.token", Secret("p2"), stage="pending"))

    assert [(3, "pending"), (1, "current")] == stages(made)
    assert Secret("web-token") == vault.secret("web", "auth.token")
    assert Secret("p2") == vault.secret("web", "auth.token", stage="pending")


def test_a_new_current_value_leaves_a_pending_one_alone(made: Made) -> None:
    """A rotation in progress is not the business of ``set``."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("p"), stage="pending"))
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("c")))

    assert [(3, "current"), (2, "pending"), (1, "previous")] == stages(made)


def test_a_pending_value_alone_is_refused(made: Made) -> None:
    """A secret has a current version, always."""

    def edit(change: Change) -> None:
        change.set_secret("web", "headers.X-Api-Key", Secret("p"), stage="pending")

    assert "no version has stage 'current'" in refused(made, edit, ConfigurationError).message


def test_an_end_is_kept(made: Made) -> None:
    """``not_after`` is when the issuer ends the value; another form of time is refused."""
    end = "2027-01-31T00:00:00Z"
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("two"), not_after=end))
    assert end == versions(made)[0]["not_after"]

    refused(made, lambda c: c.set_secret("web", "auth.token", Secret("x"), not_after="soon"), ConfigurationError)


@pytest.mark.parametrize("field", ["url", "note", "auth.kind", "timeout.total", "nothing", "auth", "x-a.b"])
def test_a_field_that_can_hold_no_secret_is_exit_8(made: Made, field: str) -> None:
    """Only what can be bound can be sealed."""
    error = refused(made, lambda change: change.set_secret("web", field, Secret("s")), UnknownFieldError)

    assert f"servers.web.{field}: is no field that can hold a sealed value" == error.message


def test_a_secret_of_the_other_kind_of_entry_is_exit_8(made: Made) -> None:
    """A stdio entry has no origin to bind a header to."""
    edit: Edit = lambda change: change.set_secret("tool", "headers.X-Api-Key", Secret("s"))  # noqa: E731

    assert "there is none" in refused(made, edit, ConfigurationError).message


def test_an_empty_secret_is_exit_8(made: Made) -> None:
    """Somebody's pipe was empty."""
    refused(made, lambda change: change.set_secret("web", "auth.token", Secret("")), ConfigurationError)


# Bindings

ELSEWHERE = "https://mcp.example.org/mcp"


def test_a_new_origin_needs_a_decision(made: Made) -> None:
    """The message names the sealed fields and where they would go."""
    error = refused(made, lambda change: change.set_plain("web", "url", ELSEWHERE), BindingMismatchError)

    assert f"servers.web.url: the sealed auth.token would go to '{ELSEWHERE}'" == error.message


def test_secrets_follow_knowingly(made: Made) -> None:
    """All versions are sealed anew for the new origin, with their values, numbers and stages."""
    done(made, lambda change: change.set_secret("web", "auth.token", Secret("two")))
    before = versions(made)

    vault = done(made, lambda change: change.set_plain("web", "url", ELSEWHERE, rebind=True))

    assert Secret("two") == vault.secret("web", "auth.token")
    assert Secret("web-token") == vault.secret("web", "auth.token", stage="previous")
    assert [["url.origin", "https://mcp.example.org:443"]] * 2 == [version["bound"] for version in versions(made)]
    assert not {version["sealed"] for version in before} & {version["sealed"] for version in versions(made)}
    assert [(2, "current"), (1, "previous")] == stages(made)


def test_a_refusal_can_be_answered_in_the_same_change(made: Made) -> None:
    """As the command line does: refused, a person asked, then rebound."""
    with made.open().change() as change:
        with pytest.raises(BindingMismatchError):
            change.set_plain("web", "url", ELSEWHERE)
        change.set_plain("web", "url", ELSEWHERE, rebind=True)

    assert Secret("web-token") == made.open().secret("web", "auth.token")


def test_a_refused_edit_leaves_the_change_as_it_was(made: Made) -> None:
    """Whoever goes on after a refusal does not write half of it."""
    with made.open().change() as change:
        with pytest.raises(BindingMismatchError):
            change.set_plain("web", "url", ELSEWHERE)
        change.set_plain("web", "note", "only this")

    assert (WEB["url"], "only this") == (made.open().entry("web").url, made.open().entry("web").note)


def test_another_path_of_the_same_origin_asks_nothing(made: Made) -> None:
    """What is bound is the origin; no ciphertext changes."""
    before = sealed_lines(made.path.read_text())
    vault = done(made, lambda change: change.set_plain("web", "url", "https://mcp.example.com/v2/mcp"))

    assert before == sealed_lines(made.path.read_text())
    assert Secret("web-token") == vault.secret("web", "auth.token")


@pytest.mark.parametrize(("field", "value"), [("command", "other-mcp"), ("args", ["--rw"]), ("args", [])])
def test_a_new_command_line_needs_a_decision(made: Made, field: str, value: object) -> None:
    """Program and arguments: the secret would be handed to them."""
    refused(made, lambda change: change.set_plain("tool", field, value), BindingMismatchError)

    vault = done(made, lambda change: change.set_plain("tool", field, value, rebind=True))

    assert Secret("tool-password") == vault.secret("tool", "env.DB_PASSWORD")


def test_an_entry_without_secrets_moves_freely(made: Made) -> None:
    """There is nothing that could go astray."""

    def edit(change: Change) -> None:
        change.set_plain("web", "auth.token", "${env:TOKEN}")
        change.set_plain("web", "url", ELSEWHERE)

    assert ELSEWHERE == done(made, edit).entry("web").url


def test_headers_are_bound_like_the_token(made: Made) -> None:
    """Every sealed field of the entry follows, or none."""
    done(made, lambda change: change.set_secret("web", "headers.X-Api-Key", Secret("header-secret")))
    error = refused(made, lambda change: change.set_plain("web", "url", ELSEWHERE), BindingMismatchError)
    assert "auth.token, headers.X-Api-Key" in error.message

    vault = done(made, lambda change: change.set_plain("web", "url", ELSEWHERE, rebind=True))

    assert Secret("header-secret") == vault.secret("web", "headers.X-Api-Key")
    assert Secret("web-token") == vault.secret("web", "auth.token")


@pytest.mark.parametrize("url", ["ftp://a.example", "https://user:pw@a.example", "not a url", 3])
def test_a_url_that_leads_nowhere_is_exit_8(made: Made, url: object) -> None:
    """Even knowingly."""
    refused(made, lambda change: change.set_plain("web", "url", url, rebind=True), ConfigurationError)


def test_a_damaged_value_does_not_follow(made: Made) -> None:
    """What does not open cannot be sealed anew."""
    vault = made.open()
    with vault.change() as change:
        table = vault.table("web")
        damaged = {**table["auth"]["token"][0], "v": 9}
        change.replace_server("web", {**table, "auth": {**table["auth"], "token": [damaged]}})

    refused(made, lambda change: change.set_plain("web", "url", ELSEWHERE, rebind=True), TamperedError)


def test_a_secret_set_after_a_move_is_bound_to_the_new_place(made: Made) -> None:
    """In one change, in this order."""

    def edit(change: Change) -> None:
        change.unset("tool", "env.DB_PASSWORD")
        change.set_plain("tool", "args", ["--rw"])
        change.set_secret("tool", "env.DB_PASSWORD", Secret("again"))

    assert Secret("again") == done(made, edit).secret("tool", "env.DB_PASSWORD")
    assert ["command", "db-mcp", "--rw"] == versions(made, "tool", "env", "DB_PASSWORD")[0]["bound"]


def test_extensions_of_others_are_no_sealed_values(made: Made) -> None:
    """Below ``x-`` anything may stand, even something that calls itself sealed."""

    def edit(change: Change) -> None:
        change.replace_server("web", {**made.open().table("web"), "x-other": {"list": [{"sealed": "no"}], "none": []}})

    done(made, edit)

    vault = done(made, lambda change: change.set_plain("web", "url", ELSEWHERE, rebind=True))
    assert Secret("web-token") == vault.secret("web", "auth.token")


def test_secrets_of_a_client_follow_their_own_issuer_only(made: Made) -> None:
    """The client's secret is for ``auth.issuer``, the person's token for ``auth.idp_issuer``; the url moves neither."""
    auth = {"kind": "id_jag", "issuer": "https://as.example", "client_id": "c"}
    entry = {
        "url": "https://jag.example/mcp",
        "auth": {**auth, "idp_issuer": "https://idp.example", "idp_client_id": "i"},
    }

    def add(change: Change) -> None:
        change.add_server("jag", entry)
        change.set_secret("jag", "auth.client_secret", Secret("of-the-client"))
        change.set_secret("jag", "auth.subject_token", Secret("of-the-person"))

    done(made, add)
    done(made, lambda change: change.set_plain("jag", "url", ELSEWHERE))
    for field, mine, other in (
        ("issuer", "client_secret", "subject_token"),
        ("idp_issuer", "subject_token", "client_secret"),
    ):
        before = versions(made, "jag", "auth", other)
        error = refused(
            made, lambda change, at=field: change.set_plain("jag", f"auth.{at}", ELSEWHERE), BindingMismatchError
        )
        assert f"the sealed auth.{mine} would go to" in error.message
        refused(made, lambda change, at=field: change.unset("jag", f"auth.{at}"), BindingMismatchError)

        done(made, lambda change, at=field: change.set_plain("jag", f"auth.{at}", ELSEWHERE, rebind=True))
        assert [f"auth.{field}", ELSEWHERE] == versions(made, "jag", "auth", mine)[0]["bound"]
        assert before == versions(made, "jag", "auth", other)
    vault = made.open()
    assert Secret("of-the-client") == vault.secret("jag", "auth.client_secret")
    assert Secret("of-the-person") == vault.secret("jag", "auth.subject_token")
