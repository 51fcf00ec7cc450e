"""Walks within a quota: the pool, walks without enough slots, and closing a walk in a wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from requests_iris import IncompleteListError, Pool, QuotaExceededError, RateLimit
from requests_iris.sandbox import Fault, Sandbox

from ..support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET, JSON, OPERATORS
from ..support.waiting import HUNG, wait_until

PAGE = f"{FLEET}/1"


@pytest.fixture(scope="module")
def iris_limits() -> Any:
    """A sandbox with the limits of IRIS. Every test moves the clock."""
    with Sandbox(quotas=True) as sandbox:
        yield sandbox


@pytest.fixture
def limited(iris_limits: Sandbox) -> Sandbox:
    iris_limits.clock.advance(31 * 86_400)
    iris_limits.forget()
    return iris_limits


def pages(sandbox: Sandbox) -> list[str]:
    return [seen.path.removeprefix("/public/api") for seen in sandbox.seen if seen.kind == "api"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_walk_that_has_begun_draws_from_the_pool_in_every_worker(
    session, limited, workers
) -> None:
    iris = session(limited, clock=limited.clock)
    for number in (2, 3):
        assert iris.get(f"{FLEET}/{number}", headers=JSON).ok
    assert len(list(iris.items(PAGE, max_workers=workers))) == 250
    counts = limited.quota_counts["AEMP fleet page"]
    state = iris.quota.state(f"{FLEET}/2")
    assert (limited.count("api"), limited.count("api", 429)) == (5, 0)
    assert (state.remaining, state.pool_remaining) == (0, 49)
    assert counts.refused == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_page_draws_from_the_pool_only_in_a_resumed_walk(
    session, limited, workers
) -> None:
    iris = session(limited, clock=limited.clock)
    walk = iris.items(PAGE)
    for _ in range(150):
        next(walk)
    assert iris.quota.state(f"{FLEET}/2").remaining == 0
    with pytest.raises(QuotaExceededError) as caught:
        next(iris.items(PAGE, max_workers=workers))
    assert type(caught.value) is QuotaExceededError
    assert limited.count("api") == 2
    rest = iris.items(PAGE, resume=walk.resume, max_workers=workers)
    assert len(list(rest)) == 100
    assert iris.quota.state(f"{FLEET}/2").pool_remaining == 49


@pytest.mark.parametrize(("pool", "statuses"), [("walk", 0), ("never", 0), ("always", 2)])
def test_a_request_outside_of_a_walk_follows_the_mode_of_the_pool(
    session, limited, pool, statuses
) -> None:
    iris = session(limited, clock=limited.clock, pool=pool)
    assert iris.get(PAGE).ok
    done = 0
    for _ in range(2):
        try:
            done += iris.get(PAGE).ok
        except QuotaExceededError:
            continue
    assert done == statuses
    assert limited.count("api", 429) == 0


def test_a_request_of_a_hook_in_a_walk_draws_nothing_from_the_pool(session, limited) -> None:
    iris = session(limited, clock=limited.clock)
    refused: list[Any] = []

    def hook(response: requests.Response, **_: Any) -> None:
        if response.url.endswith("Fleet/2"):
            with pytest.raises(QuotaExceededError) as caught:
                iris.get(PAGE)
            refused.append(caught.value.rule)

    assert len(list(iris.items(PAGE, hooks={"response": hook}))) == 250
    assert refused == ["AEMP fleet page"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_walk_with_a_known_length_is_refused_after_its_first_page(
    session, sandbox, workers
) -> None:
    """The sandbox has 5 pages of 50 assets; the rule allows 3 requests."""
    iris = session(sandbox, RateLimit("assets", 3, 1000, ASSETS), clock=sandbox.clock)
    options = {"params": {"size": 50}, "max_workers": workers}
    walk = iris.items(ASSETS, **options)
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    error = caught.value
    assert isinstance(error, QuotaExceededError)
    assert isinstance(error.__cause__, QuotaExceededError)
    assert (error.rule, sandbox.count("api"), walk.items_read) == ("assets", 1, 50)
    assert error.reset_at.timestamp() == pytest.approx(
        sandbox.clock.time() + error.retry_after, abs=2
    )
    assert error.resume == walk.resume
    assert error.retryable


def test_a_walk_that_was_refused_ends_after_the_time_in_the_error(session, sandbox) -> None:
    iris = session(sandbox, RateLimit("assets", 4, 1000, ASSETS), clock=sandbox.clock)
    options = {"params": {"size": 50}}
    ids: list[str] = []
    walk = iris.items(ASSETS, **options)
    with pytest.raises(QuotaExceededError) as caught:
        ids.extend(item["id"] for item in walk)
    ids = list(sandbox.asset_ids[: walk.items_read])
    sandbox.clock.advance(caught.value.retry_after + 1)
    ids += [item["id"] for item in iris.items(ASSETS, **options, resume=walk.resume)]
    assert ids == list(sandbox.asset_ids)


AFFORDABLE = {
    "a window that returns in time": RateLimit("assets", 1, 100, ASSETS),
    "a window for all pages": RateLimit("assets", 5, 1000, ASSETS),
    "a pool for the rest": RateLimit("assets", 1, 1000, ASSETS, pool=Pool(4, 30)),
    "a slot for each page": RateLimit("assets", 1, 1000, ASSETS, key="{page}"),
    "another list": RateLimit("events", 1, 1000, EVENTS),
}


@pytest.mark.parametrize("name", AFFORDABLE)
def test_a_walk_that_can_end_within_its_quota_is_not_refused(session, sandbox, name) -> None:
    iris = session(sandbox, AFFORDABLE[name])
    assert len(list(iris.items(ASSETS, params={"size": 50}))) == 250


def test_a_walk_that_the_pool_cannot_pay_for_is_refused_after_its_first_page(
    session, sandbox
) -> None:
    for mode, size, ends in (("walk", 3, False), ("never", 9, False), ("always", 4, True)):
        rule = RateLimit(f"assets {mode}", 1, 1000, ASSETS, pool=Pool(size, 30))
        iris = session(sandbox, rule, pool=mode)
        sandbox.forget()
        walk = iris.items(ASSETS, params={"size": 50})
        if ends:
            assert len(list(walk)) == 250
        else:
            with pytest.raises(QuotaExceededError):
                list(walk)
            assert sandbox.count("api") == 1


def test_aemp_pages_that_are_known_to_have_no_slot_are_refused_after_the_first_page(
    session, limited
) -> None:
    iris = session(limited, clock=limited.clock, pool="never")
    assert iris.get(f"{FLEET}/3", headers=JSON).ok
    walk = iris.items(PAGE)
    with pytest.raises(QuotaExceededError) as caught:
        list(walk)
    assert (limited.count("api"), walk.items_read) == (2, 100)
    limited.clock.advance(caught.value.retry_after + 1)
    assert len(list(iris.items(PAGE, resume=walk.resume))) == 150


#: A year has 27 windows of at most 14 days. The windows share slots.
YEAR = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def windows() -> Any:
    """A sandbox with the limits of IRIS, and a single page for each window of a series."""
    with Sandbox(quotas=True) as sandbox:
        sandbox.aemp.page_size = 500
        yield sandbox


@pytest.mark.parametrize("workers", [1, 3])
def test_a_year_of_a_series_takes_the_slot_and_26_of_the_pool(session, windows, workers) -> None:
    iris, pin = session(windows, clock=windows.clock), windows.asset_ids[0]
    assert list(iris.series(pin, "Distance", *YEAR, max_workers=workers))
    state = iris.quota.state(f"{FLEET}/Equipment/ID/{pin}/Distance/a/b/1")
    assert (state.rule, state.remaining, state.pool_remaining) == ("AEMP series", 0, 50 - 26)
    assert (windows.count("api"), windows.count("api", 429)) == (27, 0)


def test_a_series_that_the_quota_cannot_pay_for_is_refused_before_its_first_request(
    session, windows
) -> None:
    never = session(windows, clock=windows.clock, pool="never")
    with pytest.raises(QuotaExceededError) as caught:
        next(never.series(windows.asset_ids[0], "Distance", *YEAR))
    assert type(caught.value) is QuotaExceededError
    assert (caught.value.rule, windows.count("api")) == ("AEMP series", 0)
    iris, pin = session(windows, clock=windows.clock), windows.asset_ids[1]
    assert list(iris.series(pin, "Distance", *YEAR))
    windows.clock.advance(901)
    windows.forget()
    with pytest.raises(QuotaExceededError) as caught:
        next(iris.series(pin, "Distance", *YEAR))
    assert windows.count("api") == 0
    assert 29 < caught.value.retry_after / 86_400 < 30
    short = YEAR[0], YEAR[0] + timedelta(days=10)
    assert list(iris.series(pin, "Distance", *short))


def test_a_series_beyond_the_pool_is_continued_with_a_longer_wait(session, windows) -> None:
    windows.aemp.page_size = 100  # four pages for each window, and the first check counts windows
    iris, pin = session(windows, clock=windows.clock), windows.asset_ids[0]
    days = YEAR[0], YEAR[0] + timedelta(days=200)
    walk = iris.series(pin, "Distance", *days)
    found: list[Any] = []
    with pytest.raises(QuotaExceededError) as caught:
        found.extend(walk)
    assert windows.count("api", 200) == 51
    windows.clock.advance(caught.value.retry_after)
    windows.forget()
    continued = iris.series(pin, "Distance", *days, resume=walk.resume)
    with pytest.raises(IncompleteListError, match="needs 2 more requests") as caught:
        next(continued)
    assert isinstance(caught.value, QuotaExceededError)
    assert (caught.value.resume, continued.resume) == (walk.resume, walk.resume)
    assert windows.count("api") == 0
    patient = session(windows, clock=windows.clock, max_wait=900)
    found += patient.series(pin, "Distance", *days, resume=caught.value.resume)
    assert found == list(patient.series(pin, "Distance", *days))
    assert windows.quota_counts["AEMP series"].refused == 0


def test_a_series_is_continued_if_the_quota_has_two_slots(session, windows) -> None:
    windows.aemp.page_size = 100
    iris, pin = session(windows, clock=windows.clock), windows.asset_ids[0]
    days = YEAR[0], YEAR[0] + timedelta(days=200)  # 15 windows
    walk = iris.series(pin, "Distance", *days)
    while windows.count("api", 200) < 46:
        next(walk)
    walk.close()
    windows.clock.advance(901)
    continued = iris.series(pin, "Distance", *days, resume=walk.resume)
    with pytest.raises(QuotaExceededError):
        list(continued)
    assert windows.count("api", 200) == 46 + 1 + 5


def test_a_series_in_slow_steps_is_read_without_the_pool(session, windows) -> None:
    iris = session(windows, clock=windows.clock, max_wait=901, pool="never")
    short = YEAR[0], YEAR[0] + timedelta(days=30)
    assert list(iris.series(windows.asset_ids[0], "Distance", *short))
    assert 1795 < windows.clock.advanced < 1810
    assert windows.count("api", 429) == 0


def test_requests_that_the_quota_does_not_count_are_not_refused(session, sandbox) -> None:
    iris = session(sandbox, RateLimit("assets", 1, 1000, ASSETS))
    own = {"Authorization": f"Bearer {iris.fetch_token()['access_token']}"}
    assert len(list(iris.items(ASSETS, headers=own, params={"size": 50}))) == 250


def test_a_list_of_unknown_length_fails_at_the_page_without_a_slot(session, sandbox) -> None:
    iris = session(sandbox, RateLimit("operators", 2, 1000, OPERATORS), clock=sandbox.clock)
    walk = iris.items(OPERATORS, params={"limit": 100})
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    error = caught.value
    assert isinstance(error.__cause__, QuotaExceededError)
    assert (walk.items_read, sandbox.count("api")) == (200, 2)
    assert 900 < error.retry_after <= 1000
    sandbox.clock.advance(1001)
    assert len(list(iris.items(OPERATORS, params={"limit": 100}, resume=error.resume))) == 50


def test_a_resend_without_a_slot_in_a_walk_leaves_a_resume_point(session, sandbox) -> None:
    iris = session(sandbox, RateLimit("operators", 2, 1000, OPERATORS), clock=sandbox.clock)
    walk = iris.items(OPERATORS, params={"limit": 125})
    next(walk)
    sandbox.inject(Fault(status=401, body="{}"), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.response.status_code == 401
    assert isinstance(caught.value.__cause__, QuotaExceededError)
    sandbox.clock.advance(1001)
    assert len(list(iris.items(OPERATORS, params={"limit": 125}, resume=walk.resume))) == 125


#: A session waits for 100 s before the second page.
SLOW = RateLimit("assets", 1, 100, ASSETS)


def test_closing_a_walk_ends_the_wait_of_its_workers(session, sandbox) -> None:
    iris = session(sandbox, SLOW, clock=None)
    walk = iris.items(ASSETS, params={"size": 50}, max_workers=3)
    next(walk)
    start = time.monotonic()
    walk.close()
    assert time.monotonic() - start < 5
    assert sandbox.count("api") == 1
    assert (list(walk), walk.items_read, walk.finished) == ([], 1, False)


@pytest.mark.parametrize("workers", [1, 3])
def test_closing_a_walk_ends_the_wait_of_a_thread_that_reads_the_walk(
    session, sandbox, workers
) -> None:
    iris = session(sandbox, SLOW, clock=None)
    walk = iris.items(ASSETS, params={"size": 50}, max_workers=workers)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(list, walk)
        wait_until(lambda: walk.pages_read == 1)
        walk.close()
        with pytest.raises(CancelledError):
            reading.result(timeout=HUNG)
    assert sandbox.count("api") == 1
    assert (list(walk), walk.items_read, walk.finished) == ([], 50, False)
    iris.close()
    rest = session(sandbox, RateLimit("other", 9, 100, ASSETS))
    assert len(list(rest.items(ASSETS, params={"size": 50}, resume=walk.resume))) == 200


def test_closing_a_walk_during_a_request_ends_the_walk_after_the_request(session, sandbox) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hook(*_: Any, **__: Any) -> None:
        if sandbox.count("api") == 2:
            asked.set()
            answer.wait(HUNG)

    iris = session(sandbox, RateLimit("other", 9, 100, ASSETS))
    walk = iris.items(ASSETS, params={"size": 50}, hooks={"response": hook})
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(list, walk)
        assert asked.wait(HUNG)
        walk.close()
        answer.set()
        with pytest.raises(CancelledError):
            reading.result(timeout=HUNG)
    assert sandbox.count("api") == 2
    assert (list(walk), walk.finished) == ([], False)


def test_closing_an_outer_walk_ends_the_wait_of_a_walk_in_its_hook(session, sandbox) -> None:
    iris = session(sandbox, SLOW, clock=None)

    def hook(response: requests.Response, **_: Any) -> None:
        if "page=1" in response.url:
            list(iris.items(ASSETS, params={"size": 50}))

    plain = session(sandbox, RateLimit("other", 9, 100, ASSETS), clock=None)
    options = {"method": "POST", "json": EVENTS_BODY, "params": {"size": 50}}
    walk = plain.items(EVENTS, **options, max_workers=2, hooks={"response": hook})
    next(walk)
    wait_until(lambda: sandbox.count("api") >= 3)
    start = time.monotonic()
    walk.close()
    assert time.monotonic() - start < 5
