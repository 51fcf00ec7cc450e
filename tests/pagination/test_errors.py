"""The error of a list says how much was read and which page failed, and shows no secret."""

from __future__ import annotations

import json
import pickle
import re

import pytest

from requests_iris import IncompleteListError, InvalidClientError, ListError
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS
from .lists import ids, the_whole, walkers


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=429), Fault(drop="before"), Fault(truncate=20)]
)
def test_a_failed_page_is_an_error_and_the_list_resumes_there(
    sandbox, iris, style, fault, workers
) -> None:
    """The transport may retry: the fault lasts longer than any retry."""
    url, arguments, name = style
    found = []
    sandbox.inject(Fault(), on="api")
    sandbox.inject(fault, on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        found.extend(iris.items(url, max_workers=workers, **arguments))
    error = caught.value
    with pytest.raises(IncompleteListError) as caught:
        next(iris.items(url, max_workers=workers, resume=error.resume, **arguments))
    assert (caught.value.resume, caught.value.items_read) == (error.resume, 0)
    sandbox.clear_faults()
    assert error.retryable
    assert error.items_read == len(found)
    assert error.pages_read > 0
    resume = json.loads(json.dumps(error.resume))
    found += iris.items(url, max_workers=workers, resume=resume, **arguments)
    assert ids(found) == ids(the_whole(name))
    assert walkers() == []


def test_the_first_request_of_a_list_fails_as_get_fails(iris) -> None:
    """Nothing was read, so the error has no resume point."""
    iris.token, iris.client_id = {}, "nobody"
    with pytest.raises(InvalidClientError):
        list(iris.items(ASSETS))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("status", [400, 503])
def test_a_list_error_has_the_response_of_the_failed_page(
    sandbox, iris, style, workers, status
) -> None:
    url, arguments, _ = style
    walk = iris.items(url, max_workers=workers, **arguments)
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(status=status), on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.response.status_code == status
    assert caught.value.retryable is (status == 503)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=400, body={"code": "broken"}), "the server answered with 400 broken"),
        (Fault(status=400), "the server answered with 400 (?i:bad request)"),
        (
            Fault(status=200, body="<html>"),
            "the page is no JSON object, but text/html; charset=utf-8",
        ),
        (
            Fault(status=200, body="[" * 100_000),
            "the page is no JSON object, but text/html; .* that is nested too deeply",
        ),
        (Fault(drop="before"), r"the page could not be read \(ConnectionError: .*"),
        (Fault(reply={"number": 9}), "number 1 was asked for, and number 9 came"),
    ],
)
def test_a_list_error_names_the_failed_page(sandbox, iris, fault, told, workers) -> None:
    sandbox.inject(Fault(), on="api")
    sandbox.inject(fault, on="api", times=1000)
    with pytest.raises(ListError) as caught:
        list(iris.items(ASSETS, params={"size": 10, "q": "secret"}, max_workers=workers))
    assert re.fullmatch(f"page 2 of the list, GET {ASSETS}: {told}", str(caught.value))
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


def test_a_page_that_is_no_json_object_is_an_error(sandbox, iris) -> None:
    sandbox.inject(Fault(status=200, body="[1]"), on="api")
    with pytest.raises(IncompleteListError, match="no JSON object, but text/html") as caught:
        list(iris.items(ASSETS))
    assert caught.value.retryable  # such as the page of a proxy


def test_a_later_page_that_fails_for_good_is_not_retryable(iris) -> None:
    walk = iris.pages(ASSETS, params={"size": 100})
    next(walk)
    iris.token, iris.verify = {}, "/not/there.pem"
    with pytest.raises(IncompleteListError, match="TokenUnreachableError") as caught:
        next(walk)
    assert not caught.value.retryable


def test_an_error_of_a_connection_does_not_show_the_query(sandbox, iris) -> None:
    walk = iris.items(ASSETS, params={"size": 10, "q": "secret"})
    next(walk)
    iris.proxies = {"https": "http://127.0.0.1:9"}
    with pytest.raises(IncompleteListError, match=f"url: {ASSETS} .*refused") as caught:
        list(walk)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("hook", [lambda *_, **__: None, lambda r, **_: r.raise_for_status()])
def test_a_list_error_shows_no_user_and_no_password_of_the_url(sandbox, iris, hook) -> None:
    url = sandbox.base_url.replace("://", "://me:secret@") + ASSETS
    page = {"content": [1], "number": 0, "size": 1, "totalElements": 2}
    sandbox.inject(Fault(status=200, body=page), on="api")
    with pytest.raises(IncompleteListError, match=f"{sandbox.base_url}{ASSETS}.*401") as caught:
        list(iris.items(url, hooks={"response": hook}))
    assert "secret" not in str(caught.value)
    # a hook sees the response of another host before the body is read
    caught.value.response.close()
