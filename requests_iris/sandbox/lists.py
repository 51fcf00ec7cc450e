"""The list forms that REST lists have: pages, and cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from .fleet import Element
from .problems import violation

#: Elements a page when the request does not say, and at most.
DEFAULT_SIZE = 20
MAX_SIZE = 1000


def page(elements: Sequence[Element], args: Mapping[str, str]) -> dict[str, Any]:
    """Form 1: `page` from 0, `size` (a larger one than allowed is cut down), `sort`."""
    size = min(_number(args, "size", DEFAULT_SIZE, least=1), MAX_SIZE)
    number = _number(args, "page", 0, least=0)
    content = ordered(elements, args.get("sort", ""))[number * size : (number + 1) * size]
    return {
        "content": content,
        "number": number,
        "size": size,
        "numberOfElements": len(content),
        "totalElements": len(elements),
        "totalPages": -(-len(elements) // size),
    }


def cursor_page(elements: Sequence[Element], args: Mapping[str, str]) -> dict[str, Any]:
    """Form 2: `limit`, and `after` or `before` a cursor.

    No member tells whether there is more: a page has an `after` as long as it has content.
    """
    limit = min(_number(args, "limit", DEFAULT_SIZE, least=1), MAX_SIZE)
    start, end = _span(args, limit, len(elements))
    content = ordered(elements, args.get("sort", ""))[start:end]
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


def cursor(place: int) -> str:
    """A place in a list as a cursor: base64 that ends in "=" and often has a "+" or "/"."""
    return base64.b64encode(b"\xfb\xef\xff" + f"{place:08}".encode()).decode()


def position(text: str, field: str) -> int:
    """The place that a cursor stands for."""
    try:
        return int(base64.b64decode(text, validate=True).removeprefix(b"\xfb\xef\xff"))
    except (binascii.Error, ValueError):
        raise violation(field, "must be a cursor from an earlier reply") from None


def ordered(elements: Sequence[Element], sort: str) -> list[Element]:
    """The elements by the fields named in `sort`: `name,-description`, `+` for upwards."""
    result = list(elements)
    for key in reversed(sort.split(",") if sort else []):
        # A "+" that was not encoded arrives as a space, and is no field's sign.
        field = key[1:] if key[:1] in ("+", "-") else key
        if not all(field in element for element in result):
            raise violation("sort", f"must name fields of the elements, not {field!r}")
        result.sort(key=itemgetter(field), reverse=key.startswith("-"))
    return result


def _number(args: Mapping[str, str], field: str, default: int, *, least: int) -> int:
    try:
        number = int(args.get(field, default))
    except ValueError:
        raise violation(field, "must be a whole number") from None
    if number < least:
        raise violation(field, f"must be greater than or equal to {least}")
    return number
