"""The audit log: a chain that shows every change, and a writer that goes on after whatever happened to it."""

from __future__ import annotations

import hashlib
import hmac
import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpvault.errors import PermissionsError
from mcpvault.state.audit import AuditLog
from mcpvault.state.audit_lines import END, HEAD, Known
from mcpvault.state.files import StateDirectory
from mcpvault.upkeep.audit_trail import Verdict, events, verified

KEY = b"k" * 32
NOVEMBER = 1_795_600_000.0  # 2026-11-25
DECEMBER = NOVEMBER + 10 * 86_400


def sign(line: bytes, key: bytes = KEY) -> str:
    """Sign as the vault does, with a key of the test's."""
    return hmac.new(key, line, hashlib.sha256).hexdigest()


class Ring:
    """Keys by epoch, the last of them the vault's; what the host knows of its log is kept beside the state."""

    def __init__(self, state: StateDirectory, *keys: bytes | None) -> None:
        self.keys = dict(enumerate(keys or (KEY,), 1))
        self.place = state.path.with_name("known")

    @property
    def epoch(self) -> int:
        """The newest."""
        return max(self.keys)

    def sign(self, body: bytes) -> str:
        """Sign a line."""
        return sign(body, self.keys[self.epoch] or b"")

    def proves(self, body: bytes, mac: str) -> bool:
        """Tell whether a key that is kept made it."""
        return mac in [sign(body, key) for key in self.keys.values() if key is not None]

    def of_end(self, body: bytes, epoch: int) -> Sequence[str]:
        """Sign an end."""
        key = self.keys.get(epoch)
        return [sign(body, b"end" + key)] if key is not None else []

    @property
    def lost(self) -> bool:
        """Whether a key is not kept."""
        return None in self.keys.values()

    def known(self, *, again: bool = False) -> Known | None:
        """Return what was remembered."""
        return Known(*json.loads(self.place.read_text())) if self.place.exists() else None

    def remember(self, known: Known) -> None:
        """Remember it."""
        self.place.write_text(json.dumps([known.log, known.epoch]))


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """A state folder that is not there yet."""
    return StateDirectory(tmp_path / "state")


def log(state: StateDirectory, now: Callable[[], float] = lambda: NOVEMBER) -> AuditLog:
    """Return a writer with the key."""
    return AuditLog(state, Ring(state), now=now)


def written(state: StateDirectory, *names: str) -> None:
    """Append an event of each name."""
    for name in names:
        log(state).append([{"ev": name, "ok": True}])


def verdict(state: StateDirectory) -> Verdict:
    """Verify with the key."""
    return verified(state, Ring(state))


def whole(found: Verdict) -> tuple[int, int, int]:
    """Return how many lines there are, how many are signed, and from where on they are covered; nothing is wrong."""
    assert () == found.faults
    return found.lines, found.signed, found.covered_from


def segment(state: StateDirectory) -> Path:
    """Return the file of November."""
    return state.path / "audit-202611.jsonl"


def test_lines_are_chained_and_signed(state: StateDirectory) -> None:
    """SPEC §18.1, computed by hand: n and t first, prev and mac last."""
    log(state).append([{"ev": "unlock", "ok": True}, {"ev": "resolve", "server": "demo", "ok": True}])

    first, second = segment(state).read_bytes().splitlines()
    name = Ring(state).known()
    assert name is not None
    body = b'{"n":1,"t":"2026-11-25T09:46:40Z","ev":"unlock","ok":true,"log":"' + name.log.encode()
    body += b'","prev":"' + b"0" * 32 + b'"'
    assert body + b',"mac":"' + sign(body + b"}").encode() + b'"}' == first
    told = json.loads(second)
    assert ["n", "t", "ev", "server", "ok", "log", "prev", "mac"] == [*told]
    assert (2, hashlib.sha256(first).hexdigest()[:32]) == (told["n"], told["prev"])
    assert (2, 2, 1) == whole(verdict(state))
    assert 0o600 == segment(state).stat().st_mode & 0o777


def test_the_chain_goes_through_the_months(state: StateDirectory) -> None:
    """Each month has its file; a clock that is set back stays in the newest: the files are in the chain's order."""
    for moment in (NOVEMBER, DECEMBER, NOVEMBER):
        AuditLog(state, Ring(state), now=lambda moment=moment: moment).append([{"ev": "unlock", "ok": True}])  # type: ignore[misc]

    assert ("audit-202611.jsonl", "audit-202612.jsonl") == tuple(n for n in state.names() if n.endswith("jsonl"))
    assert (3, 3, 1) == whole(verdict(state))


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(max_examples=60)
def test_no_byte_can_be_changed(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    """Whatever byte of whatever line becomes another, the log is not whole."""
    state = StateDirectory(tmp_path_factory.mktemp("log") / "state")
    log(state).append([{"ev": name, "ok": True} for name in ("one", "two", "three")])
    data = bytearray(segment(state).read_bytes())
    at %= len(data)
    same = data[at] == byte
    data[at] = byte
    segment(state).write_bytes(data)

    assert same is (verdict(state).faults == ())


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_no_line_can_be_taken_away(state: StateDirectory, gone: int) -> None:
    """From the beginning, the middle, or the end: the head knows how many there were."""
    written(state, "one", "two", "three")
    lines = segment(state).read_bytes().splitlines(keepends=True)
    segment(state).write_bytes(b"".join(line for number, line in enumerate(lines) if number != gone))

    assert () != verdict(state).faults
    written(state, "four")
    assert () != verdict(state).faults, "and writing on does not mend it"


def test_a_log_of_another_key_is_no_log(state: StateDirectory) -> None:
    """Somebody without the vault's key cannot write a whole log anew."""
    AuditLog(state, Ring(state, b"x" * 32)).append([{"ev": "unlock", "ok": True}])

    assert [
        "is gone, damaged or forged: lines may be missing",
        "its signature does not hold under the vault's key",
    ] == [each.what for each in verdict(state).faults]


@pytest.mark.parametrize(("kept", "covered"), [(b"old" * 11, 1), (None, 2)])
def test_a_change_of_key_vouches_for_what_came_before(state: StateDirectory, kept: bytes | None, covered: int) -> None:
    """With the old key nothing is lost; without, what was there is not covered; a change in it shows all the same."""
    AuditLog(state, Ring(state, b"old" * 11)).append([{"ev": "unlock", "ok": True}])
    AuditLog(state, after := Ring(state, kept, KEY)).append([{"ev": "rekey", "ok": True}])
    assert covered == whole(verified(state, after))[2]

    segment(state).write_bytes(segment(state).read_bytes().replace(b'"unlock","ok":true', b'"unlock","ok":null'))
    assert () != verified(state, after).faults


def test_an_end_in_the_name_of_a_lost_key_is_no_end(state: StateDirectory) -> None:
    """Once this host has written with the new key, nobody can claim that the end was signed with the old one."""
    AuditLog(state, Ring(state, b"old" * 11)).append([{"ev": "unlock", "ok": True}])
    old = (state.path / END).read_bytes()
    after = Ring(state, None, KEY)
    AuditLog(state, after).append([{"ev": "rekey", "ok": True}, {"ev": "reveal", "ok": True}])
    (state.path / END).write_bytes(old)

    assert ["is gone, damaged or forged: lines may be missing"] == [each.what for each in verified(state, after).faults]


def test_a_process_with_the_earlier_key_leaves_the_end_alone(state: StateDirectory) -> None:
    """It opened the vault before a rekey: its line is vouched for by the next writer that has the new key."""
    after = Ring(state, b"old" * 11, KEY)
    AuditLog(state, after).append([{"ev": "rekey", "ok": True}])
    end = (state.path / END).read_bytes()

    AuditLog(state, Ring(state, b"old" * 11)).append([{"ev": "resolve", "ok": True}])

    assert end == (state.path / END).read_bytes()
    assert (2, 2, 1) == whole(verified(state, after))
    (state.path / END).write_bytes(end.replace(b'"epoch":2', b'"epoch":9'))
    assert () != verified(state, after).faults


def test_a_torn_line_is_ended_and_said(state: StateDirectory) -> None:
    """A writer that died in the middle of a line leaves it; the next one ends it, says so, and the log is whole."""
    written(state, "one")
    with segment(state).open("ab") as file:
        file.write(b'{"n":2,"t":"2026')

    written(state, "three")

    assert ["one", "line_torn", "three"] == [event["ev"] for event in events(state)]
    assert (4, 3, 1) == whole(verdict(state))


def test_lines_that_nobody_counted_are_counted(state: StateDirectory) -> None:
    """A writer that died between line and head leaves a head that is behind; the next one catches up."""
    written(state, "one")
    head = (state.path / HEAD).read_bytes()
    written(state, "two")
    (state.path / HEAD).write_bytes(head)

    written(state, "three")

    assert (3, 3, 1) == whole(verdict(state))


@pytest.mark.parametrize("behind", [(HEAD,), (HEAD, END)])
def test_a_month_that_began_with_a_kill_is_gone_on_with(state: StateDirectory, behind: tuple[str, ...]) -> None:
    """Its file is there, and head or end still name the one of the month before: its line is followed all the same."""
    written(state, "one")
    before = {name: (state.path / name).read_bytes() for name in behind}
    log(state, lambda: DECEMBER).append([{"ev": "two", "ok": True}])
    for name, data in before.items():
        (state.path / name).write_bytes(data)

    for keys in (None, Ring(state)):
        AuditLog(state, keys, now=lambda: DECEMBER).append([{"ev": "unlock", "ok": False}])

    assert (4, 3, 1) == whole(verdict(state))


@pytest.mark.parametrize("damage", [lambda head: head.unlink(), lambda head: head.write_bytes(b"nonsense")])
def test_a_lost_head_is_made_again(state: StateDirectory, damage: Callable[[Path], object]) -> None:
    """It only says where to go on: what counts is the end that is signed."""
    written(state, "one")
    damage(state.path / HEAD)
    written(state, "two")

    assert (2, 2, 1) == whole(verdict(state))


def earlier(state: StateDirectory, *names: str, key: bytes = KEY) -> None:
    """Write events as earlier versions did: chained and signed, in no log's name, and without an end."""
    path = segment(state)
    lines = path.read_bytes().splitlines() if path.exists() else []
    for name in names:
        last = hashlib.sha256(lines[-1]).hexdigest()[:32] if lines else "0" * 32
        body = json.dumps({"n": len(lines) + 1, "t": "2026-11-25T09:46:40Z", "ev": name, "ok": True, "prev": last})
        lines.append(body[:-1].encode() + b',"mac":"' + sign(body.encode(), key).encode() + b'"}')
    state.ensure()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    last, size = hashlib.sha256(lines[-1]).hexdigest()[:32], path.stat().st_size
    head = {"n": len(lines), "last": last, "file": path.name, "size": size}
    (state.path / HEAD).write_bytes(json.dumps(head).encode().ljust(256))


def test_a_log_of_an_earlier_version_is_taken_over(state: StateDirectory) -> None:
    """It has no end that is signed: its lines are followed, what came after them is covered, and that is said."""
    earlier(state, "one", "two")
    assert (2, 2, 3) == whole(verdict(state))

    written(state, "three", "four")

    assert ["one", "two", "log_adopted", "three", "four"] == [event["ev"] for event in events(state)]
    assert (5, 5, 3) == whole(verdict(state))


def test_what_is_taken_over_was_signed(state: StateDirectory) -> None:
    """Nobody without the key can write a log of an earlier version, unless the vault has lost a key since."""
    earlier(state, "one", "two", key=b"x" * 32)
    assert 2 == len(verdict(state).faults)

    written(state, "three")

    assert ["its signature does not hold under the vault's key"] * 2 == [each.what for each in verdict(state).faults]
    assert () == verified(state, Ring(state, KEY, None, KEY)).faults


def test_a_log_is_taken_over_once(state: StateDirectory) -> None:
    """Whoever takes its end away, and what the anchor says of it, does not make it a log of an earlier version."""
    written(state, "one", "two")
    (state.path / END).unlink()
    Ring(state).place.unlink()
    assert ["is gone, damaged or forged: lines may be missing"] == [each.what for each in verdict(state).faults]

    written(state, "three")

    assert ["a writer found no anchor.audit, though lines before this one were under one"] == [
        each.what for each in verdict(state).faults
    ]


def test_an_earlier_version_may_write_in_between(state: StateDirectory) -> None:
    """It signs its lines and leaves the end where it was: the next writer follows them, and covers them."""
    written(state, "one")
    earlier(state, "two", "three")
    assert (3, 3, 1) == whole(verdict(state))

    written(state, "four")

    assert (4, 4, 1) == whole(verdict(state))


def test_what_failed_without_a_key_is_vouched_for(state: StateDirectory) -> None:
    """Nobody signs a failed unlock, in this month or the next; the next writer with the key does so for all of them."""
    written(state, "one")
    for moment in (NOVEMBER, NOVEMBER, DECEMBER):
        AuditLog(state, now=lambda moment=moment: moment).append([{"ev": "unlock", "ok": False}])  # type: ignore[misc]
    assert (4, 1, 1) == whole(verdict(state))

    written(state, "five")

    assert (5, 2, 1) == whole(verdict(state))
    path = state.path / "audit-202612.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert () != verdict(state).faults


def test_a_line_that_nobody_signed_is_found_for_good(state: StateDirectory) -> None:
    """Only a failed unlock may be unsigned: anything else that stands behind the end is said in the log itself."""
    written(state, "one")
    AuditLog(state).append([{"ev": "reveal", "ok": True}])
    assert ["is not signed"] == [each.what for each in verdict(state).faults]

    written(state, "three")

    assert ["one", "reveal", "log_changed", "three"] == [event["ev"] for event in events(state)]
    assert ["is not signed", "a writer found lines before this one that nobody with the key had written"] == [
        each.what for each in verdict(state).faults
    ]


def _writer(path: Path, name: str, times: int) -> None:
    state = StateDirectory(path)
    for _ in range(times):
        log(state).append([{"ev": name, "ok": True}])


def test_many_processes_write_one_chain(state: StateDirectory) -> None:
    """Four processes, a hundred lines: none is lost, none is out of place."""
    context = multiprocessing.get_context("fork")
    crew = [context.Process(target=_writer, args=(state.path, f"p{number}", 25)) for number in range(4)]
    for each in crew:
        each.start()
    for each in crew:
        each.join(60)

    assert [0] * 4 == [each.exitcode for each in crew]
    assert (100, 100, 1) == whole(verdict(state))


def test_a_writer_that_is_killed_leaves_a_whole_log(state: StateDirectory) -> None:
    """Kill -9 in the middle of writing, again and again: the next writer goes on, and the log is whole."""
    context = multiprocessing.get_context("fork")
    for number in range(8):
        process = context.Process(target=_writer, args=(state.path, "p", 100_000))
        process.start()
        before = segment(state).stat().st_size if segment(state).exists() else 0
        while not segment(state).exists() or segment(state).stat().st_size < before + 300 * (number + 1):
            assert process.is_alive()
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join(60)

    written(state, "last")

    assert () == verdict(state).faults


def test_a_full_disk_leaves_no_half_line(state: StateDirectory) -> None:
    """What does not fit is taken back, and told."""
    written(state, "one")
    size = segment(state).stat().st_size
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(PermissionsError, match="cannot be written"):
            written(state, "two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert (size, (1, 1, 1)) == (segment(state).stat().st_size, whole(verdict(state)))
