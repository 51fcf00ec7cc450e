"""What the tests share: an IRIS of their own, a session, and an environment without surprises."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from requests_iris import IrisSession
from requests_iris.clock import Clock
from requests_iris.sandbox import Sandbox

from .redis_server import redis_server  # noqa: F401

#: Seconds after which what has not come yet is taken for hung: a slow machine is none.
HUNG = 60

# in the background of a shell Ctrl-C would be ignored, by what the tests start, too
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    """No setting of whoever runs the tests: credentials, proxies, netrc, certificates."""
    for name in list(os.environ):
        if name.startswith("TRACKUNIT_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.getbasetemp() / "no-netrc"))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


class SkippingClock(Clock):
    """The clocks of the system, set forward instead of slept through."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


@pytest.fixture
def clock() -> SkippingClock:
    """The clock of the session `iris`: it skips pauses, and a test can move it on."""
    return SkippingClock()


@pytest.fixture
def iris(sandbox: Sandbox, clock: SkippingClock) -> Iterator[IrisSession]:
    """A session that does not really wait before a retry."""
    with IrisSession(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris


def skip_pauses(iris: IrisSession) -> SkippingClock:
    """Gives an existing session a clock. Old tests use this; a new test passes `clock=`."""
    clock = SkippingClock()
    iris.adapters["https://"]._clock = clock
    iris._source._clock = iris._source._endpoint._clock = clock
    return clock


def wait_until(done: Callable[[], bool]) -> None:
    """For what another thread or process is about to do."""
    ends = time.monotonic() + HUNG
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.01)
