"""Several connections, and connections inside items: the caller names the list to read."""

from __future__ import annotations

import json

import pytest

from requests_iris import GraphQLError, IncompleteListError, NotAListError
from requests_iris.graphql import Query
from requests_iris.sandbox import Fault

from ..support.paths import GRAPHQL
from .lists import ids

#: Two connections, of which the sites continue.
TWO = """
query ($first: Int, $after: String) {
  assets(first: 2) { nodes { id } pageInfo { hasNextPage endCursor } }
  yards: sites(first: $first, after: $after) {
    totalCount nodes { id } pageInfo { hasNextPage endCursor }
  }
}
"""
#: Each site has a connection of assets.
NESTED = """
query ($first: Int, $after: String, $inner: Int!) {
  sites(first: $first, after: $after) {
    edges { node { id machines: assets(first: $inner) {
      nodes { id } pageInfo { hasNextPage } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def asking(query: str, **variables: object) -> dict:
    return {"method": "POST", "json": {"query": query, "variables": {"first": 4, **variables}}}


def answer(sandbox, data: object, **members: object) -> None:
    sandbox.inject(Fault(status=200, body={"data": data, **members}), on="api")


def connection(*items: object, more: bool = False, **info: object) -> dict:
    return {"nodes": list(items), "pageInfo": {"hasNextPage": more, "endCursor": "c", **info}}


class TestSeveralConnections:
    def test_the_error_names_the_paths_of_the_lists(self, iris) -> None:
        with pytest.raises(NotAListError, match="2 connections") as caught:
            list(iris.items(GRAPHQL, **asking(TWO)))
        assert "items_path='data.assets' or 'data.yards'" in str(caught.value)

    @pytest.mark.parametrize("workers", [1, 2])
    @pytest.mark.parametrize("path", ["data.yards", "data.yards.nodes"])
    def test_items_path_names_the_list_to_read(self, sandbox, iris, path, workers) -> None:
        walk = iris.items(GRAPHQL, **asking(TWO), items_path=path, max_workers=workers)
        assert len(set(ids(walk))) == 9
        assert (walk.total, walk.pages_read, sandbox.count("api")) == (9, 3, 3)

    def test_a_list_that_the_query_cannot_continue_is_an_error(self, iris) -> None:
        """The variable `$after` belongs to the sites, so the second page of assets is the first."""
        with pytest.raises(IncompleteListError, match="no cursor for the next page"):
            list(iris.items(GRAPHQL, **asking(TWO), items_path="data.assets"))

    @pytest.mark.parametrize("path", ["data", "yards", "data.sites", "data.Yards", "data.yards.x"])
    def test_a_path_without_a_connection_is_an_error_that_names_the_lists(self, iris, path) -> None:
        with pytest.raises(NotAListError, match="no connection at .*'data.yards'"):
            list(iris.items(GRAPHQL, **asking(TWO), items_path=path))

    def test_items_path_finds_a_connection_inside_an_object(self, sandbox, iris) -> None:
        answer(sandbox, {"site": {"edges": connection("a")}, "other": connection("b")})
        walk = iris.items(GRAPHQL, **asking("{ site }"), items_path="data.site.edges")
        assert list(walk) == ["a"]

    @pytest.mark.parametrize("items_path", [None, "data.assets"])
    def test_totals_and_directions_are_checked_with_and_without_items_path(
        self, sandbox, iris, items_path
    ) -> None:
        wrong = {
            "after 1 items of 5": ({**connection(1), "totalCount": 5}, "{ assets }"),
            "pageInfo counts 5": (connection(1, count=5), "{ assets }"),
            "more before them": (connection(1, hasPreviousPage=True), "{ assets(last: 1) }"),
        }
        for message, (found, query) in wrong.items():
            answer(sandbox, {"assets": found})
            with pytest.raises((IncompleteListError, NotAListError), match=message):
                list(iris.items(GRAPHQL, **asking(query), items_path=items_path))

    def test_a_count_in_page_info_may_be_that_of_the_page_or_of_the_list(
        self, sandbox, iris
    ) -> None:
        query = "query ($after: String) { assets(after: $after) }"
        for counts in ((2, 1), (3, 3)):
            answer(sandbox, {"assets": connection(1, 2, more=True, count=counts[0])})
            answer(sandbox, {"assets": connection(3, count=counts[1])})
            assert list(iris.items(GRAPHQL, **asking(query))) == [1, 2, 3]

    def test_a_count_in_page_info_is_checked_across_runs(self, sandbox, iris) -> None:
        query = "query ($after: String) { assets(after: $after) }"
        answer(sandbox, {"assets": connection(1, 2, more=True, count=4)})
        walk = iris.items(GRAPHQL, **asking(query))
        assert [next(walk), next(walk)] == [1, 2]
        for more in ((3,), (3, 4)):
            answer(sandbox, {"assets": connection(*more, count=4)})
            rest = iris.items(GRAPHQL, **asking(query), resume=walk.resume)
            if len(more) == 2:
                assert list(rest) == [3, 4]
            else:
                with pytest.raises(IncompleteListError, match="after 3 items.* counts 4"):
                    list(rest)

    def test_nodes_and_edges_that_contradict_are_refused(self, sandbox, iris) -> None:
        edges = [{"node": 1}, {"node": 2}]
        answer(sandbox, {"assets": {**connection(1, 2), "edges": edges}})
        assert list(iris.items(GRAPHQL, **asking("{ assets }"))) == [1, 2]
        answer(sandbox, {"assets": {**connection(1), "edges": edges}})
        with pytest.raises(IncompleteListError, match="1 nodes, and 2 edges"):
            list(iris.items(GRAPHQL, **asking("{ assets }")))


class TestSeveralOperations:
    QUERY = """
    query Other { assets(last: 5) { nodes { id } } }
    query Mine($first: Int = 5, $filter: Filter = {name: "}"}) { assets(first: $first) { ...All } }
    fragment All on Connection { nodes { id } }
    query Mine2($first: Int = 7) { sites(before: "x") { nodes { id } } }
    """

    @pytest.mark.parametrize(
        ("operation", "size", "later"),
        [("Mine", 5, False), ("Mine2", 7, True), ("Other", None, True)],
    )
    def test_the_operation_that_is_executed_decides(self, operation, size, later) -> None:
        query = Query.of(self.QUERY, operation)
        assert (query.default_size, query.begins_later) == (size, later)
        assert "fragment All" in query.text

    def test_the_total_is_checked_although_another_operation_asks_for_the_last_items(
        self, sandbox, iris
    ) -> None:
        answer(sandbox, {"assets": {**connection(1), "totalCount": 5}})
        body = {"query": self.QUERY, "operationName": "Mine"}
        with pytest.raises(IncompleteListError, match="after 1 items of 5"):
            list(iris.items(GRAPHQL, method="POST", json=body))


class TestConnectionsInsideItems:
    def test_inner_lists_that_are_whole_are_read_with_their_items(self, iris, sandbox) -> None:
        walk = iris.items(GRAPHQL, **asking(NESTED, inner=50))
        found = [machine["id"] for site in walk for machine in site["machines"]["nodes"]]
        assert sorted(found) == sorted(sandbox.asset_ids)

    def test_an_inner_list_with_more_pages_is_never_short_in_silence(self, iris) -> None:
        with pytest.raises(IncompleteListError, match=r"more pages \(machines\)") as caught:
            list(iris.items(GRAPHQL, **asking(NESTED, inner=5)))
        assert caught.value.items_read == 0
        assert "items_path='data.sites'" in str(caught.value)

    def test_a_caller_who_names_the_outer_list_gets_inner_lists_as_the_server_sent_them(
        self, iris
    ) -> None:
        walk = iris.items(GRAPHQL, **asking(NESTED, inner=5), items_path="data.sites")
        machines = [site["machines"] for site in walk]
        assert [len(each["nodes"]) for each in machines] == [5] * 9
        assert all(each["pageInfo"]["hasNextPage"] for each in machines)


@pytest.mark.parametrize("items_path", [None, "data.assets"])
def test_a_part_of_the_data_beside_errors_is_an_error_that_carries_the_data(
    sandbox, iris, items_path
) -> None:
    query = "query ($after: String) { assets(after: $after) }"
    errors = [{"message": "the field insights failed", "path": ["assets", "edges", 0]}]
    answer(sandbox, {"assets": connection(1, more=True)})
    answer(sandbox, {"assets": connection(2)}, errors=errors)
    walk = iris.items(GRAPHQL, **asking(query), items_path=items_path)
    assert next(walk) == 1
    with pytest.raises(GraphQLError, match="the field insights failed") as caught:
        next(walk)
    assert caught.value.errors == tuple(errors)
    assert caught.value.response.json()["data"] == {"assets": connection(2)}
    answer(sandbox, {"assets": connection(2)})
    resume = json.loads(json.dumps(caught.value.resume))
    rest = iris.items(GRAPHQL, **asking(query), items_path=items_path, resume=resume)
    assert list(rest) == [2]
