"""Results that a server allows to keep, and what makes them stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.errors import RpcError, UnknownToolError
from mcpvault.mcp.caching import ResultCache
from mcpvault.testing import FakeMcpServer

Talk = Callable[..., tuple[FakeMcpServer, Session]]


MIB = 1024 * 1024


def nested(depth: int) -> list[Any]:
    """Return a list in a list, and so on."""
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


def asked(server: FakeMcpServer, method: str) -> int:
    """Return how often *method* was asked for."""
    return len(server.called(method))


@pytest.fixture
def kept(talk: Talk) -> tuple[FakeMcpServer, Session]:
    """Give a modern server that lets everything be kept for a minute."""
    server, session = talk("modern", Callbacks(on_log=lambda message: None))
    server.offer.ttl_ms = 60_000
    return server, session


def test_a_fresh_result_is_not_asked_for_again(kept: tuple[FakeMcpServer, Session]) -> None:
    """Lists page by page and resources by URI, each for as long as the server says; results are copies."""
    server, session = kept
    server.offer.page_size = 7
    first = session.list_tools()
    first[0].raw["name"] = "changed by the caller"

    assert [tool.name for tool in session.list_tools()][1:] == [tool.name for tool in first][1:]
    assert "changed by the caller" not in [tool.name for tool in session.list_tools()]
    for _ in range(2):
        session.read_resource("fake://number/1")
        session.read_resource("fake://number/2")
    assert (3, 2) == (asked(server, "tools/list"), asked(server, "resources/read"))


@pytest.mark.parametrize("ttl", [None, 0, -1, "60000", True, float("1e-9"), 10**400])
def test_nothing_is_kept_without_a_time(ttl: Any, talk: Talk) -> None:
    """Absent, negative and unusable times are zero."""
    server, session = talk("modern")
    server.offer.ttl_ms = ttl
    session.list_prompts()
    session.list_prompts()

    assert 2 == asked(server, "prompts/list")


def test_a_legacy_result_is_not_kept(talk: Talk) -> None:
    """The field means nothing before 2026-07-28."""
    server, session = talk("legacy")
    proper = {"tools": [], "ttlMs": 60_000}
    server.misbehave("result-of-wrong-shape", on="tools/list", result=proper)
    session.list_tools()
    session.list_tools()

    assert 2 == asked(server, "tools/list")


def test_an_unknown_tool_makes_the_list_stale(kept: tuple[FakeMcpServer, Session]) -> None:
    """The list that was kept did not know either."""
    server, session = kept
    session.list_tools()
    with pytest.raises(UnknownToolError):
        session.call_tool("gone")
    session.list_tools()

    assert 2 == asked(server, "tools/list")


def test_another_context_keeps_its_own(kept: tuple[FakeMcpServer, Session]) -> None:
    """Two sessions share nothing, and a new login empties the cache: no result crosses authorization contexts."""
    from mcpvault.connectors import HttpConnector

    server, session = kept
    session.list_tools()
    with HttpConnector(server.url) as connector:
        connector.session().list_tools()
    assert 2 == asked(server, "tools/list")
    session._authorized_anew()
    session.list_tools()
    assert 3 == asked(server, "tools/list")


def test_a_round_trip_is_not_kept(talk: Talk) -> None:
    """A result that depends on the answers of a person is asked for each time."""
    server, session = talk("modern", Callbacks(roots=["file:///srv"]))
    server.offer.ttl_ms = 60_000
    wanted = {"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}}
    server.misbehave("result-of-wrong-shape", on="resources/read", times=1, result=wanted)
    session.read_resource("fake://text/greeting")
    session.read_resource("fake://text/greeting")

    assert 3 == asked(server, "resources/read")


def test_a_cursor_that_is_no_longer_good_drops_the_pages(kept: tuple[FakeMcpServer, Session]) -> None:
    """Pages that were kept and one that is refused do not fit together: all are had again, once."""
    server, session = kept
    server.offer.page_size = 7
    session.list_tools()
    assert session._cache is not None
    second = next(key for key in session._cache._held if key[0] == "tools/list" and "cursor" in key[1])
    del session._cache._held[second]
    server.misbehave("rpc-error", on="tools/list", times=1, code=-32602)

    assert session.list_tools()
    assert 3 + 1 + 3 == asked(server, "tools/list")
    server.misbehave("rpc-error", on="tools/list", code=-32602)
    session._cache.forget()
    with pytest.raises(RpcError):
        session.list_tools()


@pytest.mark.parametrize("depth", [100, 900])
def test_a_deep_result_is_handed_out_as_it_came(kept: tuple[FakeMcpServer, Session], depth: int) -> None:
    """The first time and the second, whether it could be kept or not."""
    server, session = kept
    server.offer.tools[:] = [{"name": "deep", "inputSchema": {"type": "object", "x-own": nested(depth)}}]

    for _ in range(2):
        found, levels = session.list_tools()[0].input_schema["x-own"], 0
        while found:
            found, levels = found[0], levels + 1
        assert depth == levels


def test_a_result_that_is_too_deep_is_not_kept() -> None:
    """One that cannot be written as JSON is nobody's error."""
    cache = ResultCache()
    cache.put("tools/list", None, {"tools": [nested(100_000)], "ttlMs": 60_000})

    assert cache.get("tools/list", None) is None


def test_results_that_are_too_large_are_not_kept() -> None:
    """All of them together have 16 MiB, one alone four; the oldest goes first."""
    cache = ResultCache()
    for number in range(10):
        cache.put("resources/read", {"uri": str(number)}, {"text": "x" * (3 * MIB), "ttlMs": 60_000})
    cache.put("resources/read", {"uri": "too large"}, {"text": "x" * (4 * MIB), "ttlMs": 60_000})

    held = [uri for uri in [*map(str, range(10)), "too large"] if cache.get("resources/read", {"uri": uri})]
    assert ["5", "6", "7", "8", "9"] == held


def test_a_result_that_is_had_anew_takes_the_place_of_the_old_one() -> None:
    """However often it is asked for, it counts once."""
    cache = ResultCache()
    cache.put("resources/read", {"uri": "other"}, {"text": "y", "ttlMs": 60_000})
    for number in range(10):
        cache.put("resources/read", {"uri": "one"}, {"text": f"{number}" * (3 * MIB), "ttlMs": 60_000})

    assert {"text": "9" * (3 * MIB), "ttlMs": 60_000} == cache.get("resources/read", {"uri": "one"})
    assert {"text": "y", "ttlMs": 60_000} == cache.get("resources/read", {"uri": "other"})


def test_time_passes() -> None:
    """A result is fresh while its time is not over; metadata of the request does not matter."""
    now = [0.0]
    cache = ResultCache(clock=lambda: now[0])
    cache.put("tools/list", {"_meta": {"progressToken": 1}}, {"tools": [], "ttlMs": 1500})

    now[0] = 1.499
    assert {"tools": [], "ttlMs": 1500} == cache.get("tools/list", None)
    now[0] = 1.5
    assert None is cache.get("tools/list", None)


def test_the_cache_has_a_size() -> None:
    """The oldest gives way, so that reading many resources costs no end of memory."""
    cache = ResultCache(clock=lambda: 0.0)
    for number in range(513):
        cache.put("resources/read", {"uri": f"{number}"}, {"ttlMs": 1000})

    assert [False, True] == [cache.get("resources/read", {"uri": uri}) is not None for uri in ("0", "512")]
