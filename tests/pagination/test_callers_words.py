"""What the caller says wins: sizes, defaults of a GraphQL query, and the session's params."""

from __future__ import annotations

import json

import pytest

from requests_iris import SettingError
from requests_iris.graphql import Query
from requests_iris.known_styles import first_call
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, GRAPHQL, OPERATORS, QUERY
from .lists import ids, the_whole

#: Declarations of `$first`, and whether each has a default.
DECLARATIONS = {
    "$first: Int = 10": True,
    "$first:Int=10": True,
    "$first:Int!=10": True,
    "$first : Int ! = 10": True,
    "$first\n:\n\tInt\n=\r\n10": True,
    "$first,:,Int,=,10": True,
    "$ first: Int = 10": True,
    "$first # how many\n: Int # per page: $first: Int\n = # ten\n10": True,
    "$first: [Int!]! = [1, 2]": True,
    "$first: Page = {size: 10}": True,
    '$first: Int = 10 @deprecated(reason: "use (size)")': True,
    "$after: String, $first: Int = 10": True,
    "$first: Int = 10, $after: String": True,
    '$filter: Filter = {a: "$first: Int", b: 1}, $first: Int = 10': True,
    "$first: Int": False,
    "$first: Int!": False,
    '$first: Int @deprecated(reason: "= 10")': False,
    "$first: Int # = 10\n": False,
    '$first: Int, $site: ID = "x"': False,
    '$site: ID = "x" $first: Int': False,
}


@pytest.mark.parametrize("declared", DECLARATIONS)
def test_a_default_of_the_query_is_kept(declared) -> None:
    query = f"query Assets({declared}) {{ assets(first: $first) {{ edges {{ node {{ id }} }} }} }}"
    sent = first_call("POST", GRAPHQL, {"json": {"query": query}}).json["variables"]
    assert sent == ({} if DECLARATIONS[declared] else {"first": 100})


@pytest.mark.parametrize(
    "query",
    [
        "{ assets(first: 5) { id } } # query ($first: Int)",
        'query { assets(name: "query ($first: Int)") { id } }',
        'query ($a: String = """ " $first: Int """) { assets { id } }',
        'query ($a: String = "\\" $first: Int") { assets { id } }',
        "query # ($first: Int)\n { assets { id } }",
        "query ($firstName: String) { assets { id } }",
        "query ($a: Int) { assets(in: {b: $a first: 1}) { id } }",
        "{ assets { first: id } }",
    ],
)
def test_text_and_comments_of_a_query_declare_nothing(query) -> None:
    call = first_call("POST", GRAPHQL, {"json": {"query": query}})
    assert call.json == {"query": query, "variables": {}}


def test_the_named_operation_counts_among_several_operations() -> None:
    query = "query A($first: Int = 5) { a { id } } query B($first: Int) { b { id } }"
    for name, sent in (("A", {}), ("B", {"first": 100})):
        members = {"query": query, "operationName": name}
        assert first_call("POST", GRAPHQL, {"json": members}).json["variables"] == sent


def test_a_search_with_a_query_in_words_is_no_graphql(sandbox, iris) -> None:
    body = {"query": "excavator first: 5"}
    page = {"content": [1, 2], "number": 0, "size": 2, "totalElements": 2, "totalPages": 1}
    sandbox.inject(Fault(status=200, body=page), on="api")
    assert list(iris.items("/api/asset/v1/search", method="POST", json=body)) == [1, 2]
    assert [json.loads(seen.body) for seen in sandbox.seen if seen.server == "api"] == [body]


@pytest.mark.parametrize("first", [7, None, 0])
def test_a_variable_of_the_caller_is_kept(first) -> None:
    members = {"query": QUERY, "variables": {"first": first}}
    assert first_call("POST", GRAPHQL, {"json": members}).json["variables"] == {"first": first}


def test_a_query_with_a_default_is_read_to_its_end(sandbox, iris) -> None:
    """The sandbox knows no defaults, so the test sets the responses."""
    query = QUERY.replace("$first: Int", "$first: Int = 2")
    for number in (1, 2):
        info = {"hasNextPage": number < 2, "endCursor": f"c{number}"}
        body = {"data": {"assets": {"nodes": [number], "pageInfo": info}}}
        sandbox.inject(Fault(status=200, body=body), on="api")
    assert list(iris.items(GRAPHQL, method="POST", json={"query": query})) == [1, 2]
    sent = [json.loads(seen.body) for seen in sandbox.seen if seen.server == "api"]
    assert [each["variables"] for each in sent] == [{}, {"after": "c1"}]
    assert {each["query"] for each in sent} == {query}


def test_a_default_cursor_makes_a_list_begin_later() -> None:
    assert Query.of('query ($after: String = "x") { a }').begins_later
    assert not Query.of("query ($after: String) { a }").begins_later


@pytest.mark.parametrize("name", ["size", "Size", "pageSize", "page_size", "per_page", "limit"])
def test_a_size_of_the_caller_is_kept_in_any_spelling(name) -> None:
    assert first_call("GET", ASSETS, {"params": {name: 7}}).url == f"{ASSETS}?{name}=7"


@pytest.mark.parametrize(("url", "name"), [(ASSETS, "assets"), (OPERATORS, "operators")])
def test_a_size_in_the_params_of_the_session_is_kept(sandbox, iris, url, name) -> None:
    size = "limit" if name == "operators" else "size"
    iris.params = {size: 50}
    assert ids(iris.items(url)) == ids(the_whole(name))
    sizes = [seen.args[size] for seen in sandbox.seen if seen.server == "api"]
    assert set(sizes) == {"50"}


@pytest.mark.parametrize("name", ["page", "after", "before"])
def test_a_page_in_the_params_of_the_session_is_refused(sandbox, iris, name) -> None:
    iris.params = {name: 1}
    with pytest.raises(SettingError, match=f"the session's params have {name}"):
        iris.items(ASSETS)
    assert sandbox.seen == ()
