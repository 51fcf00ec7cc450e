"""The caller's arguments: sent as they are said, or refused before anything is sent."""

from __future__ import annotations

import json
from functools import reduce
from urllib.parse import unquote

import pytest
import requests
from requests.exceptions import InvalidURL
from requests_toolbelt import MultipartEncoder

from requests_iris import IrisSession, SettingError
from requests_iris.known_styles import first_call
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, EVENTS, EVENTS_BODY, QUERY
from .lists import the_whole


def test_every_page_has_the_callers_headers_and_asks_for_json(sandbox, iris) -> None:
    list(iris.items(ASSETS, headers={"X-Mine": "1"}, params={"size": 100}))
    pages = [seen for seen in sandbox.seen if seen.server == "api"]
    assert [seen.headers["X-Mine"] for seen in pages] == ["1"] * 3
    assert {seen.headers["Accept"] for seen in pages} == {"application/json"}
    assert {name for seen in pages for name in seen.args} == {"size", "page"}


@pytest.mark.parametrize("name", ["accept", b"Accept"])
def test_an_accept_header_of_the_caller_is_kept(sandbox, iris, name) -> None:
    del iris.headers["Accept"]  # requests would send either header, by chance
    list(iris.items(ASSETS, headers={name: "application/vnd.x+json"}))
    assert sandbox.seen[-1].headers["Accept"] == "application/vnd.x+json"


@pytest.mark.parametrize("arguments", [{"params": {"size": 10}}, {"params": b"size=10"}])
def test_the_arguments_of_the_caller_are_not_changed(iris, arguments) -> None:
    headers = {"X-Mine": "1"}
    before = json.dumps([headers, str(arguments)])
    assert len(list(iris.items(ASSETS, headers=headers, **arguments))) == 250
    assert json.dumps([headers, str(arguments)]) == before


def test_an_empty_size_of_the_caller_is_kept_too() -> None:
    assert first_call("GET", ASSETS, {"params": {"size": ""}}).url == f"{ASSETS}?size="


@pytest.mark.parametrize("url", [b"/x?size=1", "/x?q=a+b&size=1", "/x?size=1#top", "/x?before=a"])
def test_a_url_is_sent_unchanged_except_for_its_fragment(url) -> None:
    expected = url.decode() if isinstance(url, bytes) else url.removesuffix("#top")
    assert first_call("GET", url, {}).url == expected


@pytest.mark.parametrize("in_url", [True, False])
@pytest.mark.parametrize("sort", ["sort=+name", "sort=%2Bname"])
def test_a_plus_in_sort_travels_encoded(sandbox, iris, sort, in_url) -> None:
    call = {"url": f"{ASSETS}?{sort}"} if in_url else {"url": ASSETS, "params": sort}
    assert len(list(iris.items(**call))) == 250
    assert "sort=%2Bname" in sandbox.seen[-1].query
    assert "size=1000" in sandbox.seen[-1].query


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_workers", 0),
        ("max_workers", True),
        ("max_workers", 1.5),
        ("max_workers", "2"),
        ("items_path", 5),
        ("progress", 5),
        ("data", iter([b""])),
        ("data", [1]),
        ("data", MultipartEncoder({"a": "b"})),
        ("files", {"a": b"b"}),
        ("params", 5),
        ("params", [1]),
        ("json", {"when": {1}}),
        ("json", {"hours": float("nan")}),
        ("json", {"query": QUERY, "variables": "first"}),
        ("json", reduce(lambda inner, _: [inner], range(100_000), [])),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_item(sandbox, iris, setting, value) -> None:
    with pytest.raises(SettingError) as caught:
        iris.items(ASSETS, method="POST", **{setting: value})
    assert caught.value.setting == {"files": "data"}.get(setting, setting)
    assert sandbox.seen == ()


@pytest.mark.parametrize("name", ["worker", "sleep", "request", "arguments"])
def test_an_unknown_argument_is_a_type_error_before_the_first_item(sandbox, iris, name) -> None:
    for read in (iris.items, iris.pages):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            read(ASSETS, **{name: 8})
    assert sandbox.seen == ()


@pytest.mark.parametrize("name", ["size", "page", "limit", "after", "before", "%73ize"])
def test_a_position_that_is_named_twice_is_refused_before_the_first_item(
    sandbox, iris, name
) -> None:
    plain = unquote(name)
    with pytest.raises(SettingError, match=f"the query has {plain} more than once"):
        iris.items(f"{ASSETS}?{name}=1", params={plain: 2})
    assert not sandbox.seen


def test_a_json_argument_beside_data_is_refused(iris) -> None:
    with pytest.raises(SettingError, match="where there is data"):
        iris.pages(EVENTS, method="POST", data={"a": "b"}, json={})


@pytest.mark.parametrize("arguments", [{"params": 5}, {"params": ["abc"]}, {"data": ["abc"]}])
def test_params_and_data_of_a_wrong_type_are_refused(arguments) -> None:
    with pytest.raises(SettingError, match="cannot be sent"):
        first_call("POST", EVENTS, arguments)


def test_a_malformed_url_is_refused_as_in_requests(sandbox, iris) -> None:
    for read in (iris.get, iris.items):
        with pytest.raises(InvalidURL):
            read("https://[::1")


class Strict(requests.Session):
    """A class of the caller with requests' own signature, which also rewrites URLs."""

    def request(
        self,
        method,
        url,
        params=None,
        data=None,
        headers=None,
        cookies=None,
        files=None,
        auth=None,
        timeout=None,
        allow_redirects=True,
        proxies=None,
        hooks=None,
        stream=None,
        verify=None,
        cert=None,
        json=None,
    ):
        url = url.replace("/mine", EVENTS)
        return super().request(
            method,
            url,
            params,
            data,
            headers,
            cookies,
            files,
            auth,
            timeout,
            allow_redirects,
            proxies,
            hooks,
            stream,
            verify,
            cert,
            json,
        )


class StrictBefore(Strict, IrisSession): ...


class StrictAfter(IrisSession, Strict): ...


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("kind", "url"), [(StrictBefore, "/mine"), (StrictAfter, EVENTS)])
def test_pages_of_a_post_list_are_retried_through_a_class_with_requests_signature(
    sandbox, clock, kind, url, workers
) -> None:
    """A class before ours knows no argument but requests' own."""
    with kind(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        sandbox.inject(Fault(status=503), on="api", path=EVENTS, after=1)
        found = list(
            iris.items(
                url, method="POST", json=EVENTS_BODY, params={"size": 100}, max_workers=workers
            )
        )
        assert len(found) == len(the_whole("events"))
        sandbox.inject(Fault(status=503), on="api", path=EVENTS)
        assert iris.post(EVENTS, json=EVENTS_BODY).status_code == 503
