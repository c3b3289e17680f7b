"""
What ``scan`` looks for: every secret of the vault and of this host's state, in the forms that they take in files.

What a reference stands for is looked for where it can be had without asking anybody: variables, files, credentials of
the unit. Decides what is too short to be told from chance. Leaves where is looked to ``scan``. A secret that is looked
for shows itself in no repr, and nothing here raises while its bytes are in a frame.
"""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from mcpvault.errors import McpVaultError
from mcpvault.oauth_entry import sealing_of
from mcpvault.secret import Secret
from mcpvault.state.tokens import TokenStore, credentials
from mcpvault.upkeep.exposure_checks import texts
from mcpvault.vault import sealing
from mcpvault.vault.keysources import find_key
from mcpvault.vault.references import Reference, Resolver, Surroundings, references_in
from vault_schema import is_sensitive_name
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.connect import Vault

SHORTEST = 8  # bytes; shorter ones would be found wherever nobody put them
_KEY = "vault.key"
_QUIET = ("env", "file", "cred")  # schemes that are looked up without asking or running anything


class Name(Record):
    """What a secret is: its field, with the entry's or credential's name; stage, or ``reference``; fingerprint."""

    field: str
    stage: str
    fingerprint: str


class Sought:
    """
    The secrets of one open vault.

    Args:
        vault: The vault. Its key is looked for too, where it is a text.

    Attributes:
        short: Fields whose secrets are too short to be looked for.
        variables: By fingerprint, the variables in which references look for a secret, and where it may be.
        files: The files in which references look for one.
    """

    def __init__(self, vault: Vault) -> None:
        self.short: list[str] = []
        self.variables: dict[str, set[str]] = {}
        self.files: list[Path] = []
        self._needles: list[tuple[Callable[[], bytes], Name]] = []
        self._longest = 1
        known: dict[str, Name] = {}
        for name, secret, reference in _secrets(vault):
            told = name.replaced(fingerprint=vault.file.fingerprint(secret))
            if reference is not None and reference.scheme == "env":
                self.variables.setdefault(told.fingerprint, set()).add(reference.body)
            elif reference is not None:
                self.files.append((vault.places.credentials_dir or Path("/")) / reference.body)
            if told.fingerprint in known:
                continue
            known[told.fingerprint] = told
            looked_for = secret if _long_enough(secret) else _with_username(vault, told.field, secret)
            if looked_for is None:
                self.short.append(told.field)
                continue
            for form in _forms(looked_for):
                self._longest = max(self._longest, len(form()))
                self._needles.append((form, told))

    def __repr__(self) -> str:
        return f"Sought({len(self._needles)} forms)"

    @property
    def overlap(self) -> int:
        """How many bytes the end of one piece and the beginning of the next may share a secret over."""
        return self._longest - 1

    def within(self, data: bytes) -> Iterator[tuple[int, Name]]:
        """Yield where each secret stands in *data*, and which it is."""
        for form, name in self._needles:
            at = data.find(form())
            while at >= 0:
                yield at, name
                at = data.find(form(), at + 1)


Found = tuple[Name, Secret, Reference | None]


def _secrets(vault: Vault) -> Iterator[Found]:
    yield from _sealed(vault)
    yield from _referred(vault)
    for credential in credentials(vault.state):
        yield from _granted(vault, credential)
    with suppress(McpVaultError):
        places = vault.places
        key = find_key(vault.document.header, env=vault.env, data_home=places.data_home, vault_path=places.vault_path)
        if key.kind == "text":
            yield Name(_KEY, "current", ""), key.secret, None


def _sealed(vault: Vault) -> Iterator[Found]:
    """Yield every version, those that the entry's address no longer fits included: they are no less secret."""
    for name in vault.names():
        for path in vault.file.sealed_fields(name):
            table, _, leaf = path.partition(".")
            for version in vault.file.table(name)[table][leaf]:
                with suppress(McpVaultError):
                    context = vault.file.seal_context(name, path, version)
                    opened = sealing.unseal(vault.file.keys.vault_key, version["sealed"], context)
                    yield Name(f"{name}.{path}", version["stage"], ""), opened, None


def _referred(vault: Vault) -> Iterator[Found]:
    """Yield what references stand for: those of secret fields, and elsewhere those that say to be of a secret."""
    around = Surroundings(env=vault.env, credentials_dir=vault.places.credentials_dir, schemes=_QUIET)
    for name in vault.names():
        fields = {path for path, _, held in vault.document.secrets(name) if isinstance(held, str)}
        for path, text in texts(vault.file.table(name)):
            for reference in references_in(text):
                secret = path in fields or reference.scheme == "cred" or is_sensitive_name(reference.body)
                if not secret or reference.scheme not in _QUIET:
                    continue
                with suppress(McpVaultError):
                    found = Resolver(server=name, surroundings=around).resolve(path, reference.text, secret=True)
                    if found:
                        yield Name(f"{name}.{path}", "reference", ""), found, reference


def _granted(vault: Vault, credential: str) -> Iterator[Found]:
    record = None
    with suppress(McpVaultError):
        record = TokenStore(vault.state, credential, host="", **sealing_of(vault.file).fields()).read()
    if record is None:
        return
    told = {
        "access_token": record.tokens and record.tokens.access_token,
        "refresh_token": record.tokens and record.tokens.refresh_token,
        "client_secret": record.registration and record.registration.client_secret,
        "registration_access_token": record.registration and record.registration.registration_access_token,
        "dpop_key": record.dpop_key,
    }
    for field, secret in told.items():
        if secret:
            yield Name(f"{credential}.{field}", "state", ""), secret, None


def _long_enough(secret: Secret) -> bool:
    return len(secret.reveal().encode()) >= SHORTEST


def _with_username(vault: Vault, field: str, password: Secret) -> Secret | None:
    """Return what HTTP Basic makes of a password that is too short to be looked for alone, if that is long enough."""
    name, _, path = field.partition(".")
    auth = vault.file.table(name).get("auth", {}) if name in vault.names() else {}
    username = str(auth.get("username") or "")
    if path != "auth.password" or not username or "${" in username:
        return None
    both = Secret(f"{username}:{password.reveal()}")
    return both if _long_enough(both) else None


def _forms(secret: Secret) -> list[Callable[[], bytes]]:
    """
    Return what makes the bytes of *secret*: as it is, and as JSON, URLs and base64 write it where that differs.

    Base64 packs three bytes into four characters: what it makes of the secret within a longer text, as in HTTP Basic
    or a Kubernetes Secret, depends on how many bytes of that stand before.
    """

    def plain() -> bytes:
        return secret.reveal().encode()

    def in_json() -> bytes:
        return json.dumps(secret.reveal())[1:-1].encode()

    def in_url() -> bytes:
        return quote(secret.reveal(), safe="").encode()

    def in_form() -> bytes:
        return quote_plus(secret.reveal()).encode()

    def in_base64(before: int, encode: Callable[[bytes], bytes]) -> bytes:
        data = b"\0" * before + plain()
        return encode(data)[-(-before * 8 // 6) : len(data) * 8 // 6]  # whole characters of the secret

    packed: list[Callable[[], bytes]] = [
        partial(in_base64, before, each) for each in (b64encode, urlsafe_b64encode) for before in range(3)
    ]
    forms: list[Callable[[], bytes]] = [plain]
    for other in (in_json, in_url, in_form, *packed):
        if all(other() != form() for form in forms):
            forms.append(other)
    return forms
