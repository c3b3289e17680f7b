"""A sealed value opens in its place, for what it is bound to, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.errors import ConfigurationError, TamperedError
from mcpvault.secret import Secret
from mcpvault.vault import primitives, sealing
from mcpvault.vault.sealing import SealContext

KEY = bytes(range(32))
PLACE = SealContext(
    vault_id=bytes(16), epoch=3, server="web", field="auth.token", version=1,
    bound=("url.origin", "https://mcp.example.com:443"),
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXT)
def test_what_is_sealed_opens_in_its_place(text: str) -> None:
    """Any text comes back as it went in."""
    assert text == sealing.unseal(KEY, sealing.seal(KEY, Secret(text), PLACE), PLACE).reveal()


@pytest.mark.parametrize(
    "change",
    [{"vault_id": b"x" * 16}, {"server": "other"}, {"field": "auth.value"}, {"version": 2}, {"epoch": 4},
     {"bound": ("url.origin", "https://evil.example:443")}, {"bound": ("url.origin",)},
     {"bound": (*PLACE.bound, "more")}],
    ids=["vault", "server", "field", "version", "epoch", "origin", "less bound", "more bound"],
)  # fmt: skip
def test_a_moved_value_does_not_open(change: dict[str, object]) -> None:
    """Every part of the context is authenticated; the message names the place and quotes nothing."""
    line = sealing.seal(KEY, Secret("the-secret-itself"), PLACE)
    elsewhere = SealContext(**{name: getattr(PLACE, name) for name in PLACE.__annotations__} | change)

    with pytest.raises(TamperedError) as caught:
        sealing.unseal(KEY, line, elsewhere)

    assert caught.value.message.startswith(f"{elsewhere.place}: ")
    assert elsewhere.server == caught.value.server
    assert sealing.fingerprint_of(KEY, line, elsewhere) is None


def test_another_key_does_not_open() -> None:
    """The vault key of another vault or epoch opens nothing."""
    with pytest.raises(TamperedError):
        sealing.unseal(bytes(32), sealing.seal(KEY, Secret("s"), PLACE), PLACE)


@pytest.mark.parametrize(
    "spoil",
    [lambda line: line[:-1], lambda line: line + "=", lambda line: line + "\n", lambda line: line.replace("mv1", "mv2"),
     lambda line: line.replace("mv1.3.", "mv1.03."), lambda line: line.replace("mv1.3.", "mv1.4."),
     lambda line: line.rpartition(".")[0], lambda line: line.replace(".", "", 1), lambda _: ""],
    ids=["cut", "padded", "line end", "other format", "epoch with zero", "other epoch", "no ciphertext", "no dot",
         "empty"],
)  # fmt: skip
def test_a_line_of_another_form_does_not_open(spoil: object) -> None:
    """Only ``mv1.<epoch>.<salt>.<ciphertext>`` in canonical form is tried."""
    line = sealing.seal(KEY, Secret("s"), PLACE)

    with pytest.raises(TamperedError):
        sealing.unseal(KEY, spoil(line), PLACE)  # type: ignore[operator]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(min_value=0), st.integers(0, 7))
def test_one_flipped_bit_is_noticed(place: int, bit: int) -> None:
    """Salt and ciphertext are authenticated bit by bit."""
    head, epoch, salt, sealed = sealing.seal(KEY, Secret("s"), PLACE).split(".")
    data = bytearray((primitives.decode(salt) or b"") + (primitives.decode(sealed) or b""))
    data[place % len(data)] ^= 1 << bit
    line = f"{head}.{epoch}.{primitives.encode(bytes(data[:24]))}.{primitives.encode(bytes(data[24:]))}"

    with pytest.raises(TamperedError):
        sealing.unseal(KEY, line, PLACE)


@pytest.mark.parametrize(("length", "expected"), [(1, 48), (31, 48), (32, 80), (63, 80), (64, 112)])
def test_the_length_is_padded_to_32_bytes(length: int, expected: int) -> None:
    """A ciphertext tells only in steps of 32 how long its value is (SPEC §9.3)."""
    line = sealing.seal(KEY, Secret("x" * length), PLACE)

    assert expected == len(primitives.decode(line.rpartition(".")[2]) or b"")


def padded_otherwise(plain: bytes) -> str:
    """Return a line whose plaintext somebody with the key has padded otherwise."""
    salt = bytes(24)
    material = primitives.hkdf(KEY, salt, "mcpvault/1/seal", 44)
    sealed = primitives.gcm_seal(material[:32], material[32:], plain, PLACE.associated_data)
    return f"mv1.3.{primitives.encode(salt)}.{primitives.encode(sealed)}"


@pytest.mark.parametrize(
    "plain",
    [b"x" * 32, b"x\x80" + b"\1" * 30, b"\x80" + bytes(31), b"x\x80", b"\xff\x80" + bytes(30),
     b"x" * (64 * 1024 + 1) + b"\x80" + bytes(30)],
    ids=["no mark", "no zeros", "empty", "no multiple", "not UTF-8", "too long"],
)  # fmt: skip
def test_another_padding_is_refused(plain: bytes) -> None:
    """After opening, exactly the form that writers make is required."""
    with pytest.raises(TamperedError):
        sealing.unseal(KEY, padded_otherwise(plain), PLACE)


def test_padding_looks_at_the_last_mark() -> None:
    """A value that ends like a padding is not shortened."""
    text = "x\u0000\u0080"

    assert text == sealing.unseal(KEY, sealing.seal(KEY, Secret(text), PLACE), PLACE).reveal()


@pytest.mark.parametrize("text", ["", "x" * (64 * 1024 + 1)], ids=["empty", "too long"])
def test_a_secret_has_1_to_65536_bytes(text: str) -> None:
    """An empty or endless value is refused before anything is sealed."""
    with pytest.raises(ConfigurationError, match="1 to 65536 bytes"):
        sealing.seal(KEY, Secret(text), PLACE)


def test_the_longest_secret_is_sealed() -> None:
    """Exactly 64 KiB pass."""
    longest = "x" * (64 * 1024)

    assert longest == sealing.unseal(KEY, sealing.seal(KEY, Secret(longest), PLACE), PLACE).reveal()


def test_half_a_surrogate_pair_is_no_secret() -> None:
    """Bytes of the environment that are no UTF-8 are refused as configuration, not with a traceback that holds them."""
    with pytest.raises(ConfigurationError, match="is UTF-8 text") as caught:
        sealing.seal(KEY, Secret("pass\udcffword"), PLACE)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_two_seals_of_one_value_differ() -> None:
    """Each has a salt of its own, so equal secrets do not show as equal."""
    assert sealing.seal(KEY, Secret("s"), PLACE) != sealing.seal(KEY, Secret("s"), PLACE)


def test_a_fixed_salt_gives_the_vector_again() -> None:
    """With the salt fixed, sealing is a function: what test vectors need."""
    one = sealing.seal(KEY, Secret("s"), PLACE, salt=bytes(24))

    assert one == sealing.seal(KEY, Secret("s"), PLACE, salt=bytes(24))


def test_a_fingerprint_names_a_value() -> None:
    """Eight hex digits, the same for the same value, others under another vault key."""
    line = sealing.seal(KEY, Secret("one"), PLACE)
    shown = sealing.fingerprint(KEY, Secret("one"))

    assert 8 == len(bytes.fromhex(shown).hex())
    assert shown == sealing.fingerprint_of(KEY, line, PLACE)
    assert shown != sealing.fingerprint(KEY, Secret("two"))
    assert shown != sealing.fingerprint(bytes(32), Secret("one"))
