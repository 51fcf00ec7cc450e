"""What can go wrong, as a caller sees it."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests import Response

import requests_iris
from requests_iris import errors

CLASSES = {
    name: cls
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
}


def _response(status: int) -> Response:
    response = Response()
    response.status_code, response._content = status, b'{"error": "invalid_grant"}'
    return response


_LIST = {"pages_read": 2, "items_read": 40, "resume": {"number": 2}}
_REFUSED = {"error": "e", "description": "d", "response": _response(400)}
#: One of each class, with all that it can hold.
EXAMPLES = [
    errors.IrisError("m", response=_response(500)),
    errors.SettingError("m", setting="s"),
    errors.MissingSettingError("m", setting="s", variable="v"),
    errors.ListError("m", response=_response(500), **_LIST),
    errors.NotAListError("m", keys=("a", "b"), **_LIST),
    errors.IncompleteListError("m", retryable=True, **_LIST),
    errors.GraphQLError("m", errors=({"message": "e"},), **_LIST),
    errors.TokenError("m", response=_response(500)),
    errors.TokenRefusedError("m", **_REFUSED),
    errors.InvalidClientError("m", **_REFUSED),
    errors.InvalidGrantError("m", **_REFUSED),
    errors.TokenUnreachableError("m"),
    errors.TokenResponseError("m", retryable=True, retry_after=7.5, response=_response(503)),
]


def _id(error: errors.IrisError) -> str:
    return type(error).__name__


def _tree() -> Iterator[tuple[str, str]]:
    """Each class that the docstring draws, with the one that it hangs on."""
    path: list[tuple[int, str]] = []
    for drawn in re.finditer(
        r"^([ │├└─]+)([\w.]+(?:Error|Exception))\b", errors.__doc__ or "", re.M
    ):
        depth, name = len(drawn[1]), drawn[2]
        path = [(d, n) for d, n in path if d < depth]
        if path:
            yield name, path[-1][1]
        path.append((depth, name))


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """All classes of the module, only these, and each where it hangs."""
    parents = {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}
    drawn = [(name, parent.removeprefix("requests.")) for name, parent in _tree()]
    assert sorted(drawn) == sorted(parents.items())


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_caught_as_one_of_requests(name: str) -> None:
    assert issubclass(CLASSES[name], requests.RequestException)


def test_a_refused_setting_is_a_value_error_and_no_other_error_is_one() -> None:
    found = {name for name, cls in CLASSES.items() if issubclass(cls, ValueError)}
    assert found == {"SettingError", "MissingSettingError"}


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_can_be_imported_from_the_package(name: str) -> None:
    assert getattr(requests_iris, name) is CLASSES[name]
    assert name in requests_iris.__all__


def test_there_is_an_example_of_every_class() -> None:
    assert {_id(error) for error in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize("error", EXAMPLES, ids=_id)
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_every_error_can_be_pickled_and_copied_whole(
    error: errors.IrisError, duplicate: Callable[[Any], Any]
) -> None:
    assert duplicate(error) is not error
    assert _facts(duplicate(error)) == _facts(error)


def _facts(error: errors.IrisError) -> tuple[Any, ...]:
    response = error.response
    members = {name: value for name, value in vars(error).items() if name != "response"}
    answer = response is not None and (response.status_code, response.content)
    return type(error), str(error), error.retryable, members, answer


@pytest.mark.parametrize("cls", CLASSES.values())
def test_every_error_can_be_made_without_arguments(cls: type[errors.IrisError]) -> None:
    assert cls().response is None


def test_only_what_patience_can_mend_is_retryable() -> None:
    retryable = {name for name, cls in CLASSES.items() if cls("m").retryable}
    assert retryable == {"TokenUnreachableError"}
    assert errors.TokenResponseError("m", retryable=True).retryable


@pytest.mark.parametrize(
    "name", [n for n, c in CLASSES.items() if issubclass(c, errors.TokenError)]
)
def test_an_error_about_a_token_has_the_status_of_the_reply(name: str) -> None:
    assert CLASSES[name]("m", response=_response(418)).status_code == 418
    assert CLASSES[name]("m").status_code is None
