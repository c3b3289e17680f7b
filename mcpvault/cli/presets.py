"""
Well-known remote servers: where they are, and what they want of a client.

URLs and notes only, as their operators publish them; ``mcpvault probe URL`` asks the server itself.
"""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """One server; ``auth`` is ``oauth`` where a client can register itself, ``bearer`` where one is given a token."""

    url: str
    auth: str
    note: str = ""


PRESETS = {
    "asana": Preset("https://mcp.asana.com/mcp", "oauth"),
    "atlassian": Preset(
        "https://mcp.atlassian.com/v1/mcp/authv2", "oauth", "Jira, Confluence, Compass; a site's admin must allow it"
    ),
    "canva": Preset("https://mcp.canva.com/mcp", "oauth"),
    "cloudflare": Preset("https://bindings.mcp.cloudflare.com/mcp", "oauth", "Workers bindings"),
    "github": Preset(
        "https://api.githubcopilot.com/mcp/",
        "bearer",
        "a personal access token (--bearer-prompt), or an OAuth app that you registered: --oauth --client-id ID"
        " --issuer https://github.com/login/oauth --client-secret-stdin",
    ),
    "huggingface": Preset("https://huggingface.co/mcp", "oauth"),
    "intercom": Preset("https://mcp.intercom.com/mcp", "oauth"),
    "linear": Preset("https://mcp.linear.app/mcp", "oauth", "takes an API key too: --bearer-prompt"),
    "monday": Preset("https://mcp.monday.com/mcp", "oauth"),
    "neon": Preset("https://mcp.neon.tech/mcp", "oauth", "takes an API key too: --bearer-prompt"),
    "notion": Preset("https://mcp.notion.com/mcp", "oauth"),
    "paypal": Preset("https://mcp.paypal.com/mcp", "oauth"),
    "sentry": Preset("https://mcp.sentry.dev/mcp", "oauth"),
    "stripe": Preset("https://mcp.stripe.com", "oauth", "takes a restricted API key too: --bearer-prompt"),
    "supabase": Preset("https://mcp.supabase.com/mcp", "oauth", "takes a personal access token too: --bearer-prompt"),
    "vercel": Preset("https://mcp.vercel.com", "oauth", "knows certain clients only; ask them, or bring a client id"),
}
