"""
The forms in which other programs ask for a credential and take it: git's and kubectl's.

Pure. Spec: git-credential(1) "INPUT/OUTPUT FORMAT"; Kubernetes client.authentication.k8s.io/v1.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mcpvault.errors import ConfigurationError, UsageError
from mcpvault.opened import Live

_GROUP = "client.authentication.k8s.io"
_NO_HOST = frozenset("/?#@%\\")
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")


class GitRequest(NamedTuple):
    """What git wants a credential for; *authtype*: it takes any scheme, not only a user name and password."""

    url: str
    authtype: bool


class ExecInfo(NamedTuple):
    """What kubectl says of itself."""

    api_version: str = _VERSIONS[0]
    server: str | None = None


def git_request(text: str) -> GitRequest:
    """
    Read what git writes to a credential helper.

    Raises:
        UsageError: A line is no ``key=value``, or holds a character that would begin another; or no host is named:
            what git means is not known then (CVE-2020-11008); or what is named is more than a scheme and a host.
    """
    told: dict[str, str] = {}
    capabilities = []
    for line in text.split("\n"):
        if not line:
            break
        key, equals, value = line.partition("=")
        if not equals or "\r" in line or "\0" in line:
            raise UsageError("stdin: expected git's lines of key=value")
        if key == "capability[]":
            capabilities.append(value)
        told[key] = value
    # git decodes "%2f" in a URL's host: what follows the slash would pass for a path here, and is a host to git.
    if not _NO_HOST.isdisjoint(told.get("protocol", "") + told.get("host", "")):
        raise UsageError("stdin: expected a host and no more in git's host")
    url = f"{told['protocol']}://{told['host']}/" if told.get("protocol") and told.get("host") else told.get("url")
    if not url:
        raise UsageError("stdin: expected git's protocol and host")
    return GitRequest(url, "authtype" in capabilities)


def git_answer(live: Live, asked: GitRequest | None, *, username: str, kind: str, server: str) -> str:
    """
    Return what git reads back.

    Raises:
        ConfigurationError: The value has a line break, which would begin another line.
    """
    value = live.value.reveal()
    bearer = kind not in ("header", "basic") and asked is not None and asked.authtype
    lines = ["capability[]=authtype", "authtype=Bearer"] if bearer else [f"username={username}"]
    lines.append(f"{'credential' if bearer else 'password'}={value}")
    if live.expires_at is not None:
        lines.append(f"password_expiry_utc={int(live.expires_at)}")
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ConfigurationError(f"{server}: its value holds a line break, and git's form has none", server=server)
    return "\n".join(lines)


def exec_info(text: str | None) -> ExecInfo:
    """
    Read ``KUBERNETES_EXEC_INFO``; None where kubectl set none.

    Raises:
        ConfigurationError: It is of no version that is known here.
    """
    if not text:
        return ExecInfo()
    told: Any = None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        pass
    version = told.get("apiVersion") if isinstance(told, dict) else None
    if version not in _VERSIONS:
        raise ConfigurationError("KUBERNETES_EXEC_INFO: expected " + " or ".join(_VERSIONS))
    spec = told.get("spec")
    cluster = spec.get("cluster") if isinstance(spec, dict) else None
    server = cluster.get("server") if isinstance(cluster, dict) else None
    return ExecInfo(version, server if isinstance(server, str) else None)


def exec_credential(live: Live, info: ExecInfo) -> dict[str, Any]:
    """Return the ``ExecCredential`` that kubectl reads."""
    status = {"token": live.value.reveal()}
    if live.expires_at is not None:
        status["expirationTimestamp"] = datetime.fromtimestamp(live.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"apiVersion": info.api_version, "kind": "ExecCredential", "status": status}
