"""The pagination styles of REST lists: page numbers and cursors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .fleet import Item
from .problems import violation

#: Items per page: when the request does not say, and at most.
DEFAULT_SIZE = 20
MAX_SIZE = 1000

_CURSOR_PREFIX = b"\xfb\xef\xff"


def page(items: Sequence[Item], args: Mapping[str, str]) -> dict[str, Any]:
    """Page numbers: `page` from 0, `size` (cut down to `MAX_SIZE`), `sort`."""
    size = min(_number(args, "size", DEFAULT_SIZE, least=1), MAX_SIZE)
    number = _number(args, "page", 0, least=0)
    content = ordered(items, args.get("sort", ""))[number * size : (number + 1) * size]
    return {
        "content": content,
        "number": number,
        "size": size,
        "numberOfElements": len(content),
        "totalElements": len(items),
        "totalPages": -(-len(items) // size),
    }


def cursor_page(items: Sequence[Item], args: Mapping[str, str]) -> dict[str, Any]:
    """Cursors: `limit`, and a cursor in `after` or `before`.

    No member says whether there are more pages: a page has an `after` if the page has content.
    """
    limit = min(_number(args, "limit", DEFAULT_SIZE, least=1), MAX_SIZE)
    start, end = _span(args, limit, len(items))
    content = ordered(items, args.get("sort", ""))[start:end]
    cursors = {"before": cursor(start), "after": cursor(start + len(content) - 1)}
    return {"content": content, "limit": limit, **(cursors if content else {})}


def _span(args: Mapping[str, str], limit: int, total: int) -> tuple[int, int]:
    if "after" in args and "before" in args:
        raise violation("before", "must not be given together with after")
    if "before" in args:
        end = position(args["before"], "before")
        return max(end - limit, 0), end
    start = position(args["after"], "after") + 1 if "after" in args else 0
    return start, min(start + limit, total)


def cursor(position: int) -> str:
    """The cursor of a position in a list: base64 that ends in "=" and often has a "+" or "/"."""
    return base64.b64encode(_CURSOR_PREFIX + f"{position:08}".encode()).decode()


def position(text: str, field: str) -> int:
    """The position that a cursor stands for."""
    try:
        digits = base64.b64decode(text, validate=True).removeprefix(_CURSOR_PREFIX)
    except (binascii.Error, ValueError):
        digits = b""
    if not digits.isdigit() or len(digits) > 18:
        raise violation(field, "must be a cursor from an earlier response")
    return int(digits)


def ordered(items: Sequence[Item], sort: str) -> list[Item]:
    """The items by the fields named in `sort`: `name,-description`, `+` for upwards.

    Items without a field come last, or first if the order is reversed.
    """
    result = list(items)
    for key in reversed(sort.split(",") if sort else []):
        # A "+" that was not encoded arrives as a space, and no field begins with a space.
        field = key[1:] if key[:1] in ("+", "-") else key
        if items and not any(field in item for item in items):
            raise violation("sort", f"must name fields of the items, not {field!r}")
        result.sort(key=lambda item: _rank(item.get(field)), reverse=key.startswith("-"))
    return result


def _rank(value: object) -> tuple[int, float, str]:
    """A key that orders every JSON value: numbers, texts, objects and lists, null."""
    if isinstance(value, (int, float)):
        return 0, value, ""
    if isinstance(value, str):
        return 1, 0, value
    return (3, 0, "") if value is None else (2, 0, json.dumps(value))


def _number(args: Mapping[str, str], field: str, default: int, *, least: int) -> int:
    try:
        number = int(args.get(field, default))
    except ValueError:
        raise violation(field, "must be a whole number") from None
    if number < least:
        raise violation(field, f"must be greater than or equal to {least}")
    return number
