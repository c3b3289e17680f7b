"""Where MCP clients keep their configurations, and shells what was typed: what ``scan`` knows without being told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

# Below the home, the configuration home and macOS' Application Support; a name with a star is a pattern.
_AT_HOME = (
    *(".claude.json", ".claude/settings.json", ".claude/settings.local.json", ".claude/.credentials.json"),
    *(".cursor/mcp.json", ".codeium/windsurf/mcp_config.json", ".codex/config.toml", ".codex/auth.json"),
    *(".gemini/settings.json", ".vscode/mcp.json", ".mcp.json", "mcp.json", ".mcp-use/config.json"),
    *(".mcp-auth/*/*", ".mcp-auth/*", ".fastmcp/*", ".fastmcp/oauth-mcp-client-cache/*", ".netrc", ".git-credentials"),
)
_CONFIGURED = (
    *("Claude/claude_desktop_config.json", "Code/User/mcp.json", "Code/User/settings.json", "zed/settings.json"),
    *("Code - Insiders/User/mcp.json", "VSCodium/User/mcp.json", "Cursor/User/settings.json", "goose/config.yaml"),
    *("mcp/*.json", "opencode/opencode.json", "github-copilot/mcp.json"),
)
_LOGINS = ((".claude", ".credentials.json"), (".codex", "auth.json"))
_HERE = (".mcp.json", "mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".gemini/settings.json", ".codex/config.toml")
_HISTORIES = (
    *(".bash_history", ".zsh_history", ".zhistory", ".sh_history", ".ash_history", ".ksh_history", ".history"),
    *(".local/share/fish/fish_history", ".python_history", ".node_repl_history", ".psql_history", ".lesshst"),
    *(".viminfo", ".local/state/python/history", ".local/state/bash/history", ".local/share/nvim/shada/main.shada"),
)


def clients(env: Mapping[str, str], here: Path) -> Iterator[Path]:
    """Yield the clients' files that exist, those of the project in the folder *here* last."""
    home = Path(env.get("HOME") or here)
    configured = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    yield from _those(home, _AT_HOME)
    for base in (
        configured,
        home / "Library/Application Support",
        *([Path(env["APPDATA"])] if "APPDATA" in env else []),
    ):
        yield from _those(base, _CONFIGURED)
    if here != home:
        yield from _those(here, _HERE)


def histories(env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the histories that exist."""
    if home := env.get("HOME"):
        yield from _those(Path(home), _HISTORIES)
    if (named := env.get("HISTFILE")) and Path(named).is_file():
        yield Path(named)


def by_hand(path: Path) -> str | None:
    """Return what a person does about a client's file that nothing here rewrites; None where ``import`` can try."""
    if path.suffix in (".yaml", ".yml"):
        return "let it start mcpvault with the arguments stdio NAME (goose: cmd: mcpvault, args: [stdio, NAME])"
    if path.name in (".netrc", ".git-credentials"):
        return "git config credential.helper '!mcpvault token NAME --format git', then take the line out"
    if path.parts[-2:] in _LOGINS or {".mcp-auth", ".fastmcp"} & {*path.parts}:
        return "it is another program's login: log out there; with mcpvault stdio NAME it needs none of its own"
    return None


def _those(base: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        yield from sorted(path for path in base.glob(name) if path.is_file())
