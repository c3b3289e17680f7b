"""
The one table of what an entry may say: type, secrecy, binding, references.

Validation, the JSON Schema, redaction, error paths and the associated data of a seal
derive from it. A field is added here and nowhere else.

Spec: SPEC §5, §6, §9.5, §10, §11.
"""

# ruff: noqa: S105, S106 -- "secret" is a column of the table; its entries are words, not passwords

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from vault_schema.forms import FieldSpec

_field: Final = FieldSpec

OAUTH_KINDS: Final = ("oauth", "client_credentials", "jwt_bearer", "id_jag")
AUTH_KINDS: Final = ("none", "bearer", "header", "basic", *OAUTH_KINDS, "custom")
_PERSON: Final = ("oauth",)
_MACHINE: Final = ("client_credentials", "jwt_bearer", "id_jag")
_CLIENT: Final = ("oauth", "client_credentials", "id_jag")
SIGNING_ALGS: Final = ("ES256", "ES384", "EdDSA", "PS256", "RS256")
STEPS: Final = (
    *("planned", "minted", "stored", "verified", "promoted", "grace", "revoked"),
    *("done", "aborted"),
)
_HTTP: Final = "http"
_STDIO: Final = "stdio"


FIELDS: Final = (
    _field("url", "text", "the MCP endpoint", references=True, form="url", entry=_HTTP),
    _field("command", "text", "the program of a stdio server", form="command", entry=_STDIO),
    _field("args", "texts", "its arguments", references=True, form="argument", entry=_STDIO),
    _field("env.*", "text", "an environment variable for it", secret="by-name", bound_to="command", references=True,
           form="environment", entry=_STDIO),
    _field("cwd", "text", "the folder it starts in", references=True, entry=_STDIO),
    _field("approved", "boolean", "false: imported, refused until approved", entry=_STDIO),
    _field("headers.*", "text", "an extra HTTP header", secret="by-name", bound_to="url.origin", references=True,
           form="header", entry=_HTTP),
    _field("auth.kind", "text", "how requests are authenticated", choices=AUTH_KINDS, required=True, entry=_HTTP),
    _field("auth.token", "text", "the bearer token", secret="always", bound_to="url.origin", references=True,
           required=True, entry=_HTTP, kinds=("bearer",)),
    _field("auth.header", "text", "the header that carries the token", form="header name", entry=_HTTP,
           kinds=("bearer",)),
    _field("auth.scheme", "text", "the word before the token, may be empty", form="scheme", entry=_HTTP,
           kinds=("bearer",)),
    _field("auth.name", "text", "the header that carries the value", form="header name", required=True, entry=_HTTP,
           kinds=("header",)),
    _field("auth.value", "text", "the whole value of that header", secret="always", bound_to="url.origin",
           references=True, required=True, entry=_HTTP, kinds=("header",)),
    _field("auth.username", "text", "the user name for HTTP Basic", references=True, required=True, entry=_HTTP,
           kinds=("basic",)),
    _field("auth.password", "text", "the password for HTTP Basic", secret="always", bound_to="url.origin",
           references=True, required=True, entry=_HTTP, kinds=("basic",)),
    _field("auth.issuer", "text", "the authorization server, byte for byte", form="issuer", entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.resource", "text", "the resource indicator (RFC 8707), byte for byte", form="issuer", entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.strict_resource", "boolean", "true: the server's resource is its URL exactly", entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.scope", "text", "the scopes to ask for, separated by spaces", form="scope", entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.client_id", "text", "a client that is registered already", form="client id", entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.client_secret", "text", "its secret", secret="always", bound_to="auth.issuer", references=True,
           entry=_HTTP, kinds=_CLIENT),
    _field("auth.private_key", "text", "its private key (PEM), for private_key_jwt", secret="always",
           bound_to="auth.issuer", references=True, entry=_HTTP, kinds=_CLIENT),
    _field("auth.key_id", "text", "the key's id at the authorization server (kid)", entry=_HTTP, kinds=_CLIENT),
    _field("auth.signing_alg", "text", "how assertions are signed", choices=SIGNING_ALGS, entry=_HTTP, kinds=_CLIENT),
    _field("auth.registration_client_uri", "text", "where the client's registration is managed (RFC 7592)",
           form="issuer", entry=_HTTP, kinds=_CLIENT),
    _field("auth.registration_access_token", "text", "what that is managed with", secret="always",
           bound_to="auth.issuer", references=True, entry=_HTTP, kinds=_CLIENT),
    _field("auth.token_endpoint_auth_method", "text", "instead of what the server advertises",
           choices=("none", "client_secret_basic", "client_secret_post", "private_key_jwt"), entry=_HTTP,
           kinds=_CLIENT),
    _field("auth.assertion_audience", "text", "aud of what private_key signs, where it is not the issuer",
           form="issuer", entry=_HTTP, kinds=_CLIENT),
    _field("auth.client_metadata_url", "text", "a client ID metadata document", form="https", entry=_HTTP,
           kinds=_PERSON),
    _field("auth.redirect_uri", "text", "the registered redirect URI", form="redirect", entry=_HTTP, kinds=_PERSON),
    _field("auth.login_method", "text", "how a person logs in", choices=("loopback", "paste", "device"), entry=_HTTP,
           kinds=_PERSON),
    _field("auth.interactive", "text", "tty: a call on a terminal may log in", choices=("never", "tty"), entry=_HTTP,
           kinds=_PERSON),
    _field("auth.assume_pkce_s256", "boolean", "true: PKCE works although the server does not say so", entry=_HTTP,
           kinds=_PERSON),
    _field("auth.dpop", "boolean", "true: tokens bound to a key of ours (RFC 9449)", entry=_HTTP, kinds=OAUTH_KINDS),
    _field("auth.persist", "text", "what of the tokens is kept", choices=("all", "refresh", "none"), entry=_HTTP,
           kinds=OAUTH_KINDS),
    _field("auth.assertion", "text", "the workload's own JWT", secret="always", bound_to="auth.issuer",
           references=True, required=True, entry=_HTTP, kinds=("jwt_bearer",)),
    _field("auth.idp_issuer", "text", "the identity provider", form="issuer", required=True, entry=_HTTP,
           kinds=("id_jag",)),
    _field("auth.idp_token_endpoint", "text", "its token endpoint, where it publishes none", form="issuer",
           entry=_HTTP, kinds=("id_jag",)),
    _field("auth.idp_client_id", "text", "our client there", form="client id", required=True, entry=_HTTP,
           kinds=("id_jag",)),
    _field("auth.idp_client_secret", "text", "its secret", secret="always", bound_to="auth.idp_issuer",
           references=True, entry=_HTTP, kinds=("id_jag",)),
    _field("auth.subject_token", "text", "the person's ID token, or a refresh token", secret="always",
           bound_to="auth.idp_issuer", references=True, required=True, entry=_HTTP, kinds=("id_jag",)),
    _field("auth.subject_token_type", "text", "what it is", choices=("id_token", "refresh_token", "saml2"),
           entry=_HTTP, kinds=("id_jag",)),
    _field("timeout.connect", "integer", "seconds to connect", minimum=1, maximum=86_400),
    _field("timeout.read", "integer", "seconds of silence tolerated", minimum=1, maximum=86_400),
    _field("timeout.total", "integer", "seconds for a whole call", minimum=1, maximum=86_400),
    _field("retries", "integer", "attempts after the first, where repeating is safe", minimum=0, maximum=10),
    _field("rate_limit", "text", "requests at most, such as 10/s, 100/m, 5000/h", form="rate", entry=_HTTP),
    _field("max_message", "integer", "MiB of one message from the server", minimum=1, maximum=4096),
    _field("proxies.http", "text", "proxy for http, empty for none", references=True, form="proxy", entry=_HTTP),
    _field("proxies.https", "text", "proxy for https, empty for none", references=True, form="proxy", entry=_HTTP),
    _field("tls.ca_file", "text", "extra certificate authorities (PEM)", references=True, entry=_HTTP),
    _field("tls.client_cert_file", "text", "client certificate (PEM)", references=True, entry=_HTTP),
    _field("tls.client_key_file", "text", "key of the client certificate (PEM)", references=True, entry=_HTTP),
    _field("allow_http", "boolean", "true: plain http although not loopback", entry=_HTTP),
    _field("allow_private_hosts", "texts", "private hosts that discovery may lead to", form="host", entry=_HTTP),
    _field("transport", "text", "how messages travel; auto tries HTTP+SSE after Streamable HTTP",
           choices=("http", "sse", "auto"), entry=_HTTP),
    _field("era", "text", "the protocol era, or auto", choices=("auto", "modern", "legacy")),
    _field("credential", "text", "name of shared token state", form="name"),
    _field("run_env.*", "text", "a variable for mcpvault run, and the field that it gets", form="field"),
    _field("note", "text", "free text"),
    _field("owner", "text", "who answers for the entry"),
    _field("runbook", "text", "where its rotation is described"),
    _field("policy.max_age", "text", "age at which a secret is due", form="duration"),
    _field("policy.warn", "text", "how long before that to warn", form="duration"),
    _field("policy.grace", "text", "how long an old secret stays good after its rotation", form="duration"),
    _field("policy.rotator", "text", "what makes its new secrets", form="name"),
    _field("policy.command", "texts", "the program and arguments of the rotator exec"),
    _field("policy.probe_tool", "text", "a tool that is called with a new secret before it is used"),
    _field("policy.jwks_file", "text", "where the public keys of private_key are published", form="absolute path"),
    _field("rotation.id", "text", "which rotation it is", form="16 bytes", required=True),
    _field("rotation.field", "text", "the secret that is rotated", form="secret field", required=True),
    _field("rotation.rotator", "text", "what makes the new one", form="name", required=True),
    _field("rotation.step", "text", "how far it has come", choices=STEPS, required=True),
    _field("rotation.attempt", "integer", "how often the next step was begun", minimum=0, required=True),
    _field("rotation.started", "text", "when it began", form="time", required=True),
    _field("rotation.updated", "text", "when this was written", form="time", required=True),
    _field("rotation.by", "text", "who wrote this, and on which host", required=True),
    _field("rotation.host", "text", "the host whose state has the tokens that are rotated"),
    _field("rotation.grace", "text", "how long the old one stays good", form="duration"),
    _field("rotation.until", "text", "when that ends", form="time"),
    _field("rotation.ended", "text", "when the old secret was ended", form="time"),
    _field("rotation.undo", "boolean", "true: it is being given up"),
    _field("rotation.problem", "text", "what went wrong last"),
    _field("rotation.command", "texts", "the program and arguments of the rotator exec"),
    _field("rotation.pending_client_id", "text", "the client_id that the new secret belongs to", form="client id"),
    _field("rotation.previous_client_id", "text", "the client_id that the old secret belongs to", form="client id"),
    _field("rotation.pending_client_uri", "text", "the registration_client_uri of the new client", form="issuer"),
    _field("rotation.previous_client_uri", "text", "the registration_client_uri of the old client", form="issuer"),
    _field("rotation.pending_key_id", "text", "the key_id of the new key"),
    _field("rotation.previous_key_id", "text", "the key_id of the old key"),
)  # fmt: skip

HEADER_FIELDS: Final = (
    _field("format", "integer", "version of this format", minimum=1, maximum=1, required=True),
    _field("id", "text", "the vault's identity, never changed", form="16 bytes", required=True),
    _field("serial", "integer", "grows by one with every write", minimum=1, required=True),
    _field("epoch", "integer", "generation of the vault key", minimum=1, maximum=2**32 - 1, required=True),
    _field("suite", "text", "the algorithms", choices=("hpke-x25519-sha256-a256gcm+a256gcm+hs256",), required=True),
    _field("mac", "text", "MAC over the canonical form", form="32 bytes", required=True),
    _field("root", "text", "Ed25519 public key of the root", form="32 bytes", required=True),
    _field("sig", "text", "signature of the root over the MAC", form="64 bytes", required=True),
    _field("allow_commands", "boolean", "true: ${cmd:[…]} references run"),
    _field("audit", "text", "required: nothing is done that cannot be written down", choices=("on", "required", "off")),
    _field("policy.max_age", "text", "as an entry's, where that says nothing", form="duration"),
    _field("policy.warn", "text", "as an entry's, where that says nothing", form="duration"),
    _field("policy.grace", "text", "as an entry's, where that says nothing", form="duration"),
    _field("policy.owner", "text", "who answers for entries that do not say"),
    _field("policy.runbook", "text", "where rotation is described, for entries that do not say"),
    _field("slots", "tables", "the keys that open the vault", required=True),
    _field("retired", "tables", "the vault keys of earlier epochs"),
)
RETIRED_FIELDS: Final = (
    _field("epoch", "integer", "the epoch whose vault key this is", minimum=1, maximum=2**32 - 1, required=True),
    _field("key", "text", "that key, sealed under the present one", form="sealed", required=True),
    _field("until", "text", "when a new epoch need not take it along", form="time", required=True),
)

_PASSPHRASE: Final = ("passphrase",)
SLOT_FIELDS: Final = (
    _field("id", "text", "name of the slot", form="slot id", required=True),
    _field("kind", "text", "where its private key comes from",
           choices=("raw", "passphrase", "keyring", "recipient", "recovery"), required=True),
    _field("role", "text", "an admin may write, a reader only open", choices=("admin", "reader"), required=True),
    _field("pub", "text", "X25519 public key", form="32 bytes", required=True),
    _field("box", "text", "the vault key, sealed to pub", form="80 bytes", required=True),
    _field("sbox", "text", "the root's private key, sealed to pub (admins)", form="80 bytes"),
    _field("pin", "text", "the owner's MAC over the root", form="32 bytes"),
    _field("salt", "text", "salt of the key derivation", form="16 bytes", required=True,
           kinds=("raw", "passphrase", "keyring", "recovery")),
    _field("kdf", "text", "key derivation", choices=("argon2id",), kinds=_PASSPHRASE, required=True),
    _field("m", "integer", "memory, KiB", minimum=19_456, maximum=1_048_576, kinds=_PASSPHRASE, required=True),
    _field("t", "integer", "passes", minimum=2, maximum=16, kinds=_PASSPHRASE, required=True),
    _field("p", "integer", "lanes", minimum=1, maximum=16, kinds=_PASSPHRASE, required=True),
    _field("service", "text", "service name in the OS keyring", kinds=("keyring",), required=True),
    _field("user", "text", "user name in the OS keyring", kinds=("keyring",)),
    _field("created", "text", "when the slot was added", form="time"),
)  # fmt: skip

VERSION_FIELDS: Final = (
    _field("v", "integer", "number of the version", minimum=1, required=True),
    _field("stage", "text", "its place in a rotation", choices=("current", "pending", "previous"), required=True),
    _field("created", "text", "when it was sealed", form="time", required=True),
    _field("bound", "texts", "what the value is for", references=True, required=True),
    _field("sealed", "text", "the sealed value", form="sealed", required=True),
    _field("not_after", "text", "when the issuer ends it", form="time"),
    _field("due", "text", "why it is due now, whatever its age"),
)

_BY_PATH: Final = {spec.path: spec for spec in FIELDS}


def spec_for(path: str) -> FieldSpec | None:
    """Return what the table says about the field *path* (``auth.token``, ``headers.X-API-Key``), or None."""
    table, dot, rest = path.partition(".")
    return _BY_PATH.get(path) or (_BY_PATH.get(f"{table}.*") if dot and rest else None)


def is_secret(path: str) -> bool:
    """Return whether the field *path* holds a secret: always, or by the name of its last part."""
    spec = spec_for(path)
    if spec is None or not spec.may_be_secret:
        return False
    return spec.always_secret or is_sensitive_name(path.partition(".")[2])


_WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+"
_WHOLE = frozenset("auth authentication authorization bearer cookie cookies jwt passcode passphrase pat pwd pw".split())
_PART = r"token|key|secret|passw|credential|authoriz|apikey|signature|cookie"
# TOKEN_URL, MAX_TOKENS or KEY_FILE speak about a secret and hold none.
_INNOCENT_END = frozenset("count dir endpoint file limit limits path size timeout ttl type uri url version".split())
_COUNTED = frozenset("max min num".split())


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """
    Return whether a header or environment variable of that name must not stand in clear.

    Spec: SPEC §11.2.
    """
    words = [word.lower() for word in re.findall(_WORDS, name)]
    if not words or words[-1] in _INNOCENT_END or (words[0] in _COUNTED and words[-1] == "tokens"):
        return False
    return not _WHOLE.isdisjoint(words) or re.search(_PART, name.lower()) is not None


_SECRET_SHAPES = (
    r"\b(?:gh[opusr]_|github_pat_|glpat-|sk[-_]|rk_live_|xox[abeprs]-|npm_|lin_api_|hf_|ya29\.|AIza|AKIA)[A-Za-z0-9_-]{16}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}"
    r"|\b(?i:bearer|basic)\s+(?=[^\s]*[0-9])[A-Za-z0-9+/=._~-]{12}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^/\s:@$]*:[^/\s@$]+@"
)


# None of the shapes is without one of these; most texts are, and are spared the pattern.
_SECRET_MARKS = ("_", "-", "eyJ", "ya29.", "AIza", "AKIA", "@")


def looks_secret(text: str) -> bool:
    """Return whether *text* has the shape of a token, a key, or a URL with a password (SPEC §11.3)."""
    if not any(mark in text for mark in _SECRET_MARKS):
        lower = text.lower()
        if "bearer" not in lower and "basic" not in lower:
            return False
    return re.search(_SECRET_SHAPES, text) is not None


# npm_config_registry_token: short words of small letters are a name, whatever the first one is.
_NAME_IN_WORDS = r"[a-z]{1,12}(?:_[a-z]{1,12}){2,}\Z"


def is_token_for_name(name: str) -> bool:
    """Return whether *name*, given for a variable's, is a token that was taken for one (SPEC §11.3)."""
    return looks_secret(name) and re.match(_NAME_IN_WORDS, name) is None
