"""An error of a page is caught by the clauses that were written for plain requests."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import oauthlib.oauth2
import pytest
import requests
from requests import exceptions
from requests.adapters import HTTPAdapter

from requests_iris import (
    GraphQLError,
    IncompleteListError,
    InvalidGrantError,
    IrisSession,
    ListError,
    TokenError,
)
from requests_iris.sandbox import Fault, Sandbox

from ..support.paths import ASSETS, GRAPHQL, QUERY

PARAMS = {"size": 100}


class Odd(requests.ConnectionError):
    """Of an adapter, with a constructor, properties and methods that nobody expects."""

    def __init__(self, host: str, *, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.host, self.socket = host, open

    @property
    def resume(self) -> object:
        raise LookupError("not for you")

    def __str__(self) -> str:
        return "odd"

    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")


class Final(requests.Timeout):
    """Refuses subclasses."""

    def __init_subclass__(cls) -> None:
        raise TypeError("final")


@dataclass(frozen=True)
class Frozen(requests.ReadTimeout):
    seconds: float


class Own(requests.RequestException):
    """The error of an adapter whose errors do not derive from those of requests."""


CAUSES = [
    *(exceptions.ConnectionError("gone"), exceptions.SSLError("bad"), exceptions.ProxyError("no")),
    *(exceptions.ReadTimeout("slow"), exceptions.ConnectTimeout("slow"), exceptions.RetryError()),
    *(exceptions.ChunkedEncodingError("half"), exceptions.ContentDecodingError("gzip")),
    *(exceptions.TooManyRedirects("round"), exceptions.HTTPError("500"), Own("own")),
    *(exceptions.JSONDecodeError("no", "{", 0), Odd("h", port=1), Final("f"), Frozen(2.5)),
    InvalidGrantError("no", error="invalid_grant", description="wrong"),
]


class Failing(HTTPAdapter):
    """The network, which fails with `cause` from the second page on."""

    def __init__(self, cause: Exception, **settings) -> None:
        super().__init__(**settings)
        self.cause = cause

    def send(self, request, *args, **kwargs):
        if "page=" in request.url:
            raise self.cause
        return super().send(request, *args, **kwargs)


def failed(iris: IrisSession, cause: Exception, workers: int = 1) -> ListError:
    """The error of a list whose second page fails with `cause`."""
    iris.mount("https://", Failing(cause))
    with pytest.raises(requests.RequestException) as caught:
        list(iris.items(ASSETS, params=PARAMS, max_workers=workers))
    return caught.value


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda each: type(each).__name__)
def test_a_failed_page_is_also_an_error_of_the_class_of_its_cause(iris, cause, workers) -> None:
    error = failed(iris, cause, workers)
    assert isinstance(error, IncompleteListError)
    named = requests.Timeout if isinstance(cause, Final) else type(cause)
    assert isinstance(error, named)
    assert type(error).__name__ == f"IncompleteListError[{named.__name__}]"
    assert (error.pages_read, error.items_read, error.resume["page"]) == (1, 100, 1)
    assert str(error).startswith(f"page 2 of the list, GET {ASSETS}: the page could not be read (")
    assert repr(error) == f"{type(error).__name__}({str(error)!r})"
    assert error.__cause__ is cause


@pytest.mark.parametrize("cause", CAUSES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_the_error_of_a_failed_page_can_be_pickled_and_copied(iris, cause, duplicate) -> None:
    error = failed(iris, cause)
    twin = duplicate(error)
    assert (type(twin), str(twin)) == (type(error), str(error))
    facts = ("pages_read", "items_read", "resume", "retryable")
    assert [getattr(twin, each) for each in facts] == [getattr(error, each) for each in facts]


def test_a_class_that_cannot_be_imported_travels_as_its_nearest_base(iris) -> None:
    class Local(requests.Timeout):
        pass

    error = failed(iris, Local("slow"))
    assert isinstance(error, Local)
    twin = pickle.loads(pickle.dumps(error))
    assert isinstance(twin, IncompleteListError)
    assert isinstance(twin, requests.Timeout)
    assert twin.resume == error.resume


def test_the_error_of_a_failed_page_has_the_members_of_its_cause(iris) -> None:
    error = failed(iris, InvalidGrantError("no", error="invalid_grant", description="wrong"))
    assert isinstance(error, TokenError)
    assert (error.error, error.description) == ("invalid_grant", "wrong")
    assert failed(iris, Odd("example.org", port=1)).host == "example.org"


def test_the_class_of_a_failed_page_is_made_once(iris) -> None:
    classes = {type(failed(iris, requests.ConnectionError("gone"))) for _ in range(3)}
    assert len(classes) == 1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("status", [400, 404, 429, 503])
@pytest.mark.parametrize("page", [1, 2])
def test_a_page_with_an_error_status_is_also_an_http_error(
    sandbox, iris, status, page, workers
) -> None:
    if page == 2:
        sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(status=status), on="api", times=100)
    with pytest.raises(requests.HTTPError) as caught:
        list(iris.items(ASSETS, params=PARAMS, max_workers=workers))
    assert isinstance(caught.value, IncompleteListError)
    assert caught.value.response.status_code == status
    assert caught.value.request.url.startswith(sandbox.base_url + ASSETS)


def test_a_page_that_is_no_json_is_also_a_json_decode_error(sandbox, iris) -> None:
    sandbox.inject(Fault(status=200, body="<html>"), on="api")
    with pytest.raises(requests.JSONDecodeError) as caught:
        list(iris.items(ASSETS))
    assert isinstance(caught.value, IncompleteListError)
    assert caught.value.doc == "<html>"


def test_a_page_of_other_json_is_no_json_decode_error(sandbox, iris) -> None:
    sandbox.inject(Fault(status=200, body="[1]"), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(iris.items(ASSETS))
    assert type(caught.value) is IncompleteListError


def test_an_error_of_graphql_with_a_status_is_also_an_http_error(sandbox, iris) -> None:
    body = {"errors": [{"message": "no"}]}
    sandbox.inject(Fault(status=403, body=body), on="api")
    with pytest.raises(requests.HTTPError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert isinstance(caught.value, GraphQLError)
    assert caught.value.errors == ({"message": "no"},)


def test_a_page_that_breaks_off_is_a_connection_error(sandbox, iris) -> None:
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(drop="before"), on="api", times=100)
    with pytest.raises(requests.ConnectionError):
        list(iris.items(ASSETS, params=PARAMS))


def test_a_password_that_is_refused_on_the_way_is_a_token_error(clock) -> None:
    with Sandbox() as sandbox, IrisSession(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        walk = iris.pages(ASSETS, params=PARAMS)
        next(walk)
        sandbox.change_password("another")
        sandbox.revoke_access_tokens()
        sandbox.revoke_refresh_tokens()
        with pytest.raises(InvalidGrantError) as caught:
            list(walk)
        assert isinstance(caught.value, IncompleteListError)
        assert caught.value.resume["page"] == 1
        assert issubclass(oauthlib.oauth2.InvalidGrantError, Exception)
