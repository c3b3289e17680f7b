"""Who may import whom. The tables are the architecture; these tests keep them true."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
RANK = {
    "vault_schema": 0,
    "mcpvault._version": 0,
    "mcpvault.errors": 0,
    "mcpvault.open_files": 0,
    "mcpvault.secret": 0,
    "mcpvault.startup": 0,
    "mcpvault.suggestion": 0,
    "mcpvault.credentials": 1,
    "mcpvault.deadline": 1,
    "mcpvault.durations": 1,
    "mcpvault.figures": 1,
    "mcpvault.public_file": 1,
    "mcpvault.quoting": 1,
    "mcpvault.tokens": 1,
    "mcpvault.mcp": 2,
    "mcpvault.oauth": 2,
    "mcpvault.state": 2,
    "mcpvault.vault": 2,
    "mcpvault.http": 3,
    "mcpvault.transports": 3,
    "mcpvault.client": 4,
    "mcpvault.connect": 4,
    "mcpvault.connectors": 4,
    "mcpvault.audit_keys": 4,
    "mcpvault.auditing": 4,
    "mcpvault.authorization": 4,
    "mcpvault.begun": 4,
    "mcpvault.carriers": 4,
    "mcpvault.entries": 4,
    "mcpvault.giving_back": 4,
    "mcpvault.grants": 4,
    "mcpvault.login": 4,
    "mcpvault.login_plan": 4,
    "mcpvault.moved": 4,
    "mcpvault.obtained": 4,
    "mcpvault.mcp_use": 4,
    "mcpvault.pool": 4,
    "mcpvault.opened": 4,
    "mcpvault.own_page": 4,
    "mcpvault.providers": 4,
    "mcpvault.fallback": 4,
    "mcpvault.stages": 4,
    "mcpvault.refresh_exchange": 4,
    "mcpvault.remembered": 4,
    "mcpvault.rotating_headers": 4,
    "mcpvault.terminal_login": 4,
    "mcpvault.token_refusal": 4,
    "mcpvault.token_source": 4,
    "mcpvault.oauth_client": 4,
    "mcpvault.oauth_entry": 4,
    "mcpvault.oauth_parts": 4,
    "mcpvault.host_state": 4,
    "mcpvault.places": 4,
    "mcpvault": 5,
    "mcpvault.interop": 5,
    "mcpvault.rotation": 5,
    "mcpvault.testing": 5,
    "mcpvault.upkeep": 5,
    "mcpvault.cli": 6,
    "mcpvault.__main__": 7,
}
# Modules of rank 4 stand side by side and may use one another; the packages below them may not.
SIDE_BY_SIDE = {
    "mcpvault.carriers",
    "mcpvault.client",
    "mcpvault.connect",
    "mcpvault.connectors",
    "mcpvault.audit_keys",
    "mcpvault.auditing",
    "mcpvault.authorization",
    "mcpvault.begun",
    "mcpvault.entries",
    "mcpvault.giving_back",
    "mcpvault.grants",
    "mcpvault.login",
    "mcpvault.login_plan",
    "mcpvault.moved",
    "mcpvault.obtained",
    "mcpvault.mcp_use",
    "mcpvault.pool",
    "mcpvault.opened",
    "mcpvault.own_page",
    "mcpvault.providers",
    "mcpvault.fallback",
    "mcpvault.stages",
    "mcpvault.refresh_exchange",
    "mcpvault.remembered",
    "mcpvault.rotating_headers",
    "mcpvault.terminal_login",
    "mcpvault.token_refusal",
    "mcpvault.token_source",
    "mcpvault.oauth_client",
    "mcpvault.oauth_entry",
    "mcpvault.oauth_parts",
    "mcpvault.host_state",
    "mcpvault.places",
    "mcpvault",
}
DOORS = {
    "anyio": {"mcpvault.interop"},
    "certifi": {"mcpvault.http"},
    "click": {"mcpvault.cli"},
    "cryptography": {"mcpvault.vault", "mcpvault.oauth", "mcpvault.testing"},
    "fastmcp": {"mcpvault.interop"},
    "filelock": {"mcpvault.vault", "mcpvault.state"},
    "httpx": {"mcpvault.interop"},
    "httpx2": {"mcpvault.interop"},
    "jsonschema": {"mcpvault.mcp"},
    "referencing": {"mcpvault.mcp"},
    "keyring": {"mcpvault.vault"},
    "mcp": {"mcpvault.interop"},
    "msgspec": {"mcpvault.mcp"},
    "oauthlib": {"mcpvault.http"},
    "platformdirs": {"mcpvault.places"},
    "pytest": {"mcpvault.testing"},
    "requests": {"mcpvault.http", "mcpvault.transports"},
    "requests_oauthlib": {"mcpvault.http"},
    "rich": {"mcpvault.cli"},
    "subprocess": {
        "mcpvault.mcp",
        "mcpvault.vault",
        "mcpvault.state",
        "mcpvault.transports",
        "mcpvault.rotation",
        "mcpvault.upkeep",
        "mcpvault.cli",
    },
    "tomli_w": {"vault_schema", "mcpvault.interop"},
    "tomlkit": {"vault_schema", "mcpvault.interop"},
    "truststore": {"mcpvault.http"},
    "urllib3": {"mcpvault.http", "mcpvault.transports"},
}
OWN = sorted([*ROOT.glob("mcpvault/**/*.py"), *ROOT.glob("vault_schema/**/*.py")])


def unit(module: str) -> str:
    """Return the room that *module* belongs to."""
    head, _, rest = module.partition(".")
    return f"{head}.{rest.split('.')[0]}" if head == "mcpvault" and rest else head


@cache
def imported(path: Path) -> list[str]:
    """Return every module that the file imports, ``TYPE_CHECKING`` imports and lazy ones included."""
    package, found = path.relative_to(ROOT).parent.parts, list[str]()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level]] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found += [f"{module}.{alias.name}" for alias in node.names] if module == "mcpvault" else [module]
    return found


def room_of(path: Path) -> str:
    """Return the room that the file *path* belongs to."""
    return unit(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def test_every_room_has_a_rank() -> None:
    """A room without a rank would escape the rule."""
    assert [] == sorted({room_of(path) for path in OWN} - RANK.keys())


def test_nothing_imports_upward() -> None:
    """A module imports only from a lower rank or from its own room."""
    wrong = []
    for path in OWN:
        here = room_of(path)
        for name in imported(path):
            there = unit(name)
            if there not in RANK or there == here or {here, there} <= SIDE_BY_SIDE:
                continue
            if RANK[there] >= RANK[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert [] == wrong


def test_guests_come_by_their_door() -> None:
    """Each outside library is imported only by the rooms that the table names."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in OWN
        for name in imported(path)
        if room_of(path) not in DOORS.get(name.split(".")[0], {room_of(path)})
    ]
    assert [] == wrong


def test_every_guest_has_a_door() -> None:
    """A library that is neither Python's own nor in the table has no business here."""
    known = sys.stdlib_module_names | DOORS.keys() | {"mcpvault", "vault_schema"}
    assert [] == sorted(
        {
            f"{path.relative_to(ROOT)} imports {n}"
            for path in OWN
            for n in imported(path)
            if n.partition(".")[0] not in known
        }
    )


def test_no_event_loop() -> None:
    """Nothing of ours imports asyncio: the library blocks, and works inside a running loop."""
    assert [] == [path.name for path in OWN if any(name.split(".")[0] == "asyncio" for name in imported(path))]


def test_the_environment_has_two_doors() -> None:
    """Only ``connect`` and ``cli`` (and the test servers' demo) read ``os.environ``; others take a mapping."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in OWN
        if "os.environ" in path.read_text("utf-8")
        and room_of(path) not in {*SIDE_BY_SIDE, "mcpvault.cli", "mcpvault.testing"}
    ]
    assert [] == wrong
