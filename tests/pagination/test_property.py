"""For any list, page size, workers and faults: the whole list in order, or an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_iris import IrisSession
from requests_iris.sandbox import OMIT, Fault, Sandbox

from ..support.clocks import SkippingClock
from ..support.depth import examples
from ..support.paths import QUERY
from .lists import LISTS, ids, the_whole, walkers

#: Faults that a list survives or reports.
FAULTS = [
    Fault(status=401),
    Fault(status=429),
    Fault(status=500),
    Fault(status=503),
    Fault(drop="before"),
    Fault(drop="after"),
    Fault(truncate=30),
]
ELSEWHERE = [{"rel": "last", "href": "https://127.0.0.1/9"}]
LOST = {"assets": {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}}
LIMITED = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 1}}]}
#: Responses whose errors show beside the other pages. Without a count, an empty page is the end.
LIES = {
    "pages": [{"number": 1}, {"content": []}, {"totalElements": 1}, {"isPartial": True}],
    "post": [{"number": 1}, {"content": []}, {"totalElements": 1}, {"isPartial": True}],
    "cursor": [{"content": OMIT}, {"after": {"id": 1}}, {"isPartial": True}],
    "aemp": [{"Equipment": OMIT}, {"Links": ELSEWHERE}, {"isPartial": True}],
    "graphql": [{"data": None}, {"data": LOST}, {"errors": [{"message": "no"}]}, LIMITED],
}
#: The arguments for a page size.
SIZES = {
    "pages": lambda size: {"params": {"size": size}},
    "post": lambda size: {"params": {"size": size}},
    "cursor": lambda size: {"params": {"limit": size}},
    "aemp": lambda size: {},
    "graphql": lambda size: {"json": {"query": QUERY, "variables": {"first": size}}},
}


def plans(name: str) -> st.SearchStrategy[list[Fault]]:
    """A plan for all requests: some requests without a fault, then a fault, and again."""
    fault = st.sampled_from([*FAULTS, *(Fault(reply=lie) for lie in LIES[name])])
    plan = st.lists(st.tuples(st.integers(0, 4), fault), max_size=6)
    return plan.map(lambda plan: [each for n, fault in plan for each in (*[Fault()] * n, fault)])


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Sandbox, IrisSession]]:
    with Sandbox() as sandbox, IrisSession(**sandbox.settings, clock=SkippingClock()) as iris:
        iris.verify = sandbox.ca_file
        yield sandbox, iris


@pytest.mark.parametrize("name", LISTS)
def test_any_list_is_read_whole_and_in_order_or_raises(shared, name) -> None:
    """The resume point of the walk leads to the rest of the list, wherever the walk ended."""
    sandbox, iris = shared
    url, arguments, kind = LISTS[name]

    @settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
    @given(
        machines=st.integers(0, 60),
        size=st.integers(1, 30),
        max_workers=st.integers(1, 8),
        plan=plans(name),
        next_link=st.booleans(),
        stop=st.one_of(st.none(), st.integers(0, 60)),
    )
    def holds(machines, size, max_workers, plan, next_link, stop) -> None:
        sandbox.machines = machines
        sandbox.aemp.page_size, sandbox.aemp.next_link = size, next_link
        for fault in plan:
            sandbox.inject(fault, on="api")
        begin = partial(iris.items, url, **{**arguments, **SIZES[name](size)})
        walk = begin(max_workers=max_workers)
        found = []
        try:
            found.extend(islice(walk, stop))
            assert len(found) == machines or stop is not None
        except requests.RequestException as error:
            assert plan
            # the first request of a list fails as `get()` fails
            assert getattr(error, "items_read", 0) == len(found)  # noqa: PT017
            assert getattr(error, "resume", None) == walk.resume  # noqa: PT017
        finally:
            sandbox.clear_faults()
            walk.close()
        assert walkers() == []
        assert walk.items_read == len(found)
        resume = json.loads(json.dumps(walk.resume, sort_keys=True))
        found += begin(max_workers=max_workers % 3 + 1, resume=resume)
        assert ids(found) == ids(the_whole(kind, machines))

    holds()
