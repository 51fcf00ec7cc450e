"""Errors of GraphQL: a limit is waited for, the others are raised."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from requests_iris import GraphQLError, pagination
from requests_iris.sandbox import Fault

from ..support.paths import GRAPHQL, QUERY


def test_graphql_waits_for_its_limit_within_the_cap(sandbox, iris, caplog) -> None:
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 2500}}]}
    sandbox.inject(Fault(status=429, body=limited), on="api")
    sandbox.inject(Fault(status=200, body=limited), on="api")
    slept: list[float] = []
    query = {"json": {"query": QUERY}}
    waits = pagination.Waits(slept.append)
    walk = pagination.begin(iris.request, GRAPHQL, query, method="POST", waits=waits).pages()
    assert sum(len(page.items) for page in walk) == 250
    assert slept == [2.5, 2.5]
    assert (
        caplog.messages.count("GraphQL has no points left: the same page is sent again in 2.5 s")
        == 2
    )


@pytest.mark.parametrize(
    ("reset_in", "slept"),
    [
        *(([120_000], [120]), ([120_001], []), ([0.5], [0.0005]), ([0], [0]), ([-5], [0])),
        *(([1000, 2000], [2]), ([2000, 1000], [2]), (["soon", 2000], [2]), (["soon"], [])),
    ],
)
def test_graphql_waits_as_long_as_its_limit_says(sandbox, iris, reset_in, slept) -> None:
    """Up to two minutes; further errors do not change the wait."""
    limits = [{"extensions": {"code": "RATE_LIMITED", "resetIn": each}} for each in reset_in]
    others = [{"extensions": {"code": "OTHER", "resetIn": 9000}}, {"extensions": "odd"}]
    sandbox.inject(Fault(status=200, body={"errors": [*limits, *others]}), on="api")
    waited: list[float] = []
    query = {"json": {"query": QUERY}}
    waits = pagination.Waits(waited.append)
    walk = pagination.begin(iris.request, GRAPHQL, query, method="POST", waits=waits).pages()
    with pytest.raises(GraphQLError) if not slept else nullcontext():
        next(walk)
    assert waited == slept


def test_graphql_waits_for_a_page_five_times_and_sends_once_more(sandbox, iris) -> None:
    """A wait after the last call would be for nothing."""
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 2500}}]}
    sandbox.inject(Fault(status=200, body=limited), on="api", times=10)
    slept: list[float] = []
    query = {"json": {"query": QUERY}}
    waits = pagination.Waits(slept.append)
    walk = pagination.begin(iris.request, GRAPHQL, query, method="POST", waits=waits).pages()
    with pytest.raises(GraphQLError) as caught:
        list(walk)
    assert caught.value.retryable
    assert slept == [2.5] * 5
    assert sandbox.count("api") == 6


def test_an_absurd_wait_of_graphql_is_an_error(sandbox, iris) -> None:
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 10**400}}]}
    sandbox.inject(Fault(status=200, body=limited), on="api")
    with pytest.raises(GraphQLError, match="RATE_LIMITED"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


@pytest.mark.parametrize(
    "extensions", [{"code": "RATE_LIMITED", "resetIn": 9e9}, {"code": "QUERY_COMPLEXITY_REACHED"}]
)
def test_graphql_errors_raise_at_once_even_with_data(sandbox, iris, extensions) -> None:
    errors = [{"message": "no", "extensions": extensions}]
    sandbox.inject(Fault(reply={"errors": errors}), on="api")
    body = {"query": QUERY, "variables": {"first": 1}}
    with pytest.raises(GraphQLError) as caught:
        list(iris.items(GRAPHQL, method="POST", json=body))
    assert caught.value.errors == tuple(errors)
    assert len(caught.value.response.json()["data"]["assets"]["edges"]) == 1
    assert sandbox.count("api") == 1


@pytest.mark.parametrize("errors", [["no"], {"message": "no"}, "no"], ids=str)
def test_graphql_errors_in_an_odd_form_are_errors(iris, sandbox, errors) -> None:
    connection = {"edges": [{"node": 1}], "pageInfo": {"hasNextPage": False}}
    body = {"data": {"assets": connection}, "errors": errors}
    sandbox.inject(Fault(status=200, body=body), on="api")
    with pytest.raises(GraphQLError, match="no"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


@pytest.mark.parametrize(
    ("status", "errors", "retryable"),
    [
        (200, [{"message": "no"}], False),
        (500, [{"message": "no"}], True),
        (408, [{"message": "no"}], True),
        (200, [{"extensions": {"code": "RATE_LIMITED"}}], True),
        (200, [{"extensions": {"code": "RATE_LIMITED", "resetIn": "soon"}}], True),
    ],
)
def test_an_error_of_graphql_is_retryable_if_it_may_pass(
    sandbox, iris, status, errors, retryable
) -> None:
    sandbox.inject(Fault(status=status, body={"errors": errors}), on="api")
    with pytest.raises(GraphQLError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert caught.value.retryable is retryable
