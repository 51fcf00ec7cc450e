"""A list does not keep pages after handing their items out."""

from __future__ import annotations

import gc
import json
import tracemalloc
import weakref
from contextlib import nullcontext
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests import Response
from requests.adapters import BaseAdapter

from requests_iris import pagination


@pytest.mark.parametrize("workers", [1, 8])
def test_a_page_is_freed_when_the_next_page_is_used(iris, style, workers) -> None:
    url, arguments, _ = style
    walk = iris.pages(url, max_workers=workers, **arguments)
    first = weakref.ref(next(walk))
    next(walk)
    gc.collect()
    assert first() is None


def test_a_page_is_freed_while_the_next_page_is_read(iris, style) -> None:
    url, arguments, _ = style
    responses: list[weakref.ref[Response]] = []
    kept = []

    def look(response: Response, **_: object) -> None:
        gc.collect()
        kept.extend(each for each in responses if each() is not None)
        responses.append(weakref.ref(response))

    walk = iris.items(url, hooks={"response": look}, **arguments)
    # some pages are enough: among all tests each collection takes long
    any(len(responses) == 5 for _item in walk)
    assert len(responses) > 1
    assert kept == []


class _Pages(BaseAdapter):
    """The network, faked: page lists of any length.

    Large pages, beside which the caches of the standard library, which fill up, are small.
    """

    SIZE = 4000
    CONTENT = json.dumps(list(range(SIZE)))

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.total = pages * self.SIZE

    def send(self, request: requests.PreparedRequest, *args: object, **kw: object):
        page = int(parse_qs(urlsplit(request.url).query).get("page", ["0"])[0])
        counts = {"number": page, "size": self.SIZE, "totalElements": self.total}
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response._content = f'{{"content": {self.CONTENT}, {json.dumps(counts)[1:]}'.encode()
        return response

    def close(self) -> None:
        """Nothing to close."""


def _peak(number: int, workers: int) -> int:
    with requests.Session() as session:
        session.mount("https://", pages := _Pages(number))
        reading = pagination.begin(session.request, "https://example.org/list", max_workers=workers)
        tracemalloc.start()
        try:
            assert sum(1 for _ in pagination.items(reading, nullcontext())) == pages.total
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_long_list_takes_no_more_memory_than_a_short_one(workers) -> None:
    _peak(20, workers)
    assert _peak(60, workers) < 1.5 * _peak(20, workers)
