"""SPEC.md §1.3, §11, §12, §13: what texts say. References, sensitive names, literals, URLs, origins."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
from itertools import pairwise
from urllib.parse import unquote_plus

PLAIN_LAST = set("count dir endpoint file limit limits path size timeout ttl type uri url version".split())
SENSITIVE_WORD = set(
    "auth authentication authorization bearer cookie cookies jwt passcode passphrase pat pwd pw".split()
)
SENSITIVE_PART = "token key secret passw credential authoriz apikey signature cookie".split()
PREFIXES = (
    "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- sk- sk_ rk_live_ xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- npm_ lin_api_"
    " hf_ ya29. AIza AKIA"
).split()
SECRETS = [
    re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, PREFIXES))})[A-Za-z0-9_-]{{16}}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    re.compile(r"\b(?:Bearer|Basic)\s+(?=\S*[0-9])\S{12}"),
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
    re.compile(r"://[^\s/:@]*:[^\s/@]+@"),
]
PORTS = {"http": "80", "https": "443"}


# Keys (§3 rule 6)

TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""+|\'\'\'.*?\'\'\'+'
    r'|(?P<part>"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[\w-]+)|#[^\n]*|(?P<space>[ \t]+)|.',
    re.DOTALL | re.ASCII,
)


def longest_key(text: str) -> int:
    """Return how many parts the longest key has, outside of texts and comments."""
    longest = parts = 0
    dot = False
    for token in TOKEN.finditer(text):
        if token["part"]:
            parts = parts + 1 if dot else 1
            longest, dot = max(longest, parts), False
        elif not token["space"]:
            dot = token[0] == "." and parts > 0 and not dot
            parts = parts if dot else 0
    return longest


# Times (§1.3)


def is_time(text: str) -> bool:
    """Tell whether *text* is a time in UTC."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text):
        return False
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return text[11:13] < "24"


def is_duration(text: str) -> bool:
    """Tell whether *text* is a duration."""
    return bool(re.fullmatch(r"[1-9][0-9]{0,4}[smhdw]", text))


def is_rate(text: str) -> bool:
    """Tell whether *text* is a rate."""
    number, slash, unit = text.partition("/")
    return bool(slash) and unit in {"s", "m", "h", "d"} and bool(re.fullmatch("[1-9][0-9]{0,3}", number))


# References (§13)


def references(text: str) -> list[tuple[int, int]]:
    """Return where the references of *text* begin and end."""
    found: list[tuple[int, int]] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        at = start + 2
        if start > 0 and text[start - 1] == "$":
            continue
        inside = at
        if text.startswith("cmd:", inside):
            try:
                inside = json.JSONDecoder().raw_decode(text, inside + 4)[1]
            except ValueError:
                inside = at
        closing = text.find("}", inside)
        at = len(text) if closing < 0 else closing + 1
        found.append((start, at))
    return found


def default_of(reference: str) -> str | None:
    """Return the default that a reference brings, if any."""
    body = reference.removeprefix("${").removesuffix("}")
    _, mark, default = body.partition(":-")
    return default if mark and not body.startswith("cmd:[") else None


def in_clear(text: str) -> str:
    """Return what *text* says in clear: references and ``$${`` cut out, defaults kept."""
    out, last = "", 0
    for start, end in references(text):
        out, last = out + text[last:start].replace("$${", "") + (default_of(text[start:end]) or ""), end
    return out + text[last:].replace("$${", "")


def has_default(text: str) -> bool:
    """Tell whether a reference of *text* has a default."""
    return any(default_of(text[start:end]) is not None for start, end in references(text))


# Secrets (§11.2, §11.3)


def is_sensitive(name: str) -> bool:
    """Tell whether a header's, variable's or parameter's name says "secret"."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]
    if words and (words[-1] in PLAIN_LAST or (words[0] in ("max", "min", "num") and words[-1] == "tokens")):
        return False
    return bool(SENSITIVE_WORD & set(words)) or any(part in name.lower() for part in SENSITIVE_PART)


def looks_secret(text: str) -> bool:
    """Tell whether what *text* says in clear looks like a secret."""
    clear = in_clear(text)
    return any(pattern.search(clear) for pattern in SECRETS)


def is_literal(text: str) -> bool:
    """Tell whether *text*, in a secret field, is a secret in clear."""
    if not references(text) or has_default(text) or looks_secret(text):
        return True
    return bool(re.search(r"[^\s,;:&?]{16}", in_clear(text)))


def names_a_secret(text: str) -> bool:
    """Tell whether a reference of *text* has a token where the name of a variable belongs."""
    for start, end in references(text):
        body = text[start + 2 : end].removesuffix("}")
        name = body.partition(":-")[0].removesuffix("?").removeprefix("env:")
        other = body.startswith(("file:", "cred:", "keyring:", "vault:", "cmd:"))
        if not other and looks_secret(name) and not re.fullmatch(r"[a-z]{1,12}(_[a-z]{1,12}){2,}", name):
            return True
    return False


# URLs and origins (§11.1, §12)


def is_host(host: str) -> bool:
    """Tell whether *host* may stand in a URL."""
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return host.endswith("]") and "%" not in host and address.ipv4_mapped is None
    labels = host.split(".")
    if len(host) > 253 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", label) for label in labels):
        return False
    if re.fullmatch(r"[0-9]+|0[xX].*", labels[-1]):
        return len(labels) == 4 and all(re.fullmatch(r"0|[1-9][0-9]{0,2}", n) and int(n) < 256 for n in labels)
    return True


def url_fault(url: str) -> tuple[str, str] | None:
    """Return the reason and the words for what is wrong with an entry's URL; None if nothing is."""
    if not re.fullmatch(r"(?i:https?)://[\x21\x22\x24-\x5b\x5d-\x7e]*", url):
        return "format", "no http URL in visible ASCII, or it has a fragment or backslash"
    authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    if "${" in authority:
        return "format", "a reference before the path"
    if "@" in authority:
        return "literal", "user information"
    host = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", authority)
    if host is None or not is_host(host[1]) or (host[2] and not 1 <= int(host[2]) <= 65535):
        return "format", "no such host or port"
    for name, value in parameters(url):
        if looks_secret(value) or (
            is_sensitive(name) and in_clear(value) and (not references(value) or has_default(value))
        ):
            return "literal", "a secret in the query"
    if names_a_secret(url):
        return "literal", "a secret for the name of a variable"
    return None


def parameters(url: str) -> list[tuple[str, str]]:
    """Return the parameters of a URL's query, percent-decoded."""
    spans = references(url)
    inside = {at for start, end in spans for at in range(start, end)}
    marks = [at for at, character in enumerate(url) if character in "?&" and at not in inside]
    query = next((at for at in marks if url[at] == "?"), len(url))
    ends = [at for at in marks if at > query and url[at] == "&"] + [len(url)]
    pairs = []
    for start, end in pairwise([query, *ends]):
        name, _, value = url[start + 1 : end].partition("=")
        pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def origin(url: str) -> str:
    """Return ``scheme://host:port`` of a URL that has no fault."""
    parts = re.match(r"(\w+)://(\[[^\]]*\]|[^:/?]*)(?::([0-9]+))?", url.lower())
    assert parts is not None
    scheme, host, port = parts.groups()
    if host.startswith("["):
        host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    return f"{scheme}://{host}:{int(port or PORTS[scheme])}"
