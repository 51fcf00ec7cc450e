"""Fixtures for all tests: a sandbox, a session, and an environment without surprises."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import forkserver

import pytest

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox

from .support.clocks import SkippingClock
from .support.depth import register_profiles
from .support.redis_server import redis_server  # noqa: F401

register_profiles()

# In the background of a shell, or under nohup, the processes of the tests would ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With ``-n auto``, run two tests per processor: a third of the time a test only waits."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """Start the fork server, if a test has processes, and spare the garbage collector the tests.

    The server keeps the environment of its start for all processes, so the server starts before
    any test sets a variable such as REQUESTS_CA_BUNDLE.

    All modules and all tests are 350,000 objects. Each `gc.collect()` of a test would visit them.
    """
    if "tests.support.processes" in sys.modules:
        with pytest.MonkeyPatch.context() as patch:
            hide_settings(patch)
            forkserver.ensure_running()
    gc.collect()
    gc.freeze()


def hide_settings(patch: pytest.MonkeyPatch) -> None:
    """Hide the developer's settings: credentials, proxies, certificates."""
    for name in list(os.environ):
        if name.startswith("TRACKUNIT_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            patch.delenv(name)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    """Hide the developer's settings, and the developer's netrc."""
    hide_settings(monkeypatch)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.getbasetemp() / "no-netrc"))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def clock() -> SkippingClock:
    """The clock of the session `iris`: it skips pauses, and a test can move it."""
    return SkippingClock()


@pytest.fixture
def iris(sandbox: Sandbox, clock: SkippingClock) -> Iterator[IrisSession]:
    """A session that does not really wait before a retry."""
    with IrisSession(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris
