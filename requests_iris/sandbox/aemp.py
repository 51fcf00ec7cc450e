"""AEMP snapshots (ISO 15143-3): a page number in the path, and links.

A snapshot is XML, or JSON if the request's Accept header asks for JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from werkzeug import Response

from . import checks
from .fleet import Item
from .problems import Problem, json_response
from .server import Request

#: Items per page in IRIS.
PAGE_SIZE = 100

_NAMESPACE = "http://standards.iso.org/iso/15143/-3"
_SNAPSHOT_TIME = "2025-01-01T00:00:00Z"


@dataclass(slots=True)
class Habits:
    """How the server cuts and spells snapshots. Real servers differ here.

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


def snapshot(equipment: Sequence[Item], number: int, request: Request, habits: Habits) -> Response:
    """Page `number` (the first is 1) of all equipment."""
    size = habits.page_size
    last = max(-(-len(equipment) // size), 1)
    if not 1 <= number <= last:
        raise Problem(404, "not_found", f"There is no page {number}.")
    links = _links(request, number, last, habits)
    content = equipment[(number - 1) * size : number * size]
    lists = {"Links": links, "Equipment": content}
    if habits.lower_case:
        lists = {name.lower(): items for name, items in lists.items()}
    best = request.accept_mimetypes.best_match(("application/xml", "application/json"))
    if best == "application/json":
        return json_response({"version": "1", "snapshotTime": _SNAPSHOT_TIME, **lists})
    return Response(_xml(lists), content_type="application/xml")


def _links(request: Request, number: int, last: int, habits: Habits) -> list[Item]:
    pages = {"self": number, "prev": number - 1, "next": number + 1, "last": last}
    if number == 1:
        del pages["prev"]
    if number == last or not habits.next_link:
        del pages["next"]
    base = request.host_url.rstrip("/") + request.path.rpartition("/")[0]
    return [{"rel": rel, "href": f"{base}/{page}"} for rel, page in pages.items()]


def _xml(lists: Mapping[str, Sequence[Item]]) -> bytes:
    fleet = ElementTree.Element("Fleet", xmlns=_NAMESPACE, version="1", snapshotTime=_SNAPSHOT_TIME)
    for name, items in lists.items():
        for item in items:
            _grow(ElementTree.SubElement(fleet, name), item)
    text: bytes = ElementTree.tostring(fleet, encoding="utf-8", xml_declaration=True)
    return text


def _grow(parent: ElementTree.Element, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, Mapping):
            _grow(child, value)
        else:
            child.text = str(value)
