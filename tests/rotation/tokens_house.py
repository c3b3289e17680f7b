"""An issuer's house with two grants: the entry ``robot`` has tokens of its own, to ``person`` somebody may log in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from issuer_house import IssuerHouse, issuer_house


@contextmanager
def tokens_house(home: Path, **policy: Any) -> Iterator[IssuerHouse]:
    """Make a vault in *home* with a machine's entry and a person's, the first with tokens."""
    with issuer_house(home, **policy) as made:
        made.with_secret()
        assert made.works()
        with made.open().change() as change:
            change.add_server("person", {"url": made.server.url, "auth": {"kind": "oauth"}})
        yield made


def refresh(house: IssuerHouse) -> str:
    """Refresh the person's tokens as a script does; return the access token."""
    house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10.0)
    return token(house, "person")


def token(house: IssuerHouse, name: str) -> str:
    """Return the access token at hand."""
    return house.open().authorization(name).tokens().access_token.reveal()


def active(house: IssuerHouse, value: str) -> bool:
    """Tell whether the issuer still honours a token."""
    return bool(house.issuer.introspect(value)["active"])
