"""Where a credential is kept: read by everybody, written by the one thread that holds the lock."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from state_samples import held_elsewhere
from token_samples import CLIENT, LIFE, SERVER, House, access, store_of

from mcpvault.errors import BusyError, PermissionsError
from mcpvault.state import tokens
from mcpvault.state.files import StateDirectory
from mcpvault.state.grants import grant
from mcpvault.state.memory import MemoryState
from mcpvault.state.tokens import credentials, peek

FILE = "token-linear.toml"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a.b", "-a", "a" * 65, "ä", "a\n"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """What is no credential's name becomes no file name."""
    with pytest.raises(ValueError, match="not the name"):
        store_of(tmp_path, credential=name)
    with pytest.raises(ValueError, match="not the name"):
        peek(StateDirectory(tmp_path), name)


@given(st.text("aZ0-_.é²\n", max_size=6), st.sampled_from(["", ".before", ".given-up", ".other"]))
def test_names_are_judged_as_the_pattern_says(name: str, ending: str) -> None:
    """The judge that compiles no pattern takes what a listing finds, and nothing else."""
    listed = re.fullmatch(tokens._NAME, name + ending) is not None
    try:
        taken = tokens._checked(name + ending) == name + ending
    except ValueError:
        taken = False

    assert listed == taken


def test_credentials_are_listed_without_a_key(house: House) -> None:
    """Files of other kinds are none."""
    grant(
        store_of(house.place, credential="a-2"), house.server.login(), server=SERVER, registration=CLIENT, resource=""
    )
    directory = StateDirectory(house.place)
    directory.replace("token-linear.toml.damaged", b"")
    directory.replace("anchor.toml", b"")

    assert ("a-2", "linear") == credentials(directory)
    assert () == credentials(StateDirectory(house.place / "none"))


def test_a_folder_open_to_others_lists_nothing(house: House) -> None:
    """Whoever could write there could name anything."""
    house.place.chmod(0o755)
    with pytest.raises(PermissionsError):
        credentials(StateDirectory(house.place))


def test_peeking_needs_no_key(house: House) -> None:
    """What stands in clear is enough for ``status``; no record is None."""
    facts = peek(StateDirectory(house.place), "linear")
    assert facts is not None
    assert ("ok", 1, True, ("linear",), "web01") == (
        facts.status,
        facts.generation,
        facts.refreshable,
        facts.entries,
        facts.host_name,
    )
    assert None is peek(StateDirectory(house.place), "other")


def test_a_reader_sees_what_another_wrote(house: House) -> None:
    """A record is decrypted once and again only when the file has changed."""
    reader = house.again()
    first = reader.read()
    assert first is reader.read()
    house.login()
    assert 2 == reader.read().generation


def test_only_the_holder_writes(house: House) -> None:
    """Without the lock, or from another thread than the one that has it, writing is a mistake."""
    record = house.record()
    with pytest.raises(RuntimeError):
        house.store.write(record)
    failures = []

    def write() -> None:
        try:
            house.store.write(record)
        except RuntimeError as error:
            failures.append(error)

    with house.store.exclusive():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        house.store.write(record)
    assert 1 == len(failures)


def test_the_lock_keeps_other_processes_out(house: House) -> None:
    """An attempt does not wait; waiting ends with exit 7."""
    with held_elsewhere(house.place, "token-linear"):
        with house.store.attempt() as had:
            assert not had
        with pytest.raises(BusyError, match="linear: its tokens are being refreshed by another process") as caught:
            house.store.exclusive(timeout=0.05).__enter__()
    assert 7 == caught.value.exit_code
    with house.store.attempt() as had:
        assert had


def test_the_lock_keeps_other_objects_out(house: House) -> None:
    """Two objects of one process, and the same one in two threads, exclude each other as processes do."""
    had: list[bool] = []

    def attempt() -> None:
        with house.store.attempt() as mine:
            had.append(mine)

    with house.store.attempt() as first, house.again().attempt() as second:
        had += [first, second]
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    attempt()
    assert [True, False, False, True] == had


def test_a_holder_does_not_get_it_twice(house: House) -> None:
    """A refresh inside a refresh is refused like any other, and does not end the first one's hold."""
    with house.store.attempt() as first:
        with house.store.attempt() as second:
            pass
        with house.again().attempt() as third:
            pass
        house.store.write(house.record())
    assert [True, False, False] == [first, second, third]


def test_whoever_is_at_work_is_named(house: House) -> None:
    """The error for a lock says which process refreshes, and since when."""
    house.clock.move(LIFE + 1)
    said = []
    house.server.script = [lambda: said.append(house.again().busy().message)]
    house.current()
    assert said[0].startswith("linear: its tokens are being refreshed by ")
    assert f"(pid {os.getpid()}) on web01 at 2026-" in said[0]


def test_a_forked_child_does_not_hold_what_its_parent_holds(house: House) -> None:
    """Its own attempts are refused while the parent is at work, and it cannot write in the parent's name."""
    with house.store.exclusive():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with house.again().attempt() as mine:
                    code = 2 if mine else 0
                house.store.write(house.record())
                code = 3
            except RuntimeError:
                pass
            finally:
                os._exit(code)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with house.again().attempt() as ours:
        assert ours


# What is written


def test_access_tokens_may_stay_in_the_process(tmp_path: Path) -> None:
    """With ``persist = "refresh"`` only the process that got an access token has it."""
    house = House(tmp_path / "state")
    house.store = store_of(house.place, persist="refresh")
    house.login()
    assert "access-0002-token" == access(house.current())
    assert "" == access(house.record())
    assert "refresh-0002-token" == house.record().tokens.refresh_token.reveal()

    other = store_of(house.place, persist="refresh")
    assert "access-0003-token" == access(house.current(store=other))
    assert "access-0003-token" == access(house.current(store=other))
    assert "access-0004-token" == access(house.current())
    assert {"refresh-0002-token": 1, "refresh-0003-token": 1} == house.server.redeemed


def test_nothing_may_be_written(tmp_path: Path) -> None:
    """With ``persist = "none"`` the whole protocol runs in memory, and the folder is not even made."""
    house = House(MemoryState())
    house.store = store_of(tmp_path / "state", persist="none")
    house.login()
    house.clock.move(LIFE + 1)
    assert "access-0003-token" == access(house.current())
    assert not (tmp_path / "state").exists()


def test_memory_is_a_state_store() -> None:
    """It reads what was put, lists it, and its lock excludes threads and not forked children."""
    memory = MemoryState()
    assert (None, ()) == (memory.read("a"), memory.names())
    memory.replace("a", b"1")
    assert (b"1", ("a",)) == (memory.read("a"), memory.names())
    with memory.lock("a"):
        with pytest.raises(BusyError), memory.lock("a", timeout=0):
            pass
        with memory.lock("b", timeout=0):
            pass
        pid = os.fork()
        if pid == 0:
            with memory.lock("a", timeout=0):
                os._exit(0)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
