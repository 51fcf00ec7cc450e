"""Form 3, AEMP (ISO 15143-3): the page number in the path, links, XML unless JSON is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from werkzeug import Response

from .fleet import Element
from .problems import Problem, reply
from .server import Request

#: Elements a page, as IRIS has it.
PAGE_SIZE = 100

_NAMESPACE = "http://standards.iso.org/iso/15143/-3"
_SNAPSHOT_TIME = "2025-01-01T00:00:00Z"


@dataclass
class Habits:
    """How the server cuts and spells its snapshots, which differs in the wild.

    Without `next_link` a page does not say which comes next, though `last` is still ahead.
    With `lower_case` the lists are called `links` and `equipment`.
    A page has `page_size` elements; no request can change it.
    """

    next_link: bool = True
    lower_case: bool = False
    page_size: int = PAGE_SIZE


def snapshot(
    equipment: Sequence[Element], number: int, request: Request, habits: Habits
) -> Response:
    """Page `number`, the first is 1, of all equipment."""
    size = habits.page_size
    last = max(-(-len(equipment) // size), 1)
    if not 1 <= number <= last:
        raise Problem(404, "not_found", f"There is no page {number}.")
    links = _links(request, number, last, habits)
    content = equipment[(number - 1) * size : number * size]
    lists = {"Links": links, "Equipment": content}
    if habits.lower_case:
        lists = {name.lower(): elements for name, elements in lists.items()}
    best = request.accept_mimetypes.best_match(("application/xml", "application/json"))
    if best == "application/json":
        return reply({"version": "1", "snapshotTime": _SNAPSHOT_TIME, **lists})
    return Response(_xml(lists), content_type="application/xml")


def _links(request: Request, number: int, last: int, habits: Habits) -> list[Element]:
    pages = {"self": number, "prev": number - 1, "next": number + 1, "last": last}
    if number == 1:
        del pages["prev"]
    if number == last or not habits.next_link:
        del pages["next"]
    base = request.host_url.rstrip("/") + request.path.rpartition("/")[0]
    return [{"rel": rel, "href": f"{base}/{page}"} for rel, page in pages.items()]


def _xml(lists: Mapping[str, Sequence[Element]]) -> bytes:
    fleet = ElementTree.Element("Fleet", xmlns=_NAMESPACE, version="1", snapshotTime=_SNAPSHOT_TIME)
    for name, elements in lists.items():
        for element in elements:
            _grow(ElementTree.SubElement(fleet, name), element)
    text: bytes = ElementTree.tostring(fleet, encoding="utf-8", xml_declaration=True)
    return text


def _grow(parent: ElementTree.Element, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, Mapping):
            _grow(child, value)
        else:
            child.text = str(value)
