"""The file of a credential: facts in clear, the rest in a line that opens only beside these facts."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_samples import CLIENT, HOST, NOON, OTHER_KEY, SERVER, VAULT, seal, unseal

from mcpvault.errors import TamperedError, VaultFormatError
from mcpvault.secret import Secret
from mcpvault.state.brake import Trouble
from mcpvault.state.journal import Intent
from mcpvault.state.record import STATUSES, Bound, KeptAnswer, Lifetime, TokenRecord
from mcpvault.state.token_file import BLOCK, facts_in, record_in, render
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet, as_json
from mcpvault.vault.state_sealing import unseal_state
from vault_schema import dump_plain

PLACE = "token-linear.toml"
CANARIES = ("access-canary-1", "refresh-canary-2", "client-canary-3", "dpop-canary-4", "answer-canary-5")
FULL = TokenRecord(
    generation=7,
    status="ambiguous",
    host=HOST,
    host_name="web01",
    issuer=SERVER.issuer,
    resource="https://h.example/mcp",
    entries=("linear", "linear-admin"),
    tokens=TokenSet(
        access_token=Secret(CANARIES[0]),
        refresh_token=Secret(CANARIES[1]),
        issued_at=NOON,
        expires_at=NOON + 3600.5,
        scope="read",
        requested_scope="read write",
        refresh_expires_at=NOON + 9000,
    ),
    registration=CLIENT.replaced(client_secret=Secret(CANARIES[2]), scope="read write", granted_scope="read"),
    server=SERVER,
    dpop_key=Secret(CANARIES[3]),
    rejections=1,
    intent=Intent(program="cron.py", pid=812, user=1000, host_name="web01", started=int(NOON), token="0123abcd"),
    trouble=Trouble(failures=2, since=int(NOON), until=int(NOON) + 2, reason="request_lost"),
    lifetime=Lifetime(begun=int(NOON), ends=int(NOON) + 9000, rotates=True, forgives=False, idle=90_000, age=100_000),
    answer=KeptAnswer(status=200, headers={"content-type": "application/json"}, body=CANARIES[4].encode()),
)


def written(record: TokenRecord = FULL) -> bytes:
    """Return the file that says *record*."""
    return render(record, vault_id=VAULT, credential="linear", seal=seal)


def opened(data: bytes, **other: Any) -> TokenRecord:
    """Return the record in a file."""
    how = {"vault_id": VAULT, "credential": "linear", "unseal": unseal, "place": PLACE, **other}
    return record_in(data, **how)


def test_what_was_written_is_read() -> None:
    """Every field comes back, secrets, times and raw bytes included."""
    assert FULL == opened(written())


def test_a_registration_of_an_older_version_is_read() -> None:
    """It does not say what the server made of the scope that was asked for; nobody knows then."""
    older = FULL.replaced(registration=CLIENT.replaced(scope="read write"))

    assert "granted_scope" not in as_json(older.registration)  # type: ignore[arg-type]
    assert older == opened(written(older))


def test_a_file_that_does_not_say_whether_its_tokens_are_bound() -> None:
    """Older versions did not; nobody knows then, and the record opens as it did."""
    text = written().decode()
    assert "\ndpop = true\n" in text
    assert facts_in(text.replace("\ndpop = true\n", "\n").encode(), place=PLACE).dpop is None
    assert Bound(origin="https://h.example", dpop=False).difference(FULL.facts("linear").replaced(dpop=None)) is None


def test_no_secret_stands_in_clear() -> None:
    """Tokens, client secret, key and answer are in the sealed line only."""
    data = written()
    assert [] == [canary for canary in CANARIES if canary.encode() in data]


def test_the_facts_are_read_without_a_key() -> None:
    """Monitoring sees who, what, until when and what went wrong, and not a secret."""
    facts = facts_in(written(), place=PLACE)
    assert FULL.facts("linear") == facts
    assert ("linear", 7, "ambiguous", "client-1", int(NOON) + 3600, True, "read") == (
        facts.credential,
        facts.generation,
        facts.status,
        facts.client_id,
        facts.expires_at,
        facts.refreshable,
        facts.scope,
    )
    assert (FULL.intent, FULL.trouble, FULL.lifetime) == (facts.intent, facts.trouble, facts.lifetime)


CLEAR = {
    ("credential",): "other",
    ("generation",): 8,
    ("status",): "ok",
    ("host",): "another",
    ("host_name",): "web02",
    ("issuer",): "https://evil.example",
    ("resource",): "https://evil.example/mcp",
    ("client_id",): "client-2",
    ("expires_at",): int(NOON) + 7200,
    ("scope",): "admin",
    ("refreshable",): False,
    ("entries",): ["evil"],
    ("rejections",): 0,
    ("intent", "attempts"): 2,
    ("intent", "started"): 0,
    ("trouble", "until"): 0,
    ("lifetime", "ends"): 0,
    ("surplus",): "1",
}


@pytest.mark.parametrize("path", CLEAR, ids=".".join)
def test_every_fact_in_clear_is_sealed_too(path: tuple[str, ...]) -> None:
    """Whoever edits a fact gets a record that does not open."""
    tree = tomllib.loads(written().decode())
    place = tree
    for step in path[:-1]:
        place = place[step]
    assert CLEAR[path] != place.get(path[-1])
    place[path[-1]] = CLEAR[path]

    with pytest.raises((TamperedError, VaultFormatError)):
        opened(dump_plain(tree).encode(), credential=tree["credential"])


@pytest.mark.parametrize(
    "other",
    [
        {"vault_id": "another"},
        {"credential": "other"},
        {"unseal": lambda line, associated: unseal_state(OTHER_KEY, line, associated)},
    ],
    ids=["vault", "credential", "key"],
)
def test_a_record_opens_in_its_place_only(other: dict[str, Any]) -> None:
    """Copied to another vault, another credential or under another key it stays closed."""
    with pytest.raises((TamperedError, VaultFormatError)):
        opened(written(), **other)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"format = 1\n",
        b"[" * 5000,
        written()[:1500],
        written().replace(b"format = 1", b"format = 2"),
        written().replace(b'status = "ambiguous"', b'status = "fine"'),
        written().replace(b"generation = 7", b"generation = 7.0"),
        written().replace(b"generation = 7", b'generation = "7"'),
        written().replace(b"pid = 812", b"pid = 2026-01-01"),
        written().replace(b"sealed = ", b"closed = "),
        written().replace(b'sealed = "mv1', b"sealed = 1 #"),
    ],
    ids=["empty", "bytes", "bare", "deep", "cut", "newer", "status", "float", "text", "date", "unsealed", "number"],
)
def test_a_damaged_file_is_exit_6(data: bytes) -> None:
    """The message names the file and says that it is kept; nothing else escapes."""
    with pytest.raises(VaultFormatError) as caught:
        opened(data)
    assert caught.value.message.startswith(PLACE)
    assert "kept" in (caught.value.hint or "")
    assert (6, None, None) == (caught.value.exit_code, caught.value.__cause__, caught.value.__context__)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (b"", "is empty"),
        (written()[: written().index(b"sealed = ")], "is not whole"),
        (written()[:300].rpartition(b"\n")[0], "is not whole"),
        (written().replace(b"format = 1", b""), "is damaged"),
        (written().replace(b"format = 1", b"format = 2"), "was written by another version of mcpvault"),
    ],
    ids=["empty", "unsealed", "cut", "formless", "newer"],
)
def test_what_is_not_whole_tells_no_facts(data: bytes, how: str) -> None:
    """A file that was cut short would look healthy to who has no key; it is refused as it is to who has one."""
    for read in (lambda: facts_in(data, place=PLACE), lambda: opened(data)):
        with pytest.raises(VaultFormatError) as caught:
            read()
        assert f"{PLACE}: {how}" == caught.value.message


def test_a_payload_of_another_version_is_exit_6() -> None:
    """A sealed line whose content has another shape is refused, and shows nothing of it."""

    def other(data: bytes, associated: bytes) -> str:
        return seal(b'{"tokens": {"secret": "' + CANARIES[0].encode() + b'"}}', associated)

    data = render(FULL, vault_id=VAULT, credential="linear", seal=other)
    with pytest.raises(VaultFormatError) as caught:
        opened(data)
    assert CANARIES[0] not in repr(caught.value)


def test_a_file_fills_whole_blocks() -> None:
    """The journal is as large as what follows it, so that a disk that takes the one takes the other."""
    small = TokenRecord(generation=1, status="none", host=HOST)
    large = FULL.replaced(answer=KeptAnswer(status=200, body=b"x" * BLOCK))
    assert [BLOCK, BLOCK, 2 * BLOCK] == [len(written(record)) for record in (small, FULL, large)]


def test_a_record_shows_no_secret() -> None:
    """Neither its repr nor that of its parts."""
    assert [] == [canary for canary in CANARIES if canary in repr(FULL)]


TEXT = st.text(max_size=30)
WHOLE = st.integers(-(2**53), 2**53)
SECONDS = st.floats(0, 1e12)
SECRETS = st.builds(Secret, TEXT)
LISTS = st.none() | st.lists(TEXT, max_size=3).map(tuple)
RECORDS = st.builds(
    TokenRecord,
    generation=st.integers(0, 2**53),
    status=st.sampled_from(STATUSES),
    host=TEXT,
    host_name=TEXT,
    issuer=st.none() | TEXT,
    resource=st.none() | TEXT,
    entries=st.lists(TEXT, max_size=3).map(tuple),
    tokens=st.none()
    | st.builds(
        TokenSet,
        access_token=SECRETS,
        token_type=st.sampled_from(["Bearer", "DPoP"]),
        refresh_token=st.none() | SECRETS,
        issued_at=SECONDS,
        expires_at=st.none() | SECONDS,
        scope=st.none() | TEXT,
        requested_scope=st.none() | TEXT,
    ),
    registration=st.none()
    | st.builds(
        Registration,
        issuer=TEXT,
        client_id=TEXT,
        source=TEXT,
        client_secret=st.none() | SECRETS,
        redirect_uris=st.lists(TEXT, max_size=2).map(tuple),
        registration_access_token=st.none() | SECRETS,
    ),
    server=st.none() | st.builds(AuthorizationServer, issuer=TEXT, token_endpoint=TEXT, scopes_supported=LISTS),
    dpop_key=st.none() | SECRETS,
    rejections=st.integers(0, 100),
    intent=st.none()
    | st.builds(Intent, program=TEXT, pid=WHOLE, user=WHOLE, host_name=TEXT, started=WHOLE, token=TEXT, lost=TEXT),
    trouble=st.none() | st.builds(Trouble, failures=WHOLE, since=WHOLE, until=WHOLE, reason=TEXT),
    answer=st.none()
    | st.builds(
        KeptAnswer,
        status=st.integers(100, 599),
        headers=st.dictionaries(TEXT, TEXT, max_size=3),
        body=st.binary(max_size=200),
        asked_at=SECONDS,
    ),
)


@given(RECORDS)
def test_every_record_survives_the_file(record: TokenRecord) -> None:
    """Whatever text servers put into their answers, control characters and quotes included."""
    data = written(record)
    assert 0 == len(data) % BLOCK
    assert record == opened(data)


@pytest.mark.parametrize("scope", ["\ud800", "a \udfff", "\udc00 \ud800"])
def test_half_a_surrogate_does_not_cost_the_tokens(scope: str) -> None:
    """What no file can hold is replaced where it stands in clear, and kept where it is sealed."""
    record = FULL.replaced(tokens=FULL.tokens.replaced(scope=scope, refresh_token=Secret(scope)), resource=scope)
    assert record == opened(written(record))


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """Whatever is in the file, the answer is a record or an error of ours."""
    with pytest.raises(VaultFormatError):
        opened(data)
    with pytest.raises(VaultFormatError):
        facts_in(b"format = 1\n" + data, place=PLACE)
