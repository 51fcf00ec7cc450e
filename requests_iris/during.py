"""A value of a context variable for a block of code."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class During(Generic[_Value]):
    """Gives a context variable a value for a block. A call inside a hook sets its own value.

    Not a generator with ``@contextmanager``: contextlib sets an attribute of each exception, and
    the exception of a caller may be frozen.
    """

    __slots__ = ("_before", "_value", "_variable")

    def __init__(self, variable: ContextVar[_Value], value: _Value) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._before = self._variable.set(self._value)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._before)
