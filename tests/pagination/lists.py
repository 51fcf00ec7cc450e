"""The lists of the sandbox, and helpers for tests of lists."""

from __future__ import annotations

import json
import threading

from requests_iris.known_styles import first_call
from requests_iris.resume import Point
from requests_iris.sandbox import Fault
from requests_iris.sandbox.fleet import Fleet

from ..support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET, GRAPHQL, OPERATORS, QUERY

#: URL, arguments that make pages of ten where the style allows it, and the list of the fleet.
LISTS = {
    "pages": (ASSETS, {"params": {"size": 10}}, "assets"),
    "post": (
        EVENTS,
        {"method": "POST", "json": EVENTS_BODY, "params": [("size", 10)]},
        "events",
    ),
    "cursor": (OPERATORS, {"params": "limit=10"}, "operators"),
    "aemp": (f"{FLEET}/1", {}, "equipment"),
    "graphql": (
        GRAPHQL,
        {"method": "POST", "json": {"query": QUERY, "variables": {"first": 10}}},
        "assets",
    ),
}
#: The position in a resume point of each pagination style.
POSITIONS = {
    "pages": {"size": "10", "page": 3, "total": 250, "read": 30},
    "post": {"size": "10", "page": 3, "total": 250, "read": 30},
    "cursor": {"after": "b", "read": 10, "pages": 1},
    "aemp": {"number": 2, "last": 3, "read": 100},
    "graphql": {"endCursor": "b"},
}


def ids(items) -> list[str]:
    return [
        e["EquipmentHeader"]["EquipmentID"] if "EquipmentHeader" in e else e["id"] for e in items
    ]


def the_whole(name: str, machines: int = 250) -> list[dict]:
    """A whole list of the sandbox. The fleet is the same in every sandbox."""
    return getattr(Fleet(machines), name)


def walkers() -> list[str]:
    return [thread.name for thread in walking()]


def walking() -> list[threading.Thread]:
    """The worker threads of lists.

    Ctrl-C can prevent the start of a thread. Python then lists the thread for ever, with no ident.
    """
    threads = [each for each in threading.enumerate() if each.name.startswith("iris-pages")]
    return [each for each in threads if each.ident is not None]


def answers(sandbox, *bodies) -> str:
    """A path whose responses are `bodies`, in this order."""
    for body in bodies:
        sandbox.inject(Fault(status=200, body=body), on="api")
    return "/api/odd"


def resume_at(position, url, *, method="GET", **arguments):
    """The resume point at `position`, as read from JSON with the members sorted."""
    resume = Point(first_call(method, url, arguments), position).at()
    return json.loads(json.dumps(resume, sort_keys=True))
