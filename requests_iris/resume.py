"""Resume points: where a list can be continued, in any process.

A resume point is a dict for JSON: the position of a page, the number of items of this page that
were handed out, and a mark of the list. The mark is a hash of method, path, parameters, body and
items_path, of the session's parameters, and of all other members. So a different list and a changed
resume point are refused.
This module does no I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .call import FACTS, Call, Position
from .errors import SettingError
from .known_styles import style_at

#: Bits of the largest number in a resume point. Python refuses to write much larger numbers.
LONGEST = 2000


class Point:
    """A page of a list, for resume points before and inside this page.

    :param call: the first request of the caller.
    :param position: the page, as in :attr:`Call.position`.
    """

    __slots__ = ("_call", "_hash", "_position")

    def __init__(self, call: Call, position: Position) -> None:
        self._call = call
        self._position = position
        self._hash: Any = None

    def at(self, items: int = 0) -> dict[str, Any]:
        """The resume point after `items` items of the page, as a new dict."""
        if self._hash is None:  # Two threads may calculate the same hash. This is harmless.
            self._hash = _hash_of(self._call, self._position)
        mark = self._hash.copy()
        inside = {}
        if items:
            inside = {"items": items}
            mark.update(repr(items).encode())
        return {**self._position, **inside, "list": mark.hexdigest()[:16]}


def end_of(call: Call, total: int | None) -> Point:
    """The point at the end of a list.

    :param total: the number of items of the whole list, or None if unknown.
    """
    known = {} if total is None else {"total": total}
    return Point(call, {"finished": True, **known})


class PagePoints(NamedTuple):
    """The resume points between the items of a page, and after the page.

    :ivar skipped: the number of items that an earlier run has handed out.
    :ivar items: the number of items of the whole page.
    """

    page: Point
    following: Point
    skipped: int
    items: int

    def after(self, items: int) -> dict[str, Any]:
        """The resume point after `items` more items.

        If an earlier run has handed out more items than the page has now, because pages were
        larger, the resume point is inside a following page.
        """
        done = self.skipped + items
        return self.page.at(done) if done < self.items else self.following.at(done - self.items)

    def end(self) -> dict[str, Any]:
        """The resume point inside the page, after the last item.

        The next run reads the page again, and sees whether the list has changed before the point.
        """
        return self.page.at(self.items)


@dataclass(frozen=True)
class Start:
    """Where a reading begins.

    :ivar call: the first request of this reading.
    :ivar resume: the resume point, or None without a resume point.
    :ivar items: the number of items of the first page that were handed out before.
    :ivar is_finished: whether the list was read to its end before.
    """

    call: Call
    resume: dict[str, Any] | None = None
    items: int = 0
    is_finished: bool = False

    @property
    def total(self) -> int | None:
        """The number of items of the whole list, if the resume point says so."""
        return None if self.resume is None else self.resume.get("total")


def resumed(call: Call, resume: Any) -> Start:
    """The start at a resume point.

    :raises SettingError: for any other value, and for the resume point of a different list.
    """
    found = _members_of(resume)
    if not found or Point(call, _page_of(found)).at(found.get("items", 0)) != found:
        raise SettingError(
            "resume must be a resume point of the same call, with the same path, parameters, body "
            "and items_path: the resume of a walk or of a ListError",
            setting="resume",
        )
    if "finished" in found:
        return Start(call, found, is_finished=True)
    page = _page_of(found)
    return Start(style_at(call, page).moved(call, page), found, found.get("items", 0))


def _page_of(resume: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resume.items() if name not in ("items", "list")}


def _members_of(resume: Any) -> dict[str, Any]:
    """A copy of a resume point, which the caller may change; empty if a member is malformed."""
    found = dict(resume) if isinstance(resume, Mapping) else {}
    is_plain = all(isinstance(name, str) and _is_plain(found[name]) for name in found)
    if not is_plain or not isinstance(found.get("list"), str):
        return {}
    items, is_last = found.get("items"), found.get("finished")
    page = _page_of(found)
    if is_last is not None:
        fits = is_last is True and items is None and page.keys() <= {"finished", "total"}
    elif items is not None:
        fits = type(items) is int and items > 0
    else:
        fits = not page.keys() <= FACTS
    return found if fits else {}


def _is_plain(value: Any) -> bool:
    """Whether a value can be a member of a resume point: text, a number, or True."""
    if isinstance(value, int):
        return value is not False and value.bit_length() <= LONGEST
    return isinstance(value, str)


def _hash_of(call: Call, position: Position) -> Any:
    """A hash of a page and its list."""
    there = style_at(call, position).unmoved(call, position)
    # Parameters with the same name keep their order: the order of two `sort` has a meaning.
    query = sorted(parse_qsl(urlsplit(there.url).query, True), key=itemgetter(0))
    # JSON may change the order of the members of a position.
    told = [there.method, there.path, query, _body_of(there), *sorted(position.items(), key=repr)]
    if there.items_path is not None:
        told.append(there.items_path)
    if there.session_query:
        told.append({"session": sorted(parse_qsl(there.session_query, True), key=itemgetter(0))})
    return hashlib.sha256(repr(told).encode())


def _body_of(call: Call) -> Any:
    """The body as sent, independent of types and order in the caller's objects."""
    body = call.body()
    if call.arguments.get("data") or body is None:
        return body.encode() if isinstance(body, str) else body
    return json.dumps(json.loads(body), sort_keys=True)
