"""The lists that the tests walk over, and what they ask about them."""

from __future__ import annotations

import json
import os
import threading

from requests_iris.known_styles import first_call
from requests_iris.resume import resume_point
from requests_iris.sandbox import Fault
from requests_iris.sandbox.fleet import Fleet

from ..support.paths import ASSETS, EVENTS, FLEET, GRAPHQL, OPERATORS, QUERY

#: Examples of a hypothesis test: HYPOTHESIS_PROFILE=deep tries many more.
EXAMPLES = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 25

#: URL, arguments that make pages of ten where the style allows it, and the list of the fleet.
LISTS = {
    "pages": (ASSETS, {"params": {"size": 10}}, "assets"),
    "post": (EVENTS, {"method": "POST", "json": {}, "params": [("size", 10)]}, "events"),
    "cursor": (OPERATORS, {"params": "limit=10"}, "operators"),
    "aemp": (f"{FLEET}/1", {}, "equipment"),
    "graphql": (
        GRAPHQL,
        {"method": "POST", "json": {"query": QUERY, "variables": {"first": 10}}},
        "assets",
    ),
}
#: What walks over the forms of lists stop at.
POSITIONS = {
    "pages": {"size": "10", "page": 3, "total": 250},
    "post": {"size": "10", "page": 3, "total": 250},
    "cursor": {"after": "b"},
    "aemp": {"number": 2},
    "graphql": {"endCursor": "b"},
}


def ids(items) -> list[str]:
    return [
        e["EquipmentHeader"]["EquipmentID"] if "EquipmentHeader" in e else e["id"] for e in items
    ]


def the_whole(name: str, machines: int = 250) -> list[dict]:
    """One of the sandbox's lists, which are the same each time."""
    return getattr(Fleet(machines), name)


def walkers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("iris-pages")]


def answers(sandbox, *bodies) -> str:
    """An address that answers with these, one after the other."""
    for body in bodies:
        sandbox.inject(Fault(status=200, body=body), on="api")
    return "/api/odd"


def resume_at(position, url, *, method="GET", **arguments):
    """The resume point of an error there; JSON may bring its members back in another order."""
    resume = resume_point(first_call(method, url, arguments), position)
    return json.loads(json.dumps(resume, sort_keys=True))
