"""Sessions with a quota."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from requests_iris import IrisSession, Quota, RateLimit
from requests_iris.sandbox import Sandbox

from ..support.clocks import SkippingClock


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
        **settings: Any,
    ) -> IrisSession:
        rules = [limits] if isinstance(limits, RateLimit) else limits
        options = {} if rules is None else {"limits": rules}
        quota = Quota("memory", **options, max_wait=max_wait, pool=pool)
        settings = {"clock": SkippingClock(), "quota": quota, **settings}
        iris = kind(**{**sandbox.settings, **settings})
        iris.verify = sandbox.ca_file
        made.append(iris)
        return iris

    yield make
    for each in made:
        each.close()
