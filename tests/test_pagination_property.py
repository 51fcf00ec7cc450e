"""For any list, page size, workers and faults: the whole list in order, or an exception."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import nullcontext
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from requests_iris import IrisSession, pagination
from requests_iris.sandbox import Fault, Sandbox

from .conftest import SkippingClock
from .test_pagination import FORMS, ids, the_whole, walkers

FAULTS = st.sampled_from(
    [
        Fault(),
        Fault(status=401),
        Fault(status=429),
        Fault(status=503),
        Fault(drop="before"),
        Fault(drop="after"),
        Fault(truncate=30),
        Fault(reply={"isPartial": True}),
        Fault(reply={"number": 1}),
        Fault(reply={"content": []}),
        Fault(reply={"totalElements": 1}),
    ]
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Sandbox, IrisSession]]:
    with Sandbox(machines=250) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        iris.adapters["https://"]._clock = SkippingClock()
        yield sandbox, iris


# Lists with a count only: elsewhere a reply that lies cannot be told from the end of the list.
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["pages", "post"]),
    machines=st.integers(0, 60),
    size=st.integers(1, 70),
    workers=st.integers(1, 8),
    faults=st.lists(FAULTS, max_size=6),
)
@example(name="pages", machines=60, size=30, workers=1, faults=[Fault(reply={"number": 1})])
@example(name="pages", machines=60, size=1, workers=8, faults=[Fault(reply={"totalElements": 1})])
def test_the_whole_list_or_an_exception(shared, name, machines, size, workers, faults) -> None:
    sandbox, iris = shared
    url, arguments, kind = FORMS[name]
    sandbox.machines = machines
    try:
        for fault in faults:
            sandbox.inject(fault, on="api")
        arguments = {**arguments, "params": {"size": size}}
        found = list(iris.items(url, workers=workers, **arguments))
        assert ids(found) == ids(the_whole(kind, machines))
    except requests.RequestException as error:
        assert faults
        # the first request fails as it does without a walk
        assert getattr(error, "elements_read", 0) <= machines  # noqa: PT017
    finally:
        sandbox.clear_faults()
        assert walkers() == []


class _Pages(BaseAdapter):
    """The network, faked: page lists of any length."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total

    def send(self, request: requests.PreparedRequest, *args: object, **kw: object):
        page = int(parse_qs(urlsplit(request.url).query).get("page", ["0"])[0])
        content = list(range(page * 1000, min(page * 1000 + 1000, self.total)))
        body = {"content": content, "number": page, "size": 1000, "totalElements": self.total}
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response._content = json.dumps(body).encode()
        return response

    def close(self) -> None:
        """Nothing to close."""


def _peak(total: int, workers: int) -> int:
    with requests.Session() as session:
        session.mount("https://", _Pages(total))
        found = pagination.pages(session.request, "https://example.org/list", workers=workers)
        tracemalloc.start()
        try:
            assert sum(1 for _ in pagination.items(found, nullcontext())) == total
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_long_list_takes_no_more_memory_than_a_short_one(workers) -> None:
    _peak(10_000, workers)
    assert _peak(200_000, workers) < 1.5 * _peak(20_000, workers)
