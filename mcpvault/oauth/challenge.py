"""
``WWW-Authenticate``: what a server wants to see before it answers.

Decides what the header says. Leaves what to do about it to ``discovery`` and ``scope``.

Spec: RFC 9110 §11.2, §11.6.1; RFC 6750 §3; RFC 9449 §7.1; RFC 9728 §5.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from vault_schema.record import Record

# The quantifiers are possessive: nothing is read twice, so hostile text takes linear time.
_SEPARATORS = re.compile(r"[ \t\r\n,]*+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
# A token, and what servers leave unquoted although they may not (URLs above all).
_UNQUOTED = re.compile(r'[^\s,"]++')
_TOKEN68 = re.compile(r"[ \t]++([A-Za-z0-9._~+/-]++=*+)[ \t]*+(?=,|\Z)")
_JUNK = re.compile(r"[^,]*+")


class Challenge(Record):
    """
    One challenge: its scheme as it was sent, and its parameters by their names in lower case.

    Schemes that send one opaque text instead of parameters (``Negotiate``) have it in ``token68``.
    """

    scheme: str
    parameters: Mapping[str, str] = MappingProxyType({})
    token68: str | None = None

    @property
    def realm(self) -> str | None:
        """The protection space (RFC 9110 §11.5)."""
        return self.parameters.get("realm")

    @property
    def scope(self) -> str | None:
        """The scopes that this very request needs, separated by spaces (RFC 6750 §3); None if it names none."""
        return " ".join(self.parameters.get("scope", "").split()) or None

    @property
    def error(self) -> str | None:
        """``invalid_token``, ``insufficient_scope``, … (RFC 6750 §3.1); None where no credential was sent."""
        return self.parameters.get("error")

    @property
    def error_description(self) -> str | None:
        """The server's own words; quote them before they are shown."""
        return self.parameters.get("error_description")

    @property
    def resource_metadata(self) -> str | None:
        """The URL of the protected resource metadata (RFC 9728 §5.1)."""
        return self.parameters.get("resource_metadata") or None


def parse(header: str) -> tuple[Challenge, ...]:
    """
    Return the challenges in a ``WWW-Authenticate`` value, in their order.

    Several header lines are one value, joined with commas. Nothing is raised: what cannot be understood is
    left out, up to the next comma, and everything behind a quotation mark that never closes. Of a parameter
    that stands twice in a challenge the first counts.
    """
    found: list[tuple[str, dict[str, str], str | None]] = []
    at = _end(_SEPARATORS, header, 0)
    while at < len(header):
        name = _TOKEN.match(header, at)
        if name is None:
            at = _end(_JUNK, header, at)
        elif equals := _EQUALS.match(header, name.end()):
            value = _QUOTED.match(header, equals.end())
            if value is not None:
                text = re.sub(r"\\(.)", r"\1", value[1], flags=re.DOTALL)
            elif header.startswith('"', equals.end()):
                break
            else:
                value = _UNQUOTED.match(header, equals.end())
                text = value[0] if value is not None else ""
            if found:
                found[-1][1].setdefault(name[0].lower(), text)
            at = value.end() if value is not None else equals.end()
        else:
            opaque = _TOKEN68.match(header, name.end())
            found.append((name[0], {}, opaque[1] if opaque is not None else None))
            at = opaque.end() if opaque is not None else name.end()
        at = _end(_SEPARATORS, header, at)
    return tuple(Challenge(scheme, MappingProxyType(parameters), token68) for scheme, parameters, token68 in found)


def bearer(header: str) -> Challenge | None:
    """Return the ``Bearer`` challenge in a ``WWW-Authenticate`` value, or None."""
    return _of("bearer", header)


def dpop(header: str) -> Challenge | None:
    """Return the ``DPoP`` challenge in a ``WWW-Authenticate`` value, or None; it may stand beside a ``Bearer`` one."""
    return _of("dpop", header)


def oauth(header: str, signed_with: str = "") -> Challenge | None:
    """
    Return the challenge in a ``WWW-Authenticate`` value that a token answers, ``Bearer`` or ``DPoP``, or None.

    Where both stand (RFC 9449 §7.2), it is the one that says more: an error, above all to the scheme that the request
    was *signed_with*. The metadata is the resource's, whichever of them leads to it.
    """
    found = [challenge for challenge in parse(header) if challenge.scheme.lower() in ("bearer", "dpop")]
    if not found:
        return None

    def weight(one: Challenge) -> tuple[bool, ...]:
        scheme = one.scheme.lower()
        ours = scheme == signed_with.lower()
        return (one.error is not None, ours, bool(one.resource_metadata), bool(one.scope), scheme == "bearer")

    best = max(found, key=weight)
    place = best.resource_metadata or next((one.resource_metadata for one in found if one.resource_metadata), None)
    if place != best.resource_metadata:
        best = best.replaced(parameters={**best.parameters, "resource_metadata": place})
    return best


def _of(scheme: str, header: str) -> Challenge | None:
    """Return the challenge of that scheme; of several, the first that leads to metadata."""
    fitting = [challenge for challenge in parse(header) if challenge.scheme.lower() == scheme]
    return next((challenge for challenge in fitting if challenge.resource_metadata), fitting[0] if fitting else None)


def _end(pattern: re.Pattern[str], header: str, at: int) -> int:
    found = pattern.match(header, at)
    return at if found is None else found.end()
