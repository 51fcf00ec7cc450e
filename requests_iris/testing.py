"""pytest fixtures: an IRIS to test against, without an account and without the network.

pytest loads this module at each start, in every environment where the package is installed.
Therefore the imports of a fixture wait until a test uses the fixture.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from . import IrisSession
    from .sandbox import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "iris_sandbox(**settings): the arguments of the fixture iris_sandbox, such as "
        "machines=1000, token_lifetime=2; help(requests_iris.sandbox.Sandbox) lists all of them",
    )


@pytest.fixture
def iris_sandbox(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """A local IRIS, new for each test: no test shares credentials, machines or tokens.

    During the test, the environment variables lead to the sandbox, so ``IrisSession()`` in the code
    under test signs in to the sandbox. The mark ``iris_sandbox`` takes the arguments of
    :class:`requests_iris.sandbox.Sandbox`. A wrong argument is an error with the right arguments.

    An IrisSession reads the environment when the session is created. A session that is created
    before the fixture starts does not know the sandbox: the first request says that the credentials
    were not set when the session was created. The usual case is a global variable of a module,
    because pytest imports the module first. Create the session in a function instead, or import the
    module inside the test.

    :raises ModuleNotFoundError: without the extra ``sandbox``.
    """
    from .sandbox import Sandbox

    with _made(Sandbox, request.node.get_closest_marker("iris_sandbox")) as sandbox:
        _lead_to(sandbox, monkeypatch)
        yield sandbox


@pytest.fixture
def iris_session(iris_sandbox: Sandbox) -> Iterator[IrisSession]:  # noqa: ARG001
    """A session for `iris_sandbox`, created from the environment variables alone."""
    from . import IrisSession

    with IrisSession() as session:
        yield session


def _made(kind: type[Sandbox], mark: pytest.Mark | None) -> Sandbox:
    """A sandbox with the arguments of the mark."""
    settings: dict[str, Any] = dict(mark.kwargs) if mark else {}
    known = inspect.signature(kind).parameters
    wrong = [repr(value) for value in mark.args] if mark else []
    wrong += [f"{name}=" for name in settings if name not in known]
    if wrong:
        _fail(
            f"The mark iris_sandbox does not know {', '.join(wrong)}. "
            f"Its arguments are {', '.join(f'{name}=' for name in known)}."
        )
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        _fail(f"The mark iris_sandbox has a wrong argument: {error}")


def _fail(message: str) -> NoReturn:
    # Without a traceback: the mistake is in the mark, and no frame shows the mark.
    pytest.fail(message, pytrace=False)


def _lead_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the account and the proxy of the environment by the sandbox."""
    for name in [name for name in os.environ if name.startswith("TRACKUNIT_")]:
        monkeypatch.delenv(name)
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
