"""requests-ratelimiter: fewer requests than IRIS allows, for API calls."""

from __future__ import annotations

import time

import pytest
import requests
from requests_ratelimiter import LimiterAdapter, LimiterMixin

from requests_iris import IrisSession

ASSETS = "/api/asset/v1/assets"


class Limited(LimiterMixin, IrisSession):
    """requests-ratelimiter's documented way to limit another session."""


def seconds_for(times: int, session: IrisSession) -> float:
    start = time.monotonic()
    assert all(session.get(ASSETS).ok for _ in range(times))
    return time.monotonic() - start


def test_a_limiter_as_a_mixin_delays_requests_beyond_its_rate(sandbox) -> None:
    with Limited(per_second=2, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert seconds_for(3, iris) > 0.4
    assert sandbox.count("api", 200) == 3


def test_a_limiter_as_a_mixin_does_not_count_token_requests(sandbox) -> None:
    with Limited(per_hour=1, max_delay=0, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        iris.fetch_token()
        iris.refresh_token()
        assert iris.get(ASSETS).ok


def test_a_limiter_as_an_adapter_delays_requests_beyond_its_rate(iris, sandbox) -> None:
    iris.mount(sandbox.base_url, LimiterAdapter(per_second=2))
    assert seconds_for(3, iris) > 0.4
    assert sandbox.count("api", 200) == 3


def test_a_limited_session_resends_after_a_401(sandbox) -> None:
    with Limited(per_second=100, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert iris.get(ASSETS).ok
        sandbox.expire_access_tokens()
        assert iris.get(ASSETS).ok
    assert sandbox.count("refresh_token") == 1


def test_a_limiter_as_a_mixin_does_not_count_a_resend(sandbox) -> None:
    with Limited(per_hour=1, max_delay=0, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        iris.fetch_token()
        sandbox.expire_access_tokens()
        assert iris.get(ASSETS).ok
        with pytest.raises(requests.Timeout, match="Rate limit"):
            iris.get(ASSETS)


def test_a_limiter_as_an_adapter_counts_a_resend(iris, sandbox) -> None:
    iris.mount(sandbox.base_url, LimiterAdapter(per_hour=1, max_delay=0))
    iris.fetch_token()
    sandbox.expire_access_tokens()
    with pytest.raises(requests.Timeout, match="Rate limit"):
        iris.get(ASSETS)


def test_the_caller_gets_a_429_beyond_the_limit_of_the_server(sandbox) -> None:
    sandbox.limit(ASSETS, requests=1, per=60)
    with Limited(per_second=100, **sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        assert [iris.get(ASSETS).status_code for _ in range(2)] == [200, 429]
