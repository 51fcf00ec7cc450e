"""The cells of a CSV file: a row for each item, and no cell which a spreadsheet would run.

A spreadsheet takes a cell with ``=``, ``+``, ``-`` or ``@`` at the beginning for a formula. A
formula can send the table to a server or start a program, and every user with the right to name a
machine can write a formula. A single quote before the cell makes the cell text (OWASP, "CSV
Injection"). The quote protects programs which separate cells at commas, as the file does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

from .failures import CannotHold
from .json_text import Item, json_text

#: Levels of objects with columns of dotted names. Deeper objects are JSON in a cell.
LEVELS = 20
#: How a formula begins. The last character is the minus sign of typography.
_FORMULA = ("=", "+", "-", "@", "\N{MINUS SIGN}")
#: Characters which a spreadsheet may skip, or take for the end of a cell.
_BREAKS = ("\t", "\r", "\n")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *")


def row_of(item: Item) -> dict[str, Any]:
    """An item which is not an object, for example a bare id, is a row with the column `value`."""
    return item if isinstance(item, dict) else {"value": item}


def cells_of(item: Item) -> dict[str, str]:
    """The cells of a row by column. An object in an object has columns with dotted names.

    :raises CannotHold: if two members of the item belong into the same column.
    """
    row: dict[str, str] = {}
    for name, cell in _cells(row_of(item)):
        if name in row:
            raise CannotHold(
                f"CSV cannot hold this list, .jsonl can: an item has two values for {name!r}"
            )
        row[name] = cell
    return row


def quoted(cell: str) -> str:
    """`cell` with a single quote before it, if a spreadsheet could take it for a formula.

    Numbers do not change, for example ``-5``, ``+3.5`` and ``-1e5``.
    """
    return f"'{cell}" if _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    if cell.startswith(_BREAKS):
        return True
    first = next((each for each in cell if each.isprintable() and each != " "), "")
    # normalize() turns full-width and small characters into plain characters
    return normalize("NFKC", first).startswith(_FORMULA) and not _NUMBER.fullmatch(cell)


def _cells(members: dict[str, Any], prefix: str = "", level: int = 1) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        if isinstance(value, dict) and value and level < LEVELS:
            yield from _cells(value, f"{prefix}{name}.", level + 1)
        else:
            yield prefix + name, _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)
