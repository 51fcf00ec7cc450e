"""Lists in a single response without a sign of more."""

from __future__ import annotations

import json

import pytest

from requests_iris import IncompleteListError, NotAListError
from requests_iris.known_styles import first_call, style_of
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, GRAPHQL, PLANS, QUERY
from .lists import answers


def test_a_single_response_with_exactly_one_list_is_read(sandbox, iris) -> None:
    assert list(iris.items(PLANS)) == list(iris.items(PLANS, items_path="servicePlans"))
    with pytest.raises(NotAListError, match=r"brand.*serialNumber"):
        list(iris.items(f"{ASSETS}/{sandbox.asset_ids[0]}"))


def test_a_prometheus_result_is_a_list(sandbox, iris) -> None:
    url = f"/api/time-series/v1/assets/{sandbox.asset_ids[0]}/prometheus/api/v1/query_range"
    params = {"query": "hours", "start": 0, "end": 10, "step": 1}
    (series,) = iris.items(url, params=params)
    assert len(series["values"]) == 11


def test_an_items_path_of_the_caller_wins(sandbox, iris) -> None:
    body = {"content": [1], "r": {"rows": [2]}}
    assert list(iris.items(answers(sandbox, body, body), items_path="r.rows")) == [2]


class TestAWholeListThatLooksOdd:
    @pytest.mark.parametrize(
        "body",
        [
            {"number": "A-17", "machines": [1]},
            {"number": 3, "totalPages": 1, "machines": [1]},
            {"totalElements": 1, "size": 20, "machines": [1]},
            {"links": [{"rel": "self", "href": "/api/odd"}], "machines": [1]},
            {
                **{"links": [{"rel": "self", "href": "/api/odd"}], "content": [1]},
                **{"number": 0, "size": 20, "totalElements": 1, "totalPages": 1},
            },
        ],
        ids=str,
    )
    def test_an_odd_single_response_is_read(self, sandbox, iris, body) -> None:
        assert list(iris.items(answers(sandbox, body))) == [1]

    def test_an_empty_list_may_count_as_one_page(self, sandbox, iris) -> None:
        body = {"content": [], "number": 0, "size": 20, "totalElements": 0, "totalPages": 1}
        assert list(iris.items(answers(sandbox, body))) == []

    def test_one_item_cannot_be_zero_pages(self, sandbox, iris) -> None:
        body = {"content": [1], "number": 0, "size": 20, "totalElements": 1, "totalPages": 0}
        with pytest.raises(IncompleteListError, match="are 0 pages"):
            list(iris.items(answers(sandbox, body)))


@pytest.mark.parametrize(
    "beside", [{"Links": [], "Errors": []}, {"next": ""}, {"data": {"isPartial": False}}], ids=str
)
def test_a_single_response_without_a_sign_of_more_is_whole(beside) -> None:
    assert style_of(first_call("GET", PLANS, {}), {"plans": [1], **beside}, None).total == 1


class TestALaterPageThatCannotBeFound:
    """A list with an unknown sign of more is refused."""

    @pytest.mark.parametrize(
        "more",
        [
            {"nextPage": 2},
            {"hasNext": True},
            {"has_more": True},
            {"limit": 1, "nextCursor": "b"},
            {"limit": 1, "offset": 0},
            {"limit": 1, "total": 9},
            {"totalCount": 9},
            {"@odata.nextLink": "/?skip=1"},
            {"_links": {"next": {"href": "/?skip=1"}}},
            {"links": {"next": "/?skip=1"}},
            {"paging": {"nextPageToken": "b"}},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("key", ["content", "plans"])
    def test_a_single_response_that_tells_of_more_is_refused(
        self, iris, sandbox, key, more
    ) -> None:
        sandbox.inject(Fault(status=200, body={key: [1], **more}), on="api")
        with pytest.raises(IncompleteListError, match="tells of more pages"):
            list(iris.items("/api/odd"))

    @pytest.mark.parametrize(
        "less",
        [
            {"nextPage": None, "hasNext": False, "total": 1, "links": {"next": None}},
            {"limit": 9, "after": None, "total": 1},
        ],
        ids=str,
    )
    def test_a_single_response_that_tells_of_its_end_is_read(self, iris, sandbox, less) -> None:
        sandbox.inject(Fault(status=200, body={"content": [1], **less}), on="api")
        assert list(iris.items("/api/odd")) == [1]

    @pytest.mark.parametrize("info", [{}, {"hasNextPage": None}, {"hasNextPage": "true"}])
    def test_a_connection_without_has_next_page_is_refused(self, iris, sandbox, info) -> None:
        connection = {"edges": [{"node": 1}], "pageInfo": {"endCursor": "a", **info}}
        sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
        with pytest.raises(NotAListError, match="hasNextPage"):
            list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_list_whose_link_header_has_a_next_page_is_not_whole(sandbox, iris) -> None:
    sandbox.inject(Fault(headers={"Link": '</plans?page=2>; rel="next"'}), on="api")
    with pytest.raises(IncompleteListError, match="Link header"):
        list(iris.items(PLANS))
    sandbox.inject(Fault(headers={"Link": '</plans>; rel="self"'}), on="api")
    assert list(iris.items(PLANS))


def test_a_list_whose_last_page_has_status_206_is_not_whole(sandbox, iris) -> None:
    sandbox.inject(Fault(status=206, body={"content": [1]}), on="api")
    with pytest.raises(IncompleteListError, match="206"):
        list(iris.items(PLANS))


def test_a_partial_response_is_an_error(sandbox, iris) -> None:
    sandbox.inject(Fault(reply={"isPartial": True}), on="api")
    with pytest.raises(IncompleteListError, match="isPartial"):
        list(iris.items(PLANS))


def test_a_list_of_samples_may_say_inside_that_it_is_partial() -> None:
    reply = {"data": {"isPartial": True, "result": [1]}}
    with pytest.raises(IncompleteListError, match="isPartial"):
        style_of(first_call("GET", PLANS, {}), reply, None)


class TestWhatIsMissing:
    """A response that reports a missing part."""

    @pytest.mark.parametrize(
        ("key", "body", "told"),
        [
            ("r.items", {"r": {"items": [1], "isPartial": True}}, "isPartial"),
            ("r.items", {"r": {"items": [1]}, "isPartial": True}, "isPartial"),
            (None, {"data": {"result": [1], "isPartial": True}}, "isPartial"),
            (None, {"plans": [1], "errors": [{"message": "no access to B"}]}, "no access to B"),
            (None, {"plans": [1], "errors": "no access"}, "no access"),
            (None, {"errors": [{"message": "no such query"}], "data": None}, "no such query"),
            (None, {"status": "error", "error": "too slow", "data": {"result": [1]}}, "too slow"),
        ],
        ids=str,
    )
    def test_a_response_that_reports_a_missing_part_is_refused(
        self, sandbox, iris, key, body, told
    ) -> None:
        with pytest.raises(IncompleteListError, match=told):
            list(iris.items(answers(sandbox, body), items_path=key))

    def test_a_later_page_that_reports_a_missing_part_is_refused(self, sandbox, iris) -> None:
        pages = {"r": [1], "after": "a"}, {"r": [2], "errors": [{"message": "no access"}]}
        with pytest.raises(IncompleteListError, match="page 2 of .* no access"):
            list(iris.items(answers(sandbox, *pages)))

    @pytest.mark.parametrize(
        ("key", "body"),
        [
            ("errors", {"errors": [1]}),
            (None, {"plans": [1], "errors": [], "isPartial": False, "status": "success"}),
            (None, {"plans": [1], "errors": None}),
        ],
    )
    def test_a_response_without_errors_is_read(self, sandbox, iris, key, body) -> None:
        assert list(iris.items(answers(sandbox, body), items_path=key)) == [1]


def test_errors_are_no_items(iris, sandbox) -> None:
    body = {"data": None, "errors": [{"message": "no"}]}
    sandbox.inject(Fault(status=200, body=body), on="api")
    with pytest.raises(IncompleteListError, match="reports errors: no"):
        list(iris.items(GRAPHQL, method="POST", data=json.dumps({"query": QUERY})))
