"""The columns of a Parquet file, learnt from rows of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from .json_text import json_text

Row = dict[str, Any]

#: Levels of objects and lists in a column. Parquet files with more than about 45 levels of lists
#: can be written, but not read. Values with deeper nesting become JSON text.
LEVELS = 20


class Columns:
    """The type of each member: the common type of all values, or text with JSON."""

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType] = {}
        self._texts: set[str] = set()

    def learn(self, rows: list[Row]) -> None:
        """Take more rows into account."""
        for name in dict.fromkeys(name for row in rows for name in row):
            if name not in self._texts:
                self._learn(name, [row.get(name) for row in rows])

    def _learn(self, name: str, values: list[Any]) -> None:
        known = self._types.get(name, pa.null())
        try:
            self._types[name] = _common(known, _type_of(values))
        except (pa.ArrowException, OverflowError):
            self._types[name] = pa.string()
            self._texts.add(name)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(list(self._types.items()))

    def table(self, rows: list[Row]) -> pa.Table:
        arrays = [
            pa.array(self._values(name, rows), type=kind) for name, kind in self._types.items()
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _values(self, name: str, rows: list[Row]) -> Iterable[Any]:
        values = (row.get(name) for row in rows)
        if name not in self._texts:
            return values
        return (None if each is None else json_text(each) for each in values)


def _type_of(values: list[Any]) -> pa.DataType:
    """:raises pa.ArrowException: if the values have no common type, or are nested too deeply."""
    if any(_is_deep(value) for value in values):
        raise pa.ArrowNotImplementedError("Readers of Parquet have limits for nesting")
    return pa.array(values).type


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(LEVELS + 1):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type which holds the values of both types.

    :raises pa.ArrowException: if no type holds them, or Parquet cannot store the type.
    """
    fields = [pa.schema([("column", kind)]) for kind in (one, other)]
    common = pa.unify_schemas(fields, promote_options="permissive").field(0).type
    if _has_empty_struct(common):
        raise pa.ArrowNotImplementedError("Parquet has no object without members")
    return common


def _has_empty_struct(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and kind.num_fields == 0:
        return True
    return any(_has_empty_struct(kind.field(number).type) for number in range(kind.num_fields))
