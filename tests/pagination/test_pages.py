"""Lists whose pages have numbers, and tell how many items there are."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from requests_iris import IncompleteListError, ListError
from requests_iris.known_styles import first_call, style_of
from requests_iris.sandbox import OMIT, Fault

from ..support.paths import ASSETS
from .lists import ids, resume_at


@pytest.mark.parametrize("workers", [1, 8])
def test_every_request_for_a_numbered_page_has_the_arguments_of_the_caller(
    sandbox, iris, workers
) -> None:
    """The server gives at most 1000 items per page, and says so in its response."""
    sandbox.machines = 2001
    params = {"size": 2000, "sort": "name"}
    assert len(list(iris.items(ASSETS, params=params, max_workers=workers))) == 2001
    queries = [parse_qs(seen.query) for seen in sandbox.seen if seen.server == "api"]
    assert [(query["size"], query["sort"]) for query in queries] == [(["2000"], ["name"])] * 3


def test_a_server_may_make_smaller_pages_than_requested(sandbox, iris) -> None:
    """The sandbox gives at most 1000 items per page, as IRIS does."""
    assert len(list(iris.items(ASSETS, params={"size": 5000}))) == 250


def test_a_list_can_be_read_from_a_page_in_the_middle(iris, sandbox) -> None:
    found = ids(iris.items(ASSETS, params={"size": 100, "page": 1}))
    assert tuple(found) == sandbox.asset_ids[100:]


def test_a_page_beyond_the_last_page_is_empty(iris) -> None:
    told: list[tuple[int, int | None]] = []
    arguments = {"params": {"size": 100, "page": 9}, "progress": lambda *n: told.append(n)}
    assert (list(iris.items(ASSETS, **arguments)), told) == ([], [(0, 0)])


def test_an_empty_list_may_have_a_page_size_of_0(sandbox, iris) -> None:
    body = {"content": [], "number": 0, "size": 0, "totalElements": 0, "totalPages": 0}
    sandbox.inject(Fault(status=200, body=body), on="api")
    assert list(iris.items("/api/odd")) == []


def test_a_page_that_is_no_number_counts_as_the_first_page() -> None:
    reply = {"content": [1], "number": 0, "size": 1, "totalElements": 1}
    assert style_of(first_call("GET", ASSETS, {"params": "page=x"}), reply, None).total == 1
    with pytest.raises(IncompleteListError, match="no size and totalElements"):
        style_of(first_call("GET", ASSETS, {}), {**reply, "totalElements": True}, None)


@pytest.mark.parametrize("links", [[], None])
def test_a_list_without_links_continues_by_its_counts(sandbox, iris, links) -> None:
    """Such a list used to pass for an AEMP list that ends here."""
    sandbox.inject(Fault(reply={"links": links}), on="api", times=3)
    assert len(list(iris.items(ASSETS, params={"size": 100}))) == 250


def test_a_link_header_may_name_the_next_page(sandbox, iris) -> None:
    sandbox.inject(Fault(headers={"Link": '</assets?page=1>; rel="next"'}), on="api", times=2)
    assert len(list(iris.items(ASSETS, params={"size": 100}))) == 250


def test_a_number_in_the_path_does_not_make_an_aemp_list(sandbox, iris) -> None:
    """A resume point of such a path is a page number, and no AEMP page."""
    body = {"content": [1], "number": 1, "size": 10, "totalElements": 11}
    sandbox.inject(Fault(status=200, body=body), on="api")
    resume = resume_at({"page": 1, "size": 10, "total": 11}, "/api/sites/42")
    assert list(iris.items("/api/sites/42", resume=resume)) == [1]


@pytest.mark.parametrize("member", ["totalElements", "totalPages", "number"])
def test_a_page_needs_its_counts(sandbox, iris, member) -> None:
    sandbox.inject(Fault(status=200, body={"content": [1], member: 1}), on="api")
    with pytest.raises(IncompleteListError, match="no size and totalElements"):
        list(iris.items("/api/odd"))


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(
    "reply", [{"number": 1}, {"totalElements": 1}, {"size": 1}, {"size": 0, "content": []}]
)
def test_a_first_page_with_wrong_counts_is_an_error(sandbox, iris, reply, workers) -> None:
    sandbox.inject(Fault(reply=reply), on="api")
    walk = iris.items(ASSETS, params={"size": 10}, max_workers=workers)
    with pytest.raises(IncompleteListError):
        next(walk)


@pytest.mark.parametrize(
    "reply",
    [
        {"number": 5},
        {"totalElements": 251},
        {"size": 11},
        {"size": 0, "content": []},
        {"content": []},
        {"content": [{"id": "x"}] * 9},
        {"content": [{"id": "x"}] * 11},
        {"totalElements": OMIT},
        {"content": OMIT},
    ],
)
def test_a_page_that_does_not_fit_is_an_error_and_may_fit_later(sandbox, iris, reply) -> None:
    walk = iris.items(ASSETS, params={"size": 10})
    found = [next(walk)]
    sandbox.inject(Fault(reply=reply), on="api")
    with pytest.raises(ListError) as caught:
        found.extend(walk)
    error = caught.value
    assert (error.pages_read, error.items_read, error.resume) == (1, 10, walk.resume)
    assert error.response.json()["numberOfElements"] == 10
    found += iris.items(ASSETS, params={"size": 10}, resume=error.resume)
    assert ids(found) == list(sandbox.asset_ids)


@pytest.mark.parametrize("more", [1, -1])
@pytest.mark.parametrize("workers", [1, 8])
def test_a_list_that_changes_on_the_way_is_an_error(sandbox, iris, workers, more) -> None:
    walk = iris.items(ASSETS, params={"size": 10}, max_workers=workers)
    next(walk)
    sandbox.machines += more
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert (caught.value.resume, walk.resume) == (None, None)
