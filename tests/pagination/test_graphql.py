"""Connections of GraphQL. The variables of a query lead to the next page."""

from __future__ import annotations

import json

import pytest

from requests_iris import IncompleteListError, NotAListError
from requests_iris.graphql import Query
from requests_iris.known_styles import first_call, style_of
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, GRAPHQL, QUERY
from .lists import LISTS, ids


@pytest.mark.parametrize(
    ("query", "said", "first"),
    [(QUERY, {}, {"first": 100}), (QUERY, {"first": 7}, {"first": 7}), ("{ assets }", {}, {})],
)
def test_a_query_that_declares_first_gets_a_page_size(sandbox, iris, query, said, first) -> None:
    last = {"edges": [], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": last}}), on="api")
    list(iris.items(GRAPHQL, method="POST", json={"query": query, "variables": said}))
    assert json.loads(sandbox.seen[-1].body)["variables"] == first


def test_a_query_may_have_a_space_after_the_name_of_a_variable() -> None:
    call = first_call("POST", GRAPHQL, {"json": {"query": "query ($first : Int) { assets }"}})
    assert call.json["variables"] == {"first": 100}


def test_the_name_of_a_method_may_be_in_lower_case(iris) -> None:
    arguments = {"method": "post", "json": {"query": QUERY}}
    assert len(list(iris.items(GRAPHQL, **arguments))) == 250


def test_only_a_post_is_a_graphql_query(iris) -> None:
    assert len(list(iris.items(ASSETS, json={"query": QUERY}))) == 250


def test_a_connection_may_have_nodes_instead_of_edges(sandbox, iris) -> None:
    found = {"nodes": [{"id": "1"}, {"id": "2"}], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"site": {"machines": found}}}), on="api")
    query = {"query": "{ site { machines { nodes { id } pageInfo { hasNextPage } } } }"}
    assert ids(iris.items(GRAPHQL, method="POST", json=query)) == ["1", "2"]


@pytest.mark.parametrize("edge", [None, "x", {"cursor": "x"}])
def test_an_edge_without_its_node_is_an_error(sandbox, iris, edge) -> None:
    connection = {"edges": [edge], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
    with pytest.raises(IncompleteListError, match="an edge without its node"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_connection_needs_its_page_info() -> None:
    call = first_call("POST", GRAPHQL, {"json": {"query": QUERY}})
    with pytest.raises(NotAListError, match="holds 0 connections"):
        style_of(call, {"data": {"assets": {"edges": [], "pageInfo": None}}}, None)


def test_two_connections_in_a_query_are_refused(sandbox, iris) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"a": fields, "b": fields}}), on="api")
    with pytest.raises(NotAListError, match="2 connections"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_query_without_after_is_refused_if_the_list_has_more_pages(sandbox, iris) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": "x"}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": fields}}), on="api")
    with pytest.raises(NotAListError, match=r"\$after"):
        list(iris.items(GRAPHQL, method="POST", json={"query": "{ assets }"}))


@pytest.mark.parametrize("cursor", [None, "", "same"])
def test_a_next_page_without_a_new_cursor_is_an_error(sandbox, iris, cursor) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": cursor}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": fields}}), on="api")
    variables = {"first": 10, "after": "same"}
    with pytest.raises(IncompleteListError, match="no cursor"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY, "variables": variables}))


def test_a_connection_that_goes_in_a_circle_is_an_error(sandbox, iris) -> None:
    for cursor in ("a", "b", "a", "b"):
        info = {"hasNextPage": True, "endCursor": cursor}
        page = {"edges": [{"node": 1}], "pageInfo": info}
        sandbox.inject(Fault(status=200, body={"data": {"assets": page}}), on="api")
    with pytest.raises(IncompleteListError, match="second time"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_later_page_without_its_connection_is_an_error(sandbox, iris) -> None:
    url, arguments, _ = LISTS["graphql"]
    walk = iris.pages(url, **arguments)
    next(walk)
    sandbox.inject(Fault(status=200, body={"data": {}}), on="api")
    with pytest.raises(IncompleteListError, match="no connection"):
        list(walk)


def test_a_connection_may_have_a_total(sandbox, iris) -> None:
    page = {"nodes": [1], "pageInfo": {"hasNextPage": False}, "totalCount": 1}
    sandbox.inject(Fault(status=200, body={"data": {"assets": page}}), on="api")
    told: list[tuple[int, int | None]] = []
    query = {"query": QUERY}
    list(iris.items(GRAPHQL, method="POST", json=query, progress=lambda *n: told.append(n)))
    assert told == [(1, 1)]


class TestTheTotalOfAConnection:
    def walk(self, sandbox, iris, *totals, query=QUERY, **variables):
        for number, total in enumerate(totals, 1):
            info = {"hasNextPage": number < len(totals), "endCursor": str(number)}
            connection = {"nodes": [{"id": number}], "pageInfo": info, "totalCount": total}
            sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
        body = {"query": query, "variables": variables}
        told: list[tuple[int, int | None]] = []
        progress = lambda *counts: told.append(counts)  # noqa: E731
        found = list(iris.items(GRAPHQL, method="POST", json=body, progress=progress))
        return len(found), told[-1][1]

    def test_the_total_of_a_connection_is_reported(self, sandbox, iris) -> None:
        assert self.walk(sandbox, iris, 2, 2) == (2, 2)

    def test_a_connection_with_fewer_items_than_its_total_is_refused(self, sandbox, iris) -> None:
        with pytest.raises(IncompleteListError, match="page 2 of .* after 2 items of 5"):
            self.walk(sandbox, iris, 5, 5)

    def test_a_total_of_a_connection_that_changes_is_refused(self, sandbox, iris) -> None:
        with pytest.raises(IncompleteListError, match="totalCount was 2, and is 3"):
            self.walk(sandbox, iris, 2, 3)

    @pytest.mark.parametrize("place", ["before: $b", "last: 2", "offset: 3", 'after: "b"'])
    def test_the_total_of_a_connection_is_not_used_if_the_query_begins_later(
        self, sandbox, iris, place
    ) -> None:
        query = f"query ($after: String) {{ assets({place}) {{ nodes {{ id }} }} }}"
        assert self.walk(sandbox, iris, 5, query=query) == (1, None)

    def test_the_total_of_a_connection_is_not_used_after_a_cursor(self, sandbox, iris) -> None:
        assert self.walk(sandbox, iris, 5, after="b") == (1, None)


@pytest.mark.parametrize(
    ("query", "after", "before", "refused"),
    [
        ("query { assets(last: 10) { edges { node { id } } } }", None, True, True),
        ("query { assets(last: 10) { edges { node { id } } } }", None, False, False),
        ("query { assets(after: $x) { edges { node { lastSeen: seen } } } }", None, True, False),
        (
            "query { assets(after: $after) { edges { node { alerts(last: 1) } } } }",
            "x",
            True,
            False,
        ),
    ],
)
def test_the_last_items_of_a_connection_are_not_all(
    sandbox, iris, query, after, before, refused
) -> None:
    info = {"hasNextPage": False, "hasPreviousPage": before}
    connection = {"edges": [{"node": {"id": "x"}}], "pageInfo": info}
    sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
    body = {"query": query, "variables": {"after": after}}
    walk = iris.items(GRAPHQL, method="POST", json=body)
    if refused:
        with pytest.raises(NotAListError, match="more before them"):
            list(walk)
    else:
        assert list(walk) == [{"id": "x"}]


def test_a_name_that_ends_in_last_does_not_ask_for_the_last() -> None:
    assert not Query.of("{ ballast: assets }").asks_for_last
