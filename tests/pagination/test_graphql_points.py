"""Points of GraphQL: a walk waits for points, asks for smaller pages, and loses nothing."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Iterator
from itertools import islice

import pytest
import requests

from requests_iris import (
    DEFAULT_RETRY,
    Clock,
    IncompleteListError,
    IrisSession,
    QueryComplexityError,
    RateLimitedError,
    pagination,
)
from requests_iris.graphql import Query, points_in
from requests_iris.sandbox import Fault, Sandbox

from ..support.paths import GRAPHQL, QUERY
from ..support.waiting import wait_until
from .lists import ids, walkers

MACHINES = 24
#: A page of ten assets costs 35 points: 3 for each asset, and 5 beside.
TEN = {"method": "POST", "json": {"query": QUERY, "variables": {"first": 10}}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(machines=MACHINES) as sandbox:
        yield sandbox


@pytest.fixture
def iris(sandbox) -> Iterator[IrisSession]:
    """A session with the sandbox's clock, so that each wait moves the window of points."""
    with IrisSession(**sandbox.settings, clock=sandbox.clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris


def asked(sandbox) -> list[dict]:
    """The bodies of the requests to the API."""
    return [json.loads(seen.body) for seen in sandbox.seen if seen.server == "api"]


def sizes(sandbox) -> list[int | None]:
    return [body["variables"].get("first") for body in asked(sandbox)]


def limited(reset_in: object, **more: object) -> dict:
    return {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": reset_in}}], **more}


class TestAWindowWithoutPoints:
    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_walk_waits_for_the_next_window_and_reads_each_item_once(
        self, sandbox, iris, workers
    ) -> None:
        sandbox.graphql.window_limit, sandbox.graphql.window = 69, 60
        found = ids(iris.items(GRAPHQL, **TEN, max_workers=workers))
        assert tuple(found) == sandbox.asset_ids
        assert sandbox.clock.advanced == pytest.approx(120, abs=1)
        cursors = [body["variables"].get("after") for body in asked(sandbox)]
        assert [cursors.count(each) for each in dict.fromkeys(cursors)] == [1, 2, 2]
        assert {body["query"] for body in asked(sandbox)} == {QUERY}

    def test_a_wait_beyond_the_longest_wait_is_an_error_with_a_resume_point(
        self, sandbox, iris
    ) -> None:
        sandbox.graphql.window_limit = 70
        walk = iris.items(GRAPHQL, **TEN)
        found = list(islice(walk, 20))
        with pytest.raises(RateLimitedError, match="RATE_LIMITED") as caught:
            next(walk)
        error = caught.value
        assert error.retryable
        assert 599 < error.retry_after <= 600
        assert (error.pages_read, error.items_read) == (2, 20)
        assert error.response.json()["errors"] == list(error.errors)
        assert sandbox.clock.advanced == 0
        sandbox.clock.advance(error.retry_after)
        resume = json.loads(json.dumps(error.resume))
        found += iris.items(GRAPHQL, **TEN, resume=resume)
        assert tuple(ids(found)) == sandbox.asset_ids

    def test_the_retries_of_the_session_say_the_longest_wait(self, sandbox) -> None:
        sandbox.graphql.window_limit = 70
        retry = DEFAULT_RETRY.new(backoff_max=600)
        with IrisSession(**sandbox.settings, clock=sandbox.clock, retry=retry) as iris:
            iris.verify = sandbox.ca_file
            assert tuple(ids(iris.items(GRAPHQL, **TEN))) == sandbox.asset_ids

    @pytest.mark.parametrize(
        ("reset_in", "retry_after"),
        [
            *((each, None) for each in (None, "2500", True, float("nan"), float("inf"), [1], {})),
            *((120_001, 120.001), (10**400, pytest.approx(9.2e15, rel=0.01))),
        ],
        ids=str,
    )
    def test_a_wait_that_makes_no_sense_is_an_error_after_one_request(
        self, sandbox, iris, reset_in, retry_after
    ) -> None:
        body = json.dumps(limited(reset_in))
        sandbox.inject(Fault(status=200, body=body), on="api", times=9)
        with pytest.raises(RateLimitedError) as caught:
            list(iris.items(GRAPHQL, **TEN))
        assert caught.value.retry_after == retry_after
        assert (sandbox.count("api"), sandbox.clock.advanced) == (1, 0)

    @pytest.mark.parametrize(("reset_in", "requests"), [(0, 2), (-5, 2), (0.5, 6), (1000, 6)])
    def test_a_server_that_never_has_points_gets_a_bounded_number_of_requests(
        self, sandbox, iris, reset_in, requests
    ) -> None:
        sandbox.inject(Fault(status=200, body=limited(reset_in)), on="api", times=99)
        with pytest.raises(RateLimitedError) as caught:
            list(iris.items(GRAPHQL, **TEN))
        assert caught.value.retry_after == max(0, reset_in / 1000)
        assert sandbox.count("api") == requests

    def test_an_error_of_graphql_with_status_429_is_also_an_http_error_and_pickles(
        self, sandbox, iris
    ) -> None:
        sandbox.inject(Fault(status=429, body=limited(500_000)), on="api", times=9)
        with pytest.raises(requests.HTTPError) as caught:
            list(iris.items(GRAPHQL, **TEN))
        copy = pickle.loads(pickle.dumps(caught.value))
        for error in (caught.value, copy):
            assert isinstance(error, RateLimitedError)
            assert (error.retry_after, error.response.status_code) == (500, 429)

    @pytest.mark.parametrize("retry_after", [None, "7", "600"])
    def test_a_429_that_tells_its_wait_is_sent_again_after_exactly_this_wait(
        self, sandbox, iris, retry_after
    ) -> None:
        """A retry of the session would come earlier, and perhaps cost points."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        fault = Fault(status=429, body=limited(2500), headers=headers)
        sandbox.inject(fault, on="api", times=3)
        assert tuple(ids(iris.items(GRAPHQL, **TEN))) == sandbox.asset_ids
        assert sizes(sandbox) == [10] * 6
        assert sandbox.clock.advanced == 7.5

    def test_a_429_beyond_the_longest_wait_is_an_error_after_one_request(
        self, sandbox, iris
    ) -> None:
        sandbox.inject(Fault(status=429, body=limited(500_000)), on="api", times=9)
        with pytest.raises(RateLimitedError):
            list(iris.items(GRAPHQL, **TEN))
        assert (sandbox.count("api"), sandbox.clock.advanced) == (1, 0)

    @pytest.mark.parametrize("body", ["", "slow down", [], limited("soon"), limited(None)], ids=str)
    def test_a_429_that_does_not_tell_its_wait_is_retried_as_in_every_list(
        self, sandbox, iris, body
    ) -> None:
        sandbox.inject(Fault(status=429, body=json.dumps(body)), on="api", times=3)
        assert tuple(ids(iris.items(GRAPHQL, **TEN))) == sandbox.asset_ids
        assert sandbox.clock.advanced >= 3.5

    def test_a_429_of_a_list_without_graphql_is_retried_whatever_the_body_says(
        self, sandbox, iris
    ) -> None:
        sandbox.inject(Fault(status=429, body=limited(500_000)), on="api", times=3)
        list(islice(iris.items("/api/asset/v1/assets"), 1))
        assert sandbox.count("api") == 4

    def test_interrupted_wait_loses_and_repeats_nothing(self, sandbox, iris) -> None:
        class Interrupted(Clock):
            @staticmethod
            def sleep(seconds: float) -> None:
                raise KeyboardInterrupt

        sandbox.inject(Fault(status=200, body=limited(2500)), on="api", after=1)
        found: list = []
        with IrisSession(**sandbox.settings, clock=Interrupted()) as interrupted:
            interrupted.verify = sandbox.ca_file
            walk = interrupted.items(GRAPHQL, **TEN)
            with pytest.raises(KeyboardInterrupt):
                found.extend(walk)
        assert not walk.finished
        found += iris.items(GRAPHQL, **TEN, resume=walk.resume)
        assert tuple(ids(found)) == sandbox.asset_ids

    def test_others_hear_of_each_wait_before_the_wait_and_before_the_error(
        self, sandbox, iris
    ) -> None:
        heard: list[object] = []
        for reset_in in (2000, 500_000):
            sandbox.inject(Fault(status=200, body=limited(reset_in)), on="api")
        waits = pagination.Waits(
            sleep=lambda seconds: heard.append(("slept", seconds)),
            longest=400,
            on_rate_limited=heard.append,
        )
        query = {"json": TEN["json"]}
        walk = pagination.begin(iris.request, GRAPHQL, query, method="POST", waits=waits).pages()
        with pytest.raises(RateLimitedError):
            next(walk)
        assert heard == [2, ("slept", 2), 500]

    def test_a_walk_that_is_closed_waits_no_longer(self, sandbox) -> None:
        with IrisSession(**sandbox.settings) as iris:
            iris.verify = sandbox.ca_file
            sandbox.inject(Fault(status=200, body=limited(60_000)), on="api", after=1)
            walk = iris.items(GRAPHQL, **TEN, max_workers=2)
            next(walk)
            wait_until(lambda: sandbox.count("api", 200) == 2)
            started = time.monotonic()
            walk.close()
            assert time.monotonic() - started < 5
        assert walkers() == []


class TestAQueryWithTooManyPoints:
    @pytest.mark.parametrize("workers", [1, 2])
    @pytest.mark.parametrize(
        ("declared", "said", "first"),
        [
            ("$first: Int", {}, 100),
            ("$first: Int", {"first": 100}, 100),
            ("$first: Int! = 100", {}, None),
            ("$first: Int = 7", {"first": 100}, 100),
        ],
    )
    def test_pages_have_half_the_items_for_the_rest_of_the_list(
        self, sandbox, iris, declared, said, first, workers
    ) -> None:
        sandbox.graphql.query_limit = 40
        query = QUERY.replace("$first: Int", declared)
        body = {"query": query, "variables": said}
        found = iris.items(GRAPHQL, method="POST", json=body, max_workers=workers)
        assert tuple(ids(found)) == sandbox.asset_ids
        assert sizes(sandbox) == [first, 50, 25, 12, 6, 6, 6, 6]
        assert {each["query"] for each in asked(sandbox)} == {query}
        assert body["variables"] == said

    @pytest.mark.parametrize("read", [3, 7, 9, 12, 23])
    def test_a_list_continues_after_any_item_although_pages_became_smaller(
        self, sandbox, iris, read
    ) -> None:
        """The limit falls during and between the runs, and the caller changes the size."""
        whole = list(iris.items(GRAPHQL, **TEN))
        walk = iris.items(GRAPHQL, **TEN)
        found = list(islice(walk, min(read, 9)))
        sandbox.graphql.query_limit = 20
        found += islice(walk, read - len(found))
        resume = json.loads(json.dumps(walk.resume))
        for first, limit in ((10, 50_000), (10, 14), (3, 50_000), (24, 20)):
            sandbox.graphql.query_limit = limit
            body = {"query": QUERY, "variables": {"first": first}}
            second = iris.items(GRAPHQL, method="POST", json=body, resume=resume)
            steps = list(islice(second, 2))
            third = iris.items(GRAPHQL, **TEN, resume=second.resume)
            assert found + steps + list(third) == whole, (first, limit)

    def test_a_page_that_has_lost_items_since_the_resume_point_is_an_error(
        self, sandbox, iris
    ) -> None:
        walk = iris.items(GRAPHQL, **TEN)
        list(islice(walk, 7))
        page = {"nodes": [1, 2, 3], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}
        sandbox.inject(Fault(status=200, body={"data": {"assets": page}}), on="api")
        with pytest.raises(IncompleteListError, match="7 items of the page were handed out"):
            list(iris.items(GRAPHQL, **TEN, resume=walk.resume))

    def test_a_failure_inside_the_items_of_an_earlier_run_keeps_the_resume_point(
        self, sandbox, iris
    ) -> None:
        walk = iris.items(GRAPHQL, **TEN)
        found = list(islice(walk, 7))
        body = {"query": QUERY, "variables": {"first": 3}}
        sandbox.inject(Fault(status=400), on="api", after=1)
        with pytest.raises(IncompleteListError) as caught:
            list(iris.items(GRAPHQL, method="POST", json=body, resume=walk.resume))
        assert caught.value.items_read == 0
        found += iris.items(GRAPHQL, **TEN, resume=caught.value.resume)
        assert tuple(ids(found)) == sandbox.asset_ids

    def test_a_run_that_continues_asks_for_the_smaller_pages_at_once(self, sandbox, iris) -> None:
        sandbox.graphql.query_limit = 20
        walk = iris.items(GRAPHQL, **TEN)
        found = list(islice(walk, 5))
        sandbox.forget()
        found += iris.items(GRAPHQL, **TEN, resume=walk.resume)
        assert tuple(ids(found)) == sandbox.asset_ids
        assert set(sizes(sandbox)) == {5}

    def test_an_item_that_costs_too_many_points_is_an_error_with_the_numbers(
        self, sandbox, iris
    ) -> None:
        sandbox.graphql.query_limit = 7
        with pytest.raises(QueryComplexityError, match="Pages cannot be smaller") as caught:
            list(iris.items(GRAPHQL, **TEN))
        error = caught.value
        assert (error.complexity, error.limit, error.retryable) == (8, 7, False)
        assert sizes(sandbox) == [10, 5, 2, 1]

    def test_a_query_that_does_not_declare_first_is_an_error_at_once(self, sandbox, iris) -> None:
        sandbox.graphql.query_limit = 50
        query = QUERY.replace("$first: Int, ", "").replace("$first", "100")
        with pytest.raises(QueryComplexityError, match="Declare \\$first") as caught:
            list(iris.items(GRAPHQL, method="POST", json={"query": query}))
        assert (caught.value.complexity, caught.value.limit) == (305, 50)
        assert sandbox.count("api") == 1

    def test_too_many_points_are_told_also_beside_a_window_without_points(
        self, sandbox, iris
    ) -> None:
        """A wait does not make the query cheaper."""
        errors = [
            *limited(2500)["errors"],
            {"extensions": {"code": "QUERY_COMPLEXITY_REACHED"}},
        ]
        sandbox.inject(Fault(status=200, body={"errors": errors}), on="api", times=9)
        with pytest.raises(QueryComplexityError) as caught:
            list(iris.items(GRAPHQL, **TEN))
        assert not caught.value.retryable
        assert (sizes(sandbox), sandbox.clock.advanced) == ([10, 5, 2, 1], 0)

    #: Each of nine sites has two or three assets.
    NESTED = """query ($first: Int, $after: String) {
        sites(first: $first, after: $after) {
            nodes { assets(first: $first) { INNER { ITEM } } } pageInfo { hasNextPage endCursor }
        } }"""

    @pytest.mark.parametrize("items_path", [None, "data.sites"])
    @pytest.mark.parametrize(("inner", "item"), [("nodes", "id"), ("edges", "node { id }")])
    def test_an_inner_list_is_never_cut_by_a_smaller_first(
        self, sandbox, iris, inner, item, items_path
    ) -> None:
        query = self.NESTED.replace("INNER", inner).replace("ITEM", item)
        body = {"query": query, "variables": {"first": 20}}
        whole = list(iris.items(GRAPHQL, method="POST", json=body))
        largest = max(len(site["assets"][inner]) for site in whole)
        walk = {"method": "POST", "json": body, "items_path": items_path}
        sandbox.graphql.query_limit = 400  # pages of 10 sites
        assert largest < 10
        assert list(iris.items(GRAPHQL, **walk)) == whole
        sandbox.graphql.query_limit = 30
        with pytest.raises(IncompleteListError, match=r"\(assets\) that may be cut"):
            list(iris.items(GRAPHQL, **walk))

    @pytest.mark.parametrize("inner", ["nodes { id } pageInfo { hasNextPage }", "totalCount"])
    def test_a_smaller_first_is_allowed_if_inner_lists_tell_whether_more_follows(
        self, sandbox, iris, inner
    ) -> None:
        query = self.NESTED.replace("INNER { ITEM }", inner)
        body = {"query": query, "variables": {"first": 20}}
        sandbox.graphql.query_limit = 40
        walk = iris.items(GRAPHQL, method="POST", json=body, items_path="data.sites")
        assert len(list(walk)) == 9

    @pytest.mark.parametrize(
        ("query", "is_shared"),
        [
            (QUERY, False),
            (NESTED, True),
            (NESTED.replace("assets(first: $first)", 'assets(note: "$first")'), False),
            (NESTED.replace("assets(first: $first)", "assets # (first: $first)\n"), False),
            ("query ($first: Int) { assets(first: $first) { id } }", False),
            ("query ($first: Int) { sites(first: $first) { assets(first: $first) } }", True),
            ("query ($first: Int, $after: ID) { a(after: $after) { b(first: $first) } }", True),
            ("query ($first: Int, $after: ID) { a(page: {size: $first, at: $after}) }", False),
        ],
    )
    def test_a_query_shows_whether_first_is_the_size_of_inner_lists(self, query, is_shared) -> None:
        assert Query.of(query).shares_first is is_shared

    @pytest.mark.parametrize("first", ["100", 100.0, True, None, -4, [100]], ids=str)
    def test_a_size_that_is_no_whole_number_is_not_halved(self, sandbox, iris, first) -> None:
        errors = [{"message": "no", "extensions": {"code": "QUERY_COMPLEXITY_REACHED"}}]
        sandbox.inject(Fault(status=200, body={"errors": errors}), on="api")
        body = {"query": QUERY, "variables": {"first": first}}
        with pytest.raises(QueryComplexityError, match="whole number") as caught:
            list(iris.items(GRAPHQL, method="POST", json=body))
        assert (caught.value.complexity, caught.value.limit) == (None, None)
        assert sandbox.count("api") == 1

    @pytest.mark.parametrize(
        ("message", "points"),
        [
            (
                "estimated complexity 480011, greater than the maximum limit of 50000",
                (480011, 50000),
            ),
            ("complexity 480,011 exceeds 50,000", (480011, 50000)),
            ("A maximum of 50.000 points is allowed, got 480.011", (480011, 50000)),
            ("480\u202f011 points exceed the limit of 50\xa0000 points", (480011, 50000)),
            ("limit 50'000: this query costs 480_011.50", (480011, 50000)),
            ("Query cost 60000/50000", (60000, 50000)),
            ("480011 is the complexity, 50000 is the limit", (480011, 50000)),
            ("The limit of 50000 points is reached", (None, 50000)),
            ("too complex (480011)", (480011, None)),
            ("no numbers, only v2 and 50k", (None, None)),
            ("complexity " + "9" * 5000, (None, None)),
            *((each, (None, None)) for each in ("", None, 7, ["480011"])),
        ],
        ids=lambda each: str(each)[:30],
    )
    def test_the_message_of_an_error_tells_points_and_limit(self, message, points) -> None:
        assert points_in(message) == points


#: What a page costs, what is left, and the milliseconds to the next window.
PACED = QUERY.rstrip().removesuffix("}") + "rateLimit { cost remaining resetIn } }"


class TestPacing:
    def pause(self, sandbox, iris, budget: object, query=PACED, name="rateLimit", pages=2) -> float:
        """Seconds of all pauses between the pages."""
        for number in range(1, pages + 1):
            info = {"hasNextPage": number < pages, "endCursor": str(number)}
            data = {"assets": {"nodes": [number], "pageInfo": info}, name: budget}
            sandbox.inject(Fault(status=200, body=json.dumps({"data": data})), on="api")
        before = sandbox.clock.advanced
        found = list(iris.items(GRAPHQL, method="POST", json={"query": query}))
        assert found == list(range(1, pages + 1))
        assert {body["query"] for body in asked(sandbox)} == {query}
        sandbox.forget()
        return sandbox.clock.advanced - before

    def test_a_walk_pauses_only_where_fewer_than_ten_pages_are_left(self, sandbox, iris) -> None:
        budgets = {
            (10, 100, 60_000): 0,
            (10, 99, 60_000): 60 / 9,
            (10, 25, 60_000): 30,
            (10, 10, 60_000): 60,
            (10, 9, 60_000): 60,
            (10, 1, 300_000): 120,
            (10, 99, 10**400): 120,
            (10**400, 5, 7000): 7,
            (0.5, 4.9, 9000.0): 1,
        }
        for (cost, remaining, reset_in), pause in budgets.items():
            budget = {"cost": cost, "remaining": remaining, "resetIn": reset_in}
            assert self.pause(sandbox, iris, budget) == pytest.approx(pause), budget

    @pytest.mark.parametrize("member", ["cost", "remaining", "resetIn"])
    def test_a_value_that_is_no_positive_number_causes_no_pause(
        self, sandbox, iris, member
    ) -> None:
        usual = {"cost": 10, "remaining": 20, "resetIn": 1000}
        for odd in (0, -1, -0.5, None, "20", True, False, float("nan"), [20], {"value": 20}):
            assert self.pause(sandbox, iris, {**usual, member: odd}) == 0, odd
        assert self.pause(sandbox, iris, {k: v for k, v in usual.items() if k != member}) == 0

    @pytest.mark.parametrize("budget", [None, 7, "x", [], {}, [{"cost": 10}]], ids=str)
    def test_a_budget_that_is_no_object_causes_no_pause(self, sandbox, iris, budget) -> None:
        assert self.pause(sandbox, iris, budget) == 0

    def test_no_pause_follows_the_last_page(self, sandbox, iris) -> None:
        budget = {"cost": 10, "remaining": 20, "resetIn": 1000}
        assert self.pause(sandbox, iris, budget, pages=1) == 0
        assert self.pause(sandbox, iris, budget, pages=4) == pytest.approx(1.5)

    @pytest.mark.parametrize(
        ("selection", "cost", "reset_in"),
        [
            ("budget: rateLimit { cost remaining resetIn }", "cost", "resetIn"),
            ("budget: rateLimit { price: cost, remaining wait: resetIn }", "price", "wait"),
            ("budget :rateLimit @include(if: true) {\n price :cost # p\n}", "price", "resetIn"),
        ],
    )
    def test_the_names_of_the_query_hold_for_the_budget(
        self, sandbox, iris, selection, cost, reset_in
    ) -> None:
        query = PACED.replace("rateLimit { cost remaining resetIn }", selection)
        budget = {cost: 10, "remaining": 25, reset_in: 8000}
        assert self.pause(sandbox, iris, budget, query, "budget") == 4

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_paced_walk_never_uses_up_the_window(self, sandbox, iris, workers) -> None:
        sandbox.graphql.window_limit, sandbox.graphql.window = 200, 60
        body = {"query": PACED, "variables": {"first": 4}}
        walk = iris.items(GRAPHQL, method="POST", json=body, max_workers=workers)
        assert tuple(ids(walk)) == sandbox.asset_ids
        assert sizes(sandbox) == [4] * 6
        assert 0 < sandbox.clock.advanced <= 61

    def test_a_walk_with_a_full_budget_is_not_slowed_down(self, sandbox, iris) -> None:
        body = {"query": PACED, "variables": {"first": 4}}
        assert len(list(iris.items(GRAPHQL, method="POST", json=body))) == MACHINES
        assert sandbox.clock.advanced == 0
