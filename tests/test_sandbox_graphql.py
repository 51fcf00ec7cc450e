"""GraphQL in the sandbox: points, limits, filters, and nested connections."""

from __future__ import annotations

import pytest

from requests_iris.sandbox import Sandbox
from requests_iris.sandbox.query import QueryError, parse

from .support.paths import GRAPHQL, QUERY
from .support.plain_client import PlainClient

NAN = float("nan")


@pytest.fixture
def client(sandbox: Sandbox):
    with PlainClient(sandbox) as client:
        client.sign_in()
        yield client


def ask(client, query: str, **variables: object) -> dict:
    return client.post(GRAPHQL, json={"query": query, "variables": variables}).json()


class TestPoints:
    @pytest.mark.parametrize(
        ("selection", "cost"),
        [
            ("assets(first: 10) { nodes { id } }", 12),
            ("assets(first: 10) { totalCount edges { cursor node { id name } } }", 43),
            ("assets(last: 7) { nodes { id } pageInfo { hasNextPage endCursor } }", 12),
            ("sites(first: 5) { nodes { assets(first: 20) { nodes { id } } } }", 112),
            ("a: assets(first: 1) { nodes { id } } b: assets(first: 2) { nodes { id } }", 7),
        ],
    )
    def test_points_grow_with_the_size_and_the_depth_of_a_query(
        self, client, selection, cost
    ) -> None:
        data = ask(client, f"{{ {selection} rateLimit {{ cost remaining }} }}")["data"]
        assert data["rateLimit"] == {"cost": cost, "remaining": 500_000 - cost}

    def test_a_query_beyond_the_limit_is_refused_with_numbers_in_the_message_only(
        self, client
    ) -> None:
        inner = "assets(first: 100) { nodes { id name brand model type } }"
        found = ask(client, f"{{ sites(first: 100) {{ nodes {{ {inner} }} }} }}")
        (error,) = found["errors"]
        assert error["extensions"] == {"code": "QUERY_COMPLEXITY_REACHED"}
        assert "complexity of the query is 50202" in error["message"]
        assert "limit of 50000" in error["message"]
        assert found["data"] is None
        left = ask(client, "{ rateLimit { remaining } }")["data"]["rateLimit"]["remaining"]
        assert left == 500_000

    def test_a_used_up_window_refuses_until_the_clock_reaches_the_next_window(
        self, sandbox, client
    ) -> None:
        sandbox.graphql.window_limit = 20  # a page of one asset costs 8 points
        sandbox.clock.advance(100)
        for _ in range(2):
            assert "errors" not in ask(client, QUERY, first=1)
            sandbox.clock.advance(100)
        (error,) = ask(client, QUERY, first=1)["errors"]
        extensions = error["extensions"]
        assert (extensions["code"], extensions["cost"]) == ("RATE_LIMITED", 8)
        assert 399_000 < extensions["resetIn"] <= 400_000
        sandbox.clock.advance(extensions["resetIn"] / 1000)
        assert "errors" not in ask(client, QUERY, first=1)

    def test_reset_sets_the_published_limits_and_begins_a_new_window(self, sandbox, client) -> None:
        sandbox.graphql.query_limit = sandbox.graphql.window_limit = 9
        sandbox.graphql.window = 5
        ask(client, QUERY, first=1)
        sandbox.graphql.reset()
        limits = sandbox.graphql
        assert (limits.query_limit, limits.window_limit, limits.window) == (50_000, 500_000, 600)
        data = ask(client, "{ rateLimit { remaining resetIn } }")["data"]["rateLimit"]
        assert data == {"remaining": 500_000, "resetIn": 600_000}

    @pytest.mark.parametrize("name", ["query_limit", "window_limit", "window"])
    def test_a_limit_refuses_a_wrong_value_and_keeps_the_old_value(self, sandbox, name) -> None:
        before = getattr(sandbox.graphql, name)
        for value in (-1, NAN, True, "9", None, [9], 10**12):
            with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
                setattr(sandbox.graphql, name, value)
        assert getattr(sandbox.graphql, name) == before

    @pytest.mark.parametrize("name", ["limit", "query_limits", "cost"])
    def test_an_unknown_limit_is_refused(self, sandbox, name) -> None:
        with pytest.raises(AttributeError, match="query_limit, window_limit, window"):
            setattr(sandbox.graphql, name, 9)
        with pytest.raises(AttributeError):
            sandbox.graphql = None


class TestQueries:
    def test_names_of_the_query_fragments_and_directives_are_understood(
        self, sandbox, client
    ) -> None:
        query = """
        query Machines($n: Int = 2) { fleet: assets(first: $n) { nodes { ...Names } } }
        query Other { assets(first: 1) { nodes { id } } }
        fragment Names on Asset { key: id ... on Asset @include(if: true) { __id: id } }
        """
        body = {"query": query, "operationName": "Machines"}
        nodes = client.post(GRAPHQL, json=body).json()["data"]["fleet"]["nodes"]
        assert nodes == [{"key": each, "__id": each} for each in sandbox.asset_ids[:2]]

    def test_a_list_can_be_read_backwards(self, sandbox, client) -> None:
        found: list[str] = []
        query = """query ($before: String) { assets(last: 100, before: $before) {
            nodes { id } pageInfo { hasPreviousPage startCursor } } }"""
        before, more = None, True
        while more:
            page = ask(client, query, before=before)["data"]["assets"]
            found = [node["id"] for node in page["nodes"]] + found
            more, before = page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["startCursor"]
        assert tuple(found) == sandbox.asset_ids

    def test_each_asset_is_on_one_site_and_each_site_has_its_assets(self, client) -> None:
        query = """{ sites(first: 9) { totalCount nodes { id name assets(first: 100) { totalCount
            nodes { sites(first: 1) { nodes { id } } } } } } }"""
        sites = ask(client, query)["data"]["sites"]
        assert sites["totalCount"] == len(sites["nodes"]) == 9
        assert sum(site["assets"]["totalCount"] for site in sites["nodes"]) == 250
        for site in sites["nodes"]:
            own = {"sites": {"nodes": [{"id": site["id"]}]}}
            assert all(asset == own for asset in site["assets"]["nodes"])

    def test_a_filter_is_the_plural_of_a_member_of_assets(self) -> None:
        years = ("2019", "2021", "2021", "2023", None)
        assets = [{"id": str(n), "productionYear": year} for n, year in enumerate(years)]
        query = """query ($first: Int, $years: [String!]) {
            assets(first: $first, filters: {productionYears: $years}) { totalCount nodes { id } }
        }"""
        with Sandbox(assets=assets) as sandbox, PlainClient(sandbox) as client:
            client.sign_in()
            wanted = {("2021",): ["1", "2"], ("2019", "2023"): ["0", "3"], ("1999",): []}
            for chosen, found in wanted.items():
                page = ask(client, query, first=9, years=list(chosen))["data"]["assets"]
                assert ([node["id"] for node in page["nodes"]], page["totalCount"]) == (
                    found,
                    len(found),
                )
            assert ask(client, query, first=9, years=None)["data"]["assets"]["totalCount"] == 5
            wrong = query.replace("productionYears", "colours")
            assert "colours" in ask(client, wrong, first=9, years=[])["errors"][0]["message"]

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("{ assets { nodes { id } } }", "first or last"),
            ("{ assets(first: $n) { nodes { id } } }", 'Variable "$n" is not defined'),
            ("query ($n: Int) { rateLimit { cost } }", 'Variable "$n" is never used'),
            ("{ rateLimit { price } }", '"price" on type "RateLimit"'),
            ("{ sites(first: 1) { nodes { colour } } }", '"colour" on type "Site"'),
            ("{ sites(first: 1) { pageInfo { next } } }", '"next" on type "PageInfo"'),
            ("{ ...Missing }", 'Unknown fragment "Missing"'),
            ("{ ...F } fragment F on Query { ...F }", "nested too deeply"),
            ("{ a" * 60, "nested too deeply"),
            ("{ assets(first: 1) { nodes { id }", "Syntax Error"),
            ("query A { a } query B { b }", "one operation"),
            ("mutation { a }", "Syntax Error"),
            ("{ a(b: ) }", "Syntax Error"),
            ("{ a ~ }", "Unexpected text at character 3"),
        ],
    )
    def test_a_wrong_query_is_an_error_of_graphql(self, client, query, message) -> None:
        found = ask(client, query)
        assert found["data"] is None
        assert message in found["errors"][0]["message"]

    def test_values_of_every_kind_are_parsed(self) -> None:
        query = r'''query ($v: [Int!]! = [7] @d) { a(i: -3, f: 1.5e2, t: "x\"y\u00e9",
            b: true, n: null, e: ASC, l: [1, [2]], o: {k: "v" w: $v},
            s: """two "quotes" # no comment""") }'''
        (field,) = parse(query, {})
        assert field.arguments == {
            **{"i": -3, "f": 150.0, "t": 'x"yé', "b": True, "n": None, "e": "ASC", "l": [1, [2]]},
            **{"o": {"k": "v", "w": [7]}, "s": 'two "quotes" # no comment'},
        }
        with pytest.raises(QueryError):
            parse(query, {}, "Other")
