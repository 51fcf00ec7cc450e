"""Without a quota: a 429 is hardly ever retried where a rate limit has a long window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from requests_iris import IncompleteListError, IrisSession
from requests_iris.retry import DEFAULT_RETRY
from requests_iris.sandbox import Fault, Sandbox

from .support.clocks import SkippingClock
from .support.paths import EVENTS, EVENTS_BODY, FLEET, JSON, OPERATORS

PAGE = f"{FLEET}/1"
SERIES = f"{FLEET}/Equipment/ID/a%2Fb/Distance/2025-01-01/2025-01-14/1"
LONG = [PAGE, SERIES, f"{FLEET}/Equipment/ID/7", "/api/alerts/v1/alerts", "/api/emissions/v1/x"]
SHORT = [OPERATORS, "/echo", "/api/asset/v1/assets", "/api/location/v1/locations"]


def too_many(retry_after: str | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fault(status=429, body='{"status": 429}', headers=headers)


def in_a_minute() -> str:
    moment = datetime.now(UTC) + timedelta(seconds=60)
    return format_datetime(moment, usegmt=True)


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Callable[..., IrisSession]]:
    made = []

    def make(**settings: Any) -> IrisSession:
        iris = IrisSession(**sandbox.settings, **{"clock": SkippingClock(), **settings})
        iris.verify = sandbox.ca_file
        made.append(iris)
        return iris

    yield make
    for each in made:
        each.close()


class Eager(Retry):
    """Retries every 429, whatever the headers, and pauses on its own."""

    def is_retry(self, method, status_code, has_retry_after=False) -> bool:
        return status_code == 429 or super().is_retry(method, status_code, has_retry_after)

    def sleep(self, response=None) -> None:
        """Does not pause."""


@pytest.mark.parametrize("path", LONG)
def test_a_429_of_a_path_with_a_long_window_is_not_retried(iris, sandbox, path) -> None:
    sandbox.inject(too_many(), on="api", times=9)
    assert iris.get(path).status_code == 429
    assert sandbox.count("api") == 1


@pytest.mark.parametrize("path", SHORT)
def test_a_429_of_any_other_path_keeps_the_usual_retries(iris, sandbox, path) -> None:
    sandbox.inject(too_many(), on="api", times=9)
    assert iris.get(path).status_code == 429
    assert sandbox.count("api") == 5


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(drop="after"), Fault(truncate=3)])
def test_other_faults_of_a_path_with_a_long_window_keep_the_usual_retries(
    iris, sandbox, fault
) -> None:
    sandbox.inject(fault, on="api", times=4)
    assert iris.get(PAGE, headers=JSON).ok
    assert sandbox.count("api") == 5


@pytest.mark.parametrize(
    ("asked", "attempts", "seconds"),
    [
        ("7", 2, 7),
        (in_a_minute, 2, 60),
        ("120", 2, 120),
        ("121", 1, 0),
        ("900", 1, 0),
        ("soon", 1, 0),
        ("-1", 1, 0),
    ],
    ids=["7", "date", "120", "121", "900", "no number", "negative"],
)
def test_a_retry_after_within_the_longest_wait_leads_to_one_retry(
    iris, sandbox, clock, asked, attempts, seconds
) -> None:
    asked = asked() if callable(asked) else asked
    sandbox.inject(too_many(asked), on="api", times=9)
    assert iris.get(PAGE).status_code == 429
    assert sandbox.count("api") == attempts
    assert seconds - 5 <= clock.skipped <= seconds + 0.5


def test_a_retry_after_the_time_of_a_429_brings_the_page(iris, sandbox) -> None:
    sandbox.inject(Fault(status=503), on="api")
    sandbox.inject(too_many("7"), on="api")
    sandbox.inject(Fault(status=503), on="api")
    assert iris.get(PAGE, headers=JSON).ok
    assert sandbox.count("api") == 4


POLICIES = {
    "a policy that ignores Retry-After": (
        Retry(3, status_forcelist=[429], respect_retry_after_header=False),
        {"": 1, "7": 1},
    ),
    "a policy without 429": (Retry(3, status_forcelist=[503]), {"": 1, "7": 2}),
    "a policy for all methods": (
        Retry(3, status_forcelist=[429], allowed_methods=None),
        {"": 1, "7": 2, "500": 1},
    ),
    "a subclass with pauses of its own": (Eager(3), {"": 1, "7": 2, "500": 1}),
    "a short longest wait": (DEFAULT_RETRY.new(backoff_max=5), {"": 1, "5": 2, "7": 1}),
    "a longest wait as long as the window": (
        DEFAULT_RETRY.new(backoff_max=900),
        {"": 5, "7": 5, "901": 1},
    ),
    "no retries": (0, {"": 1, "7": 1}),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_429_follows_the_policy_of_the_user(session, sandbox, name) -> None:
    policy, expected = POLICIES[name]
    iris = session(retry=policy)
    iris.fetch_token()
    found = {}
    for asked in expected:
        sandbox.forget()
        sandbox.clear_faults()
        sandbox.inject(too_many(asked or None), on="api", times=9)
        assert iris.get(PAGE).status_code == 429
        found[asked] = sandbox.count("api")
    assert found == expected


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("method", "path"), [("GET", PAGE), ("POST", EVENTS)])
def test_a_walk_raises_its_error_with_a_resume_point_after_one_429(
    iris, sandbox, method, path, workers
) -> None:
    options: dict[str, Any] = {"method": method}
    if method == "POST":
        options.update(json=EVENTS_BODY, params={"size": 50})
    walk = iris.items(path, **options, max_workers=workers)
    second = path if method == "POST" else f"{FLEET}/2"
    sandbox.inject(too_many(), on="api", path=second, after=int(second == path))
    with pytest.raises(requests.HTTPError) as caught:
        list(walk)
    assert isinstance(caught.value, IncompleteListError)
    assert caught.value.response.status_code == 429
    assert caught.value.retryable
    assert sandbox.count("api", 429) == 1
    rest = list(iris.items(path, **options, resume=caught.value.resume))
    assert walk.items_read + len(rest) == len(sandbox.asset_ids)


def test_the_first_page_of_a_walk_raises_after_one_429(iris, sandbox) -> None:
    sandbox.inject(too_many(), on="api", times=9)
    with pytest.raises(requests.HTTPError):
        next(iris.items(PAGE))
    assert sandbox.count("api") == 1


def test_an_adapter_of_the_caller_keeps_its_own_retries(iris, sandbox) -> None:
    policy = Retry(3, status_forcelist=[429], raise_on_status=False)
    iris.mount("https://", HTTPAdapter(max_retries=policy))
    sandbox.inject(too_many(), on="api", times=9)
    assert iris.get(PAGE).status_code == 429
    assert sandbox.count("api") == 4
