"""
Frozen values with named fields, as ``dataclasses`` makes them, at a fraction of the start-up time.

``dataclasses`` imports ``inspect`` and compiles each class's methods: 5 % of a cron job's life.
Type checkers see the same as with it (PEP 681).
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """
    A value: its annotated names are its fields, a class attribute is the field's default.

    Defaults are shared by all instances, so they are immutable. Names that begin with ``_``
    are no fields. A field in ``_unprinted`` stays out of ``repr``.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _known: ClassVar[frozenset[str]] = frozenset()
    _needed: ClassVar[frozenset[str]] = frozenset()
    _unprinted: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own, given = [name for name in cls.__annotations__ if not name.startswith("_")], cls.__dict__
        cls._names = (*cls._names, *own)
        cls._known = frozenset(cls._names)
        cls._needed = cls._needed.union(own).difference(given)
        for name in cls._known.intersection(given):
            default = given[name]
            if callable(default) and hasattr(type(default), "__get__"):  # else it would come back as a method
                setattr(cls, name, staticmethod(default))

    def __init__(self, *values: Any, **named: Any) -> None:
        if values:
            given = dict(zip(self._names, values, strict=False))
            if len(given) < len(values) or not given.keys().isdisjoint(named):
                raise TypeError(f"{type(self).__name__}: too many values, or a field twice")
            named.update(given)
        if not self._needed <= named.keys() or not named.keys() <= self._known:
            wrong = sorted(self._needed - named.keys()) or sorted(named.keys() - self._known)
            raise TypeError(f"{type(self).__name__}: missing or unknown: {', '.join(wrong)}")
        self.__dict__.update(named)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields, in order."""
        return cls._names

    def replaced(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{**self.fields(), **changes})

    def fields(self) -> dict[str, Any]:
        """Return the fields and their values, in order."""
        return {name: getattr(self, name) for name in self._names}

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Record) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash((type(self), *self.fields().values()))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.fields().items() if name not in self._unprinted)
        return f"{type(self).__name__}({', '.join(shown)})"
