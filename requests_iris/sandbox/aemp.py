"""AEMP snapshots and series (ISO 15143-3): a page number in the path, and links.

A page is XML, or JSON if the request's Accept header asks for JSON.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from werkzeug import Response

from . import checks
from .fleet import Fleet, Item, measurement, measurement_times
from .problems import Problem, json_response, violation
from .server import Request
from .times import time_of

#: Items per page in IRIS.
PAGE_SIZE = 100
#: The longest time from start to end of a series.
LONGEST_SERIES = timedelta(days=14)

_NAMESPACE = "http://standards.iso.org/iso/15143/-3"
_SNAPSHOT_TIME = "2025-01-01T00:00:00Z"


@dataclass(slots=True)
class Habits:
    """How the server cuts and spells snapshots and series. Real servers differ here.

    next_link: (bool, default True) False: a page has no link to the next page, although `last` is
        still ahead.
    lower_case: (bool, default False) True: the lists are called `links` and `equipment`.
    page_size: (int, default 100) The number of items per page. No request can change the size.

    A test may set the three attributes at any time. Any unknown name raises an `AttributeError`.
    """

    next_link: bool = True
    lower_case: bool = False
    page_size: int = PAGE_SIZE

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HABITS:
            raise AttributeError(f"The AEMP habits are {', '.join(_HABITS)}, not {name}.")
        object.__setattr__(self, name, _HABITS[name](value))


_HABITS: dict[str, Callable[[object], object]] = {
    "next_link": lambda value: checks.flag("next_link", value),
    "lower_case": lambda value: checks.flag("lower_case", value),
    "page_size": lambda value: checks.whole_number("page_size", value, least=1),
}


class LateData:
    """The times of items that came late, by machine and data point. A lock guards the lists."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[tuple[int, str], list[datetime]] = defaultdict(list)

    def add(self, machine: int, data_point: str, times: Sequence[datetime]) -> None:
        with self._lock:
            for time in times:
                insort(self._times[machine, data_point], time)

    def between(
        self, machine: int, data_point: str, start: datetime, end: datetime
    ) -> list[datetime]:
        with self._lock:
            found = self._times.get((machine, data_point), [])
            return [time for time in found if start <= time <= end]


def snapshot(equipment: Sequence[Item], number: int, request: Request, habits: Habits) -> Response:
    """Page `number` (the first is 1) of all equipment."""
    return _page("Fleet", "Equipment", equipment, number, request, habits)


def series(
    fleet: Fleet,
    late: LateData,
    request: Request,
    habits: Habits,
    *,
    pin: str,
    data_point: str,
    start: str,
    end: str,
    number: int,
) -> Response:
    """Page `number` of a series: the items from `start` to `end`, both times included.

    The list has the name of the data point with a small first letter.
    """
    since, until = time_of("start", start), time_of("end", end)
    if since > until:
        raise violation("end", "must not be before start")
    if until - since > LONGEST_SERIES:
        raise violation("end", f"must be at most {LONGEST_SERIES.days} days after start")
    machine = fleet.number_of(pin)
    if machine is None or not data_point.isidentifier():
        raise Problem(404, "not_found", "There is no such machine or data point.")
    late_times = late.between(machine, data_point, since, until)
    times = sorted([*measurement_times(since, until), *late_times])
    items = [measurement(machine, data_point, time) for time in times]
    name = data_point[:1].lower() + data_point[1:]
    return _page(f"{data_point}Messages", name, items, number, request, habits)


def _page(
    root: str, name: str, items: Sequence[Item], number: int, request: Request, habits: Habits
) -> Response:
    size = habits.page_size
    last = max(-(-len(items) // size), 1)
    if not 1 <= number <= last:
        raise Problem(404, "not_found", f"There is no page {number}.")
    lists = {
        "Links": _links(request, number, last, habits),
        name: items[(number - 1) * size : number * size],
    }
    if habits.lower_case:
        lists = {each[:1].lower() + each[1:]: values for each, values in lists.items()}
    best = request.accept_mimetypes.best_match(("application/xml", "application/json"))
    if best == "application/json":
        return json_response({"version": "1", "snapshotTime": _SNAPSHOT_TIME, **lists})
    return Response(_xml(root, lists), content_type="application/xml")


def _links(request: Request, number: int, last: int, habits: Habits) -> list[Item]:
    pages = {"self": number, "prev": number - 1, "next": number + 1, "last": last}
    if number == 1:
        del pages["prev"]
    if number == last or not habits.next_link:
        del pages["next"]
    base = request.host_url.rstrip("/") + request.encoded_path.rpartition("/")[0]
    return [{"rel": rel, "href": f"{base}/{page}"} for rel, page in pages.items()]


def _xml(root: str, lists: Mapping[str, Sequence[Item]]) -> bytes:
    top = ElementTree.Element(root, xmlns=_NAMESPACE, version="1", snapshotTime=_SNAPSHOT_TIME)
    for name, items in lists.items():
        for item in items:
            _grow(ElementTree.SubElement(top, name), item)
    text: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return text


def _grow(parent: ElementTree.Element, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, Mapping):
            _grow(child, value)
        else:
            child.text = str(value)
