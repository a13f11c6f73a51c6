"""``dataclass`` of the standard library, made for fast imports.

Python 3.11 writes and compiles six functions for every frozen dataclass, 0.6 ms each: a quarter of the time of a build
after one edit. Here only ``__init__`` is compiled, and what compares, hashes and shows a value is shared by
all classes. Nothing prevents an assignment when the program runs; the type checker, for which this module is the
standard library's own, refuses it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool = False, slots: bool = False, **options: bool) -> Any:
        """Return a decorator as ``dataclasses.dataclass`` does; lighter for classes that are frozen, with slots."""
        if not (frozen and slots) or options:
            return dataclasses.dataclass(frozen=frozen, slots=slots, **options)
        return _frozen

    def _frozen(cls: type) -> type:
        made = dataclasses.dataclass(cls, repr=False, eq=False, slots=True)
        names = [field.name for field in dataclasses.fields(made)]
        made.__match_args__ = tuple(names)
        made._values = staticmethod(attrgetter(*names)) if names else staticmethod(lambda _: ())
        made.__eq__, made.__hash__ = _equal, _hash
        if "__repr__" not in cls.__dict__:
            made.__repr__ = _repr
        return made


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._values(self) == self._values(other)


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{self.__class__.__qualname__}({shown})"
