"""Fixtures: each pagination style by name, and one sandbox and one token for all tests of lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox
from requests_iris.sandbox.aemp import Habits

from .lists import LISTS

MACHINES = 250


@pytest.fixture(params=LISTS)
def style(request):
    """Every test that takes a `style` runs once for each pagination style."""
    return LISTS[request.param]


class Shared:
    """A sandbox and a token for many tests. Each test of its own would cost 60 ms."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.token: dict[str, Any] = {}

    def sign_in(self) -> dict[str, Any]:
        """A token that no test has used up."""
        if not self.token:
            with IrisSession(**self.sandbox.settings) as iris:
                iris.verify = self.sandbox.ca_file
                self.token = iris.fetch_token()
            self.sandbox.forget()
        return self.token

    def clean_up(self) -> None:
        """Makes the sandbox as good as new."""
        if self.sandbox.count("token") or self.sandbox.count("api", 401):
            self.token = {}
        self.sandbox.clear_faults()
        if self.sandbox.machines != MACHINES:
            self.sandbox.machines = MACHINES
        for name, value in asdict(Habits()).items():
            setattr(self.sandbox.aemp, name, value)
        self.sandbox.forget()


@pytest.fixture(scope="package")
def shared_sandbox() -> Iterator[Shared]:
    with Sandbox(machines=MACHINES) as sandbox:
        sandbox.graphql.window_limit = 10**9  # all tests share the window
        yield Shared(sandbox)


@pytest.fixture
def sandbox(shared_sandbox: Shared) -> Iterator[Sandbox]:
    yield shared_sandbox.sandbox
    shared_sandbox.clean_up()


@pytest.fixture
def iris(shared_sandbox: Shared, sandbox: Sandbox, clock) -> Iterator[IrisSession]:
    """A signed-in session that does not really wait before a retry."""
    token = shared_sandbox.sign_in()
    with IrisSession(**sandbox.settings, token=token, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        yield iris
