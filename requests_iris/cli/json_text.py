"""Items and responses as JSON text (RFC 8259)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import IO, Any

from ..text import visible
from .failures import CannotWrite

#: One element of a list; nearly always a JSON object.
Item = Any


def json_text(item: Item, encoding: str = "utf-8", **layout: Any) -> str:
    """Return JSON, in ASCII if `encoding` cannot hold the text, for example half a surrogate pair.

    :param layout: arguments of :func:`json.dumps`, for example ``indent``.
    :raises CannotWrite: for NaN, for an infinite number, and for items nested too deeply.
    """
    try:
        text = json.dumps(item, ensure_ascii=False, allow_nan=False, **layout)
    except RecursionError:
        raise CannotWrite("is nested too deeply to be written") from None
    except ValueError:
        raise CannotWrite(_about_number(item)) from None
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(item, allow_nan=False, **layout)
    return text


def numbered_texts(
    items: Iterable[Item], encoding: str = "utf-8", *, first: int = 1
) -> Iterator[str]:
    """Yield the JSON of each item.

    :param first: the number of the first item.
    :raises CannotWrite: with the number of the item.
    """
    for number, item in enumerate(items, first):
        try:
            text = json_text(item, encoding)
        except CannotWrite as error:
            raise CannotWrite(f"Item {number} {error}.") from None
        yield text


def for_terminal(text: str) -> str:
    """JSON with the same value as `text`, in which every character can be seen.

    Control characters could move the cursor or change the colours of a terminal, and bidirectional
    characters could reorder a text.
    """
    return "".join(visible(text, _json_escape))


def json_lines(items: Iterable[Item], file: IO[bytes], *, raw: bool = False) -> None:
    """Write a line of JSON for each item.

    :param raw: whether a terminal gets control characters without escapes.
    """
    for text in _shown(items, file, raw):
        file.write(text + b"\n")


def json_array(items: Iterable[Item], file: IO[bytes], *, raw: bool = False) -> None:
    """Write one JSON array, with a line for each item.

    :param raw: whether a terminal gets control characters without escapes.
    """
    before = b"["
    for text in _shown(items, file, raw):
        file.write(before + b"\n" + text)
        before = b","
    file.write(b"[]\n" if before == b"[" else b"\n]\n")


def _shown(items: Iterable[Item], file: IO[bytes], raw: bool) -> Iterator[bytes]:
    escaped = file.isatty() and not raw
    for text in numbered_texts(items):
        yield (for_terminal(text) if escaped else text).encode()


def _json_escape(character: str) -> str:
    if character == "\n":  # belongs to the layout: JSON escapes line breaks in strings
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _about_number(item: Item) -> str:
    for path, value in _members(item):
        if isinstance(value, float) and not math.isfinite(value):
            where = f"at {path!r} " if path else ""
            return (
                f"has {where}NaN or a number beyond 1.8e308 (shown as {value}), "
                "which JSON cannot hold"
            )
    return "has a value that JSON cannot hold"


def _members(item: Item) -> Iterator[tuple[str, Any]]:
    """Every value in `item` with a path, for example ``telemetry.hours[3]``, in order."""
    pending: list[tuple[str, Any]] = [("", item)]
    while pending:
        path, value = pending.pop()
        yield path, value
        if isinstance(value, dict):
            inner = [
                (f"{path}.{name}" if path else str(name), each) for name, each in value.items()
            ]
        elif isinstance(value, list):
            inner = [(f"{path}[{index}]", each) for index, each in enumerate(value)]
        else:
            continue
        pending += reversed(inner)
