"""pytest fixtures: an IRIS to test against, without an account and without the network.

pytest loads this module at each start, in every environment that has the package installed. So
nothing is imported here that the fixtures alone need.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import IrisSession
    from .sandbox import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "iris_sandbox(**settings): how the fixture iris_sandbox is made, such as machines=1000, "
        "token_lifetime=2",
    )


@pytest.fixture
def iris_sandbox(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """A local IRIS, with accounts, fleet and tokens of its own for each test.

    For the time of the test the environment leads there: ``IrisSession()`` of the code under test
    signs in to it. The mark ``iris_sandbox`` takes the arguments of
    :class:`requests_iris.sandbox.Sandbox`.

    :raises ModuleNotFoundError: without the extra ``sandbox``.
    """
    from .sandbox import Sandbox

    mark = request.node.get_closest_marker("iris_sandbox")
    with Sandbox(*(mark.args if mark else ()), **(mark.kwargs if mark else {})) as sandbox:
        _lead_to(sandbox, monkeypatch)
        yield sandbox


@pytest.fixture
def iris_session(iris_sandbox: Sandbox) -> Iterator[IrisSession]:  # noqa: ARG001
    """A session for `iris_sandbox`, made of the environment alone."""
    from . import IrisSession

    with IrisSession() as session:
        yield session


def _lead_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the sandbox in the place of whatever account and proxy the environment names."""
    for name in [name for name in os.environ if name.startswith("TRACKUNIT_")]:
        monkeypatch.delenv(name)
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
