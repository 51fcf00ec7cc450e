"""The errors, as a caller sees them: their classes, attributes, copies and pickles."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from oauthlib import oauth2
from requests import PreparedRequest, Response

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


_LIST = {"pages_read": 2, "items_read": 40, "resume": {"number": 2, "list": "l"}}
_REFUSED = {"error": "e", "description": "d", "response": _response(400)}
#: An error of each class, with all attributes.
EXAMPLES = [
    errors.IrisError("m", response=_response(500)),
    errors.SettingError("m", setting="s", variable="v"),
    errors.MissingSettingError("m", setting="s", variable="v"),
    errors.QuotaExceededError(
        "m", retry_after=7.5, limit=1, pool_remaining=3, rule="r", key="k", response=_response(401)
    ),
    errors.ListError("m", response=_response(500), **_LIST),
    errors.NotAListError("m", keys=("a", "b"), **_LIST),
    errors.IncompleteListError("m", retryable=True, **_LIST),
    errors.GraphQLError("m", errors=({"message": "e"},), **_LIST),
    errors.RateLimitedError("m", retry_after=586.351, retryable=True, **_LIST),
    errors.QueryComplexityError("m", complexity=480_011, limit=50_000, **_LIST),
    errors.TokenError("m", response=_response(500)),
    errors.TokenRefusedError("m", **_REFUSED),
    errors.InvalidClientError("m", **_REFUSED),
    errors.InvalidGrantError("m", **_REFUSED),
    errors.InvalidScopeError("m", **_REFUSED),
    errors.TokenUnreachableError("m"),
    errors.TokenTimeoutError("m"),
    errors.TokenResponseError("m", retryable=True, retry_after=7.5, response=_response(503)),
]


def _id(error: errors.IrisError) -> str:
    return type(error).__name__


def _tree() -> Iterator[tuple[str, str]]:
    """Each class in the docstring's tree, with its base."""
    path: list[tuple[int, str]] = []
    for drawn in re.finditer(
        r"^([ │├└─]+)([\w.]+(?:Error|Exception))\b", errors.__doc__ or "", re.M
    ):
        depth, name = len(drawn[1]), drawn[2]
        path = [(d, n) for d, n in path if d < depth]
        if path:
            yield name, path[-1][1]
        path.append((depth, name))


def test_the_tree_in_the_docstring_of_errors_matches_the_classes() -> None:
    parents = {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}
    drawn = [(name, parent.removeprefix("requests.")) for name, parent in _tree()]
    assert sorted(drawn) == sorted(parents.items())


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_a_requests_exception(name: str) -> None:
    assert issubclass(CLASSES[name], requests.RequestException)


def test_only_a_refused_setting_is_a_value_error() -> None:
    found = {name for name, cls in CLASSES.items() if issubclass(cls, ValueError)}
    assert found == {"SettingError", "MissingSettingError"}


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_can_be_imported_from_the_package(name: str) -> None:
    assert getattr(requests_iris, name) is CLASSES[name]
    assert name in requests_iris.__all__


def test_the_examples_of_these_tests_cover_every_error_class() -> None:
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


CAUGHT_AS = [
    (errors.TokenUnreachableError, requests.ConnectionError),
    (errors.TokenTimeoutError, requests.ConnectionError),
    (errors.TokenTimeoutError, requests.Timeout),
    (errors.TokenRefusedError, requests.HTTPError),
    (errors.TokenResponseError, requests.HTTPError),
    (errors.InvalidClientError, oauth2.InvalidClientError),
    (errors.InvalidGrantError, oauth2.InvalidGrantError),
    (errors.InvalidScopeError, oauth2.InvalidScopeError),
    (errors.InvalidScopeError, oauth2.OAuth2Error),
]


@pytest.mark.parametrize(("ours", "theirs"), CAUGHT_AS)
def test_an_except_clause_for_requests_or_oauthlib_catches_our_error(ours, theirs) -> None:
    with pytest.raises(theirs, match=r"\Am\Z") as caught:
        raise ours("m", response=_response(400))
    assert type(caught.value) is ours
    assert caught.value.response.status_code == 400


def test_an_unreachable_endpoint_is_not_a_timeout_or_an_http_error() -> None:
    error = errors.TokenUnreachableError("m")
    assert not isinstance(error, (requests.Timeout, requests.HTTPError))


@pytest.mark.parametrize(
    ("cls", "code"),
    [
        (errors.TokenRefusedError, None),
        (errors.InvalidClientError, "invalid_client"),
        (errors.InvalidGrantError, "invalid_grant"),
        (errors.InvalidScopeError, "invalid_scope"),
    ],
)
def test_a_refusal_without_an_error_member_has_the_code_of_its_class(cls, code) -> None:
    assert (cls("m").error, cls("m").description) == (code, None)
    assert cls("m", error="other").error == "other"


@pytest.mark.parametrize("cls", [errors.InvalidClientError, errors.InvalidGrantError])
def test_the_methods_of_an_oauthlib_error_work(cls) -> None:
    error = cls("m", error="e", description="d", response=_response(400))
    assert error.twotuples == [("error", "e"), ("error_description", "d")]
    assert error.uri is error.state is None
    assert error.status_code == 400


def _facts(error: errors.IrisError) -> tuple[Any, ...]:
    response = error.response
    members = {name: value for name, value in vars(error).items() if name != "response"}
    answer = response is not None and (response.status_code, response.content)
    return type(error), str(error), error.retryable, members, answer


@pytest.mark.parametrize("cls", CLASSES.values())
def test_every_error_can_be_made_without_arguments(cls: type[errors.IrisError]) -> None:
    assert cls().response is None


def test_only_an_unreachable_token_endpoint_and_a_quota_are_retryable_by_default() -> None:
    retryable = {name for name, cls in CLASSES.items() if cls("m").retryable}
    assert retryable == {"TokenUnreachableError", "TokenTimeoutError", "QuotaExceededError"}
    assert errors.TokenResponseError("m", retryable=True).retryable


@pytest.mark.parametrize(
    "name", [n for n, c in CLASSES.items() if issubclass(c, errors.TokenError)]
)
def test_a_token_error_has_the_status_of_the_response(name: str) -> None:
    assert CLASSES[name]("m", response=_response(418)).status_code == 418
    assert CLASSES[name]("m").status_code is None


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_duplicate_keeps_the_cause_and_the_cause_of_the_cause(duplicate) -> None:
    error, cause = errors.ListError("m"), errors.TokenUnreachableError("cause")
    error.__cause__, cause.__cause__ = cause, requests.ConnectionError("network")
    again = duplicate(error)
    assert isinstance(again.__cause__, errors.TokenUnreachableError)
    assert isinstance(again.__cause__.__cause__, requests.ConnectionError)
    assert str(again.__cause__.__cause__) == "network"


class _Unloadable(Exception):
    """Pickles, but the pickle cannot be loaded: `__init__` has a second argument."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def _with_hooks(response: Response) -> Response:
    request = PreparedRequest()
    request.prepare(
        "POST",
        "https://iris.trackunit.com/x",
        data=(piece for piece in [b"body"]),
        hooks={"response": lambda response, **_: None},
    )
    response.request = request
    return response


def test_an_error_with_a_part_that_cannot_be_pickled_can_be_pickled() -> None:
    error = errors.ListError("m", response=_with_hooks(_response(503)), **_LIST)
    error.part = _Unloadable("one", "two")
    error.lock = threading.Lock()
    loaded = pickle.loads(pickle.dumps(error))
    assert (loaded.pages_read, loaded.items_read, loaded.resume) == (2, 40, _LIST["resume"])
    assert (loaded.response.status_code, loaded.response.json()["error"]) == (503, "invalid_grant")
    assert loaded.response.request.url == loaded.request.url == "https://iris.trackunit.com/x"
    assert loaded.request.body is None
    assert loaded.part is loaded.lock is None
    assert copy.copy(error).lock is error.lock


class _Subclass(errors.IrisError):
    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")
        self.number = number


def test_an_error_of_a_user_with_an_init_of_its_own_pickles() -> None:
    loaded = pickle.loads(pickle.dumps(_Subclass(7)))
    assert (type(loaded), loaded.number, str(loaded)) == (_Subclass, 7, "number 7")
