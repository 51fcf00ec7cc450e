"""Fixtures for the tests of quotas: a place for each kind of store, and sessions with a quota."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from requests_iris import IrisSession, Quota, RateLimit
from requests_iris.sandbox import Sandbox

from ..support.clocks import SkippingClock
from ..support.redis_server import RedisServer, free_port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis for all tests of quotas. Each test uses a host or an owner of its own."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the system's package")
    with free_port() as port:
        server = RedisServer(tmp_path_factory.mktemp("redis"), port).start()
        yield server.url
        server.stop()


@pytest.fixture(params=["memory", "file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `quota` for each kind of store."""
    if request.param == "redis":
        return request.getfixturevalue("redis_url")
    return "memory" if request.param == "memory" else str(tmp_path / "made" / "quota.db")


@pytest.fixture
def session() -> Iterator[Callable[..., Any]]:
    """Makes sessions for a sandbox, each with rules and a clock of its own."""
    made: list[IrisSession] = []

    def make(
        sandbox: Sandbox,
        limits: RateLimit | Iterable[RateLimit] | None = None,
        *,
        kind: type[IrisSession] = IrisSession,
        max_wait: float = 120,
        pool: str = "walk",
        at: str = "memory",
        **settings: Any,
    ) -> IrisSession:
        rules = [limits] if isinstance(limits, RateLimit) else limits
        options = {} if rules is None else {"limits": rules}
        quota = Quota(at, **options, max_wait=max_wait, pool=pool)
        settings = {"clock": SkippingClock(), "quota": quota, **settings}
        iris = kind(**{**sandbox.settings, **settings})
        iris.verify = sandbox.ca_file
        made.append(iris)
        return iris

    yield make
    for each in made:
        each.close()
