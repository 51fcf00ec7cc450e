"""Calls that type checkers must accept: an IrisSession where a requests.Session is expected.

Only type checkers read this file (``tox -e types``). Nothing in this file runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.util import Retry

from requests_iris import (
    DEFAULT_RETRY,
    IRIS_RATE_LIMITS,
    Clock,
    Counters,
    FileTokenStore,
    IrisError,
    IrisSession,
    ListError,
    Pool,
    Progress,
    Quota,
    RateLimit,
    ResumePoint,
    TokenDict,
    Updater,
    Walk,
    windows,
)


def reads(session: requests.Session) -> int:
    response: requests.Response = session.get("https://iris.trackunit.com/x", timeout=5)
    return response.status_code


def replaced() -> int:
    with IrisSession(scope="api", allowed_hosts=["example.org"]) as iris:
        sessions: list[requests.Session] = [iris, requests.Session()]
        auth: AuthBase = iris.bearer
        requests.get("https://iris.trackunit.com/x", auth=auth, timeout=5)
        response: requests.Response = iris.post("/x", json={"a": 1}, headers={"b": "c"})
        token: Mapping[str, object] = iris.token
        return sum(map(reads, sessions)) + len(token) + response.status_code


def created(**settings: Any) -> list[IrisSession]:
    updater: Updater = print
    return [
        IrisSession("client", client_secret="s", username="u", password="p"),
        IrisSession(token={"access_token": "a"}, token_updater=updater, leeway=False),
        IrisSession(token_store=False, retry=False, default_timeout=False, token_timeout=10),
        IrisSession(token_store=FileTokenStore("t.json"), retry=DEFAULT_RETRY, clock=Clock()),
        IrisSession(scope=["api"], allowed_hosts="h", retry=Retry(3), default_timeout=(1, None)),
        IrisSession(**settings),
        IrisSession.from_env(),
        IrisSession.from_env("ACME_", scope="api"),
    ]


def requested(iris: IrisSession) -> list[requests.Response]:
    return [
        iris.get("/x", {"size": 1}, withhold_token=True, timeout=5),
        iris.get("/x", params={"size": 1}, stream=True, idempotent=False),
        iris.options("/x", withhold_token=True),
        iris.head("/x", idempotent=True, allow_redirects=True),
        iris.post("/x", json={"a": [1]}, idempotent=True),
        iris.post("/x", b"data", None, headers={"a": "b"}, idempotent=True),
        iris.put("/x", b"data", json=None, idempotent=True),
        iris.patch("/x", data={"a": 1}, withhold_token=True),
        iris.delete("/x", params=[("a", "b")], idempotent=True),
        iris.request("POST", "/x", json=1, idempotent=True, withhold_token=False),
    ]


def listed(iris: IrisSession, saved: dict[str, Any]) -> None:
    bar: Progress = lambda read, total: None  # noqa: E731
    resume: ResumePoint | None = None
    try:
        walk: Walk[Any] = iris.items("/x")
        pages: Walk[requests.Response] = iris.pages("/x")
        with walk, pages as same:
            numbers: list[int] = [same.pages_read, walk.items_read, walk.total or 0]
            statuses: list[int] = [page.status_code for page in same]
            read: tuple[bool, ResumePoint | None] = (walk.finished, pages.resume)
            iterators: list[Iterator[Any]] = [walk, pages]
            saved.update(numbers=numbers, statuses=statuses, read=read, all=iterators)
        walk.close()
        for item in iris.items("/x", max_workers=3, params={"size": 1}, progress=bar):
            saved["last"] = item
        for page in iris.pages("/x", method="POST", json={}, resume=saved, timeout=(1, 2)):
            page.raise_for_status()
    except ListError as error:
        resume = error.resume
    for _ in iris.items("/x", items_path="data.x", resume=resume, progress=True, headers={}):
        pass


def series_of(iris: IrisSession, pins: list[str], saved: ResumePoint | None) -> ResumePoint | None:
    since, until = datetime(2025, 1, 1, tzinfo=UTC), datetime.now(UTC)
    day = timedelta(days=1)
    pair: tuple[datetime, datetime]
    for pair in windows(since, until, step=day, lookback=None):
        for pin in pins:
            for item in iris.series(pin, "Distance", *pair, account="123/-1", timeout=5):
                print(item["datetime"])
    with iris.series(pins[0], "Distance", since, until, lookback=day, resume=saved) as walk:
        number: int = walk.items_read + walk.pages_read + (walk.total or 0)
        print(number, walk.finished)
    return walk.resume


def properties(iris: IrisSession) -> tuple[TokenDict, Counters]:
    iris.token = {"access_token": "a"}
    iris.token = iris.fetch_token()
    iris.token_updater = None
    iris.scope = ["api"]
    iris.client_id = "client"
    iris.auto_refresh_url = iris.token_url
    iris.base_url = "https://example.org"
    iris.default_timeout = 5
    seconds: float = iris.leeway + iris.token_timeout + iris.pool_maxsize
    scope: list[str] = iris.token.get("scope", [])
    user: str | None = iris.username
    iris.refresh_token(refresh_token=iris.token.get("refresh_token"))
    print(seconds, scope, user, iris.token_store, iris.allowed_hosts, iris.retry, iris.clock)
    return iris.token, iris.counters


def quotas() -> tuple[float, int, str]:
    reports = RateLimit("reports", 2, 1800, "/reports$", pool=Pool(5, 30))
    quota = Quota("quota.db", limits=(*IRIS_RATE_LIMITS, reports), max_wait=900, pool="never")
    with IrisSession(quota=quota) as iris, IrisSession(quota="memory"), IrisSession(quota=False):
        if iris.quota is not None:
            state = iris.quota.state("/reports", method="POST")
            if state is not None:
                return state.retry_after, state.remaining, state.rule
    return 0.0, 0, ""


def caught(error: requests.RequestException) -> bool:
    return isinstance(error, IrisError) and error.retryable
