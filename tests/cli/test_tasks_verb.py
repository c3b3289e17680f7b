"""``call --detach`` and ``tasks``: one cron run begins what a later one takes up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished

from mcpvault.testing.interactive import Interactive


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and a server whose tool ``job`` becomes a task that asks for nothing."""
    with furnished(tmp_path, era="modern", interactive=True) as made:
        yield made


def begun(house: House) -> str:
    """Begin a task and return its handle."""
    done = house.run("call", "demo", "job", "--detach")
    handle = done.stdout.strip()
    assert f"its result: mcpvault tasks demo {handle}" in done.stderr
    return handle


def offer(house: House) -> Interactive:
    """Return what the server offers."""
    assert isinstance(house.server.offer, Interactive)
    return house.server.offer


def finish(house: House) -> None:
    """Let the server come to the end of its task."""
    for job in offer(house).tasks.values():
        job.state |= {"status": "completed", "result": {"content": [{"type": "text", "text": "built"}]}}


def test_another_run_has_the_result(house: House) -> None:
    """The handle is all that is printed, the list says how it stands, and once the result was had it is forgotten."""
    handle = begun(house)
    (listed,) = json.loads(house.run("tasks", "demo", "--json").stdout)
    assert (handle, "job", "working") == (listed["task"], listed["tool"], listed["status"])
    finish(house)

    assert "built\n" == house.run("tasks", "demo", handle).stdout
    assert "" == house.run("tasks", "demo").stdout
    assert "is remembered here" in house.run("tasks", "demo", handle, code=2).stderr


def test_a_task_that_goes_on_is_exit_4(house: House) -> None:
    """``--no-wait`` says "not yet" to cron, and keeps the task."""
    handle = begun(house)

    assert "still working" in house.run("tasks", "demo", handle, "--no-wait", code=4).stderr
    finish(house)
    assert "built\n" == house.run("tasks", "demo", handle, "--no-wait").stdout


def test_what_does_not_become_a_task_is_printed(house: House) -> None:
    """The server decides: a call that is answered at once is shown as without ``--detach``."""
    assert "x\n" == house.run("call", "demo", "echo", '{"message": "x"}', "--detach").stdout
    assert "" == house.run("tasks", "demo").stdout


@pytest.mark.parametrize(("way", "told"), [("--cancel", 1), ("--forget", 0)])
def test_a_task_is_given_up(house: House, way: str, told: int) -> None:
    """``--cancel`` tells the server, ``--forget`` does not; with ``--dry-run`` nothing happens."""
    handle = begun(house)
    assert f"would {way[2:]} {handle}\n" == house.run("tasks", "demo", handle, way, "--dry-run").stdout
    assert handle in house.run("tasks", "demo").stdout

    house.run("tasks", "demo", handle, way)

    assert told == len(house.server.called("tasks/cancel"))
    assert "" == house.run("tasks", "demo").stdout


def test_the_id_is_sealed(house: House) -> None:
    """No file of the state and no output of a run shows what may be as good as a credential."""
    begun(house)
    (task_id,) = offer(house).tasks
    shown = house.run("tasks", "demo", "--json").stdout

    files = [path.read_bytes() for path in house.home.rglob("*") if path.is_file()]
    assert any(b"[[task]]" in data for data in files)
    assert [] == [data for data in files if task_id.encode() in data]
    assert task_id not in shown


def test_a_task_that_failed_is_the_server_s_error(house: House) -> None:
    """Its error is exit 5, and the end was seen."""
    handle = begun(house)
    for job in offer(house).tasks.values():
        job.state |= {"status": "failed", "error": {"code": -32000, "message": "no paper"}}

    assert "no paper" in house.run("tasks", "demo", handle, code=5).stderr
    assert "" == house.run("tasks", "demo").stdout


def test_a_handle_is_needed(house: House) -> None:
    """Options that are about one task want its handle."""
    assert "a handle is missing" in house.run("tasks", "demo", "--cancel", code=2).stderr
