"""The error tree equals its drawing, exports are exact, imports are light, modules are small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mcpvault
from mcpvault import errors
from mcpvault.testing import FakeMcpServer

ROOT = Path(__file__).parents[2]
LONGEST = 320  # lines; "about 300"


def drawn(cls: type[errors.McpVaultError], stem: str = "") -> list[str]:
    """Return the lines of the tree below *cls*, as the module's docstring draws them."""
    lines = []
    branches = [sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__]
    for index, sub in enumerate(branches):
        last = index == len(branches) - 1
        lines.append(f"{stem}{'└── ' if last else '├── '}{sub.__name__} {sub.exit_code}")
        lines += drawn(sub, stem + ("    " if last else "│   "))
    return lines


def test_the_error_tree_equals_its_drawing() -> None:
    """The docstring of ``errors`` draws every class, its parent and its exit code."""
    doc = errors.__doc__ or ""
    drawing = [re.sub(r"\s+(\d+)$", r" \1", line[4:]) for line in doc.splitlines() if re.search(r"Error\s+\d+$", line)]

    assert ["McpVaultError 1", *drawn(errors.McpVaultError)] == drawing


def test_every_error_is_in_the_tree() -> None:
    """All exceptions of ours have one base, wherever they are defined."""
    strays = []
    for path in sorted(ROOT.glob("mcpvault/**/*.py")):
        for name, bases in re.findall(r"^class (\w+(?:Error|Exception))\(([^)]*)\)", path.read_text("utf-8"), re.M):
            if path.name != "errors.py":
                strays.append(f"{path.name}: {name}({bases})")
    assert [] == strays


def test_exports_are_exact() -> None:
    """``mcpvault.__all__`` is what is promised, and every name in it can be had."""
    promised = (
        "AuthState Callbacks HttpConnector MCPClient McpVaultError OAuthProvider Outcome Secret Session SessionPool "
        "StdioConnector Vault __version__ connect"
    )
    assert promised.split() == mcpvault.__all__
    assert sorted(mcpvault.__all__) == mcpvault.__all__
    assert [] == [name for name in mcpvault.__all__ if getattr(mcpvault, name, None) is None]


def test_modules_stay_small() -> None:
    """A module that outgrows about 300 lines has two jobs."""
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in [*ROOT.glob("mcpvault/**/*.py"), *ROOT.glob("vault_schema/**/*.py")]
    }
    drawn_at_once = {"mcpvault/errors.py": LONGEST + 40}  # one tree, and its drawing
    assert {} == {name: size for name, size in sizes.items() if size > drawn_at_once.get(name, LONGEST)}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after *code*."""
    script = f"import sys\n{code}\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def run(words: list[str]) -> str:
    """Return the code of a run of the command that ends well."""
    return f"from mcpvault.cli.main import main\ntry:\n  main({words})\nexcept SystemExit as e:\n  assert not e.code"


HEAVY = {
    "asyncio", "cryptography", "filelock", "jsonschema", "keyring", "msgspec", "oauthlib", "platformdirs", "requests",
    "requests_oauthlib", "rich", "ssl", "tomli_w", "tomlkit", "tomllib", "urllib3",
}  # fmt: skip


def test_importing_the_package_is_light() -> None:
    """``import mcpvault`` loads no library at all."""
    assert set() == loaded_by("import mcpvault") & (HEAVY | {"click", "dataclasses"})


def test_help_is_light() -> None:
    """``mcpvault --help`` loads click and nothing heavy."""
    assert set() == loaded_by(run(["--help"])) & HEAVY


def test_a_cron_run_loads_only_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real call, from the key file to the tool's answer, loads no lock, editor, table, schema or OAuth library."""
    monkeypatch.setenv("JOB_TOKEN", "token-of-the-cron-job")
    with FakeMcpServer(token="token-of-the-cron-job") as server:
        loaded_by(run(["init"]))
        loaded_by(run(["add", "x", server.url, "--bearer-env", "JOB_TOKEN"]))
        loaded = loaded_by(run(["call", "x", "echo", "-a", "message=hi"]))

        assert ["echo"] == [request.message["params"]["name"] for request in server.called("tools/call")]
    rarely = {"asyncio", "filelock", "jsonschema", "keyring", "oauthlib", "platformdirs", "requests_oauthlib", "rich"}
    assert set() == loaded & (rarely | {"tomlkit", "tomli_w", "msgspec"})
    assert {"click", "cryptography", "requests"} <= loaded
