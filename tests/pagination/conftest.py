"""Fixtures: each style of list by name, and one sandbox for all tests of lists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from requests_iris.sandbox import Sandbox
from requests_iris.sandbox.aemp import Habits

from .lists import LISTS

MACHINES = 250


@pytest.fixture(params=LISTS)
def style(request):
    """Every test that takes a `style` runs once for each pagination style."""
    return LISTS[request.param]


@pytest.fixture(scope="package")
def _running() -> Iterator[Sandbox]:
    with Sandbox(machines=MACHINES) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Iterator[Sandbox]:
    """A sandbox that is as good as new. A certificate and three servers per test took 40 ms."""
    yield _running
    _running.clear_faults()
    if _running.machines != MACHINES:
        _running.machines = MACHINES
    vars(_running.aemp).update(vars(Habits()))
    _running.forget()
