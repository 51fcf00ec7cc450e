"""Whole lists or an error: every form, at every size, through faults."""

from __future__ import annotations

import gc
import io
import itertools
import json
import pickle
import re
import signal
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr, suppress
from http import HTTPStatus
from urllib.parse import parse_qs, quote, unquote

import pytest
from requests import Response
from requests.exceptions import InvalidURL
from requests_toolbelt import MultipartEncoder

from requests_iris import (
    GraphQLError,
    IncompleteListError,
    InvalidClientError,
    IrisSession,
    ListError,
    NotAListError,
    SettingError,
    pagination,
)
from requests_iris.call import Call
from requests_iris.clock import Clock, given_up
from requests_iris.forms import form_of
from requests_iris.sandbox import OMIT, Fault, Sandbox
from requests_iris.sandbox.fleet import Fleet

from .test_sandbox_api import ASSETS, EVENTS, FLEET, GRAPHQL, OPERATORS, PLANS, QUERY

#: URL, arguments that make pages of ten where the form allows it, and the list of the fleet.
FORMS = {
    "pages": (ASSETS, {"params": {"size": 10}}, "assets"),
    "post": (EVENTS, {"method": "POST", "json": {}, "params": [("size", 10)]}, "events"),
    "cursor": (OPERATORS, {"params": "limit=10"}, "operators"),
    "aemp": (f"{FLEET}/1", {}, "equipment"),
    "graphql": (
        GRAPHQL,
        {"method": "POST", "json": {"query": QUERY, "variables": {"first": 10}}},
        "assets",
    ),
}


def ids(elements) -> list[str]:
    return [
        e["EquipmentHeader"]["EquipmentID"] if "EquipmentHeader" in e else e["id"] for e in elements
    ]


def the_whole(name: str, machines: int = 250) -> list[dict]:
    """One of the sandbox's lists, which are the same each time."""
    return getattr(Fleet(machines), name)


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def walkers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("iris-pages")]


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("machines", [0, 1, 10, 20, 215])
def test_every_form_is_read_to_its_end_in_order(form, machines, workers) -> None:
    url, arguments, name = form
    with Sandbox(machines=machines) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        found = ids(iris.items(url, workers=workers, **arguments))
        assert found == ids(the_whole(name, machines))
        assert walkers() == []


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=429), Fault(drop="before"), Fault(truncate=20)]
)
def test_a_page_that_fails_is_an_error_and_the_walk_goes_on_there(
    sandbox, iris, form, fault, workers
) -> None:
    """The transport may retry: the fault lasts longer than any retry."""
    url, arguments, name = form
    walk = iris.items(url, workers=workers, **arguments)
    found = [next(walk)]
    sandbox.inject(fault, on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        found.extend(walk)
    error = caught.value
    with pytest.raises(IncompleteListError) as caught:
        next(iris.items(url, workers=workers, resume=error.resume, **arguments))
    assert (caught.value.resume, caught.value.elements_read) == (error.resume, 0)
    sandbox.clear_faults()
    assert error.retryable
    assert error.elements_read == len(found)
    assert error.pages_read > 0
    resume = json.loads(json.dumps(error.resume))
    found += iris.items(url, workers=workers, resume=resume, **arguments)
    assert ids(found) == ids(the_whole(name))
    assert walkers() == []


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("status", [400, 503])
def test_an_error_has_the_response_that_told_of_it(sandbox, iris, form, workers, status) -> None:
    url, arguments, _ = form
    walk = iris.items(url, workers=workers, **arguments)
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(status=status), on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.response.status_code == status
    assert caught.value.retryable is (status == 503)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=400, body={"code": "broken"}), "it was answered with 400 broken"),
        (Fault(status=400), "it was answered with 400 (?i:bad request)"),
        (Fault(status=200, body="<html>"), "it is no JSON object, but text/html; charset=utf-8"),
        (Fault(status=200, body="[" * 100_000), "it is no JSON object, but text/html; .*"),
        (Fault(drop="before"), r"it could not be read \(ConnectionError: .*"),
        (Fault(reply={"number": 9}), "number 1 was asked for, and number 9 came"),
    ],
)
def test_an_error_says_which_page_it_is_about(sandbox, iris, fault, told, workers) -> None:
    sandbox.inject(Fault(), on="api")
    sandbox.inject(fault, on="api", times=1000)
    with pytest.raises(ListError) as caught:
        list(iris.items(ASSETS, params={"size": 10, "q": "secret"}, workers=workers))
    assert re.fullmatch(f"page 2 of the walk, GET {ASSETS}: {told}", str(caught.value))
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


def test_an_error_of_a_connection_does_not_show_the_query(sandbox, iris) -> None:
    walk = iris.items(ASSETS, params={"size": 10, "q": "secret"})
    next(walk)
    iris.proxies = {"https": "http://127.0.0.1:9"}
    with pytest.raises(IncompleteListError, match=f"url: {ASSETS} .*refused") as caught:
        list(walk)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("hook", [lambda *_, **__: None, lambda r, **_: r.raise_for_status()])
def test_an_error_does_not_show_who_signs_in_by_the_url(sandbox, iris, hook) -> None:
    url = sandbox.base_url.replace("://", "://me:secret@") + ASSETS
    page = {"content": [1], "number": 0, "size": 1, "totalElements": 2}
    sandbox.inject(Fault(status=200, body=page), on="api")
    with pytest.raises(IncompleteListError, match=f"{sandbox.base_url}{ASSETS}.*401") as caught:
        list(iris.items(url, hooks={"response": hook}))
    assert "secret" not in str(caught.value)
    caught.value.response.close()  # to another host than ours it is unread when a hook sees it


def test_a_token_that_ends_on_the_way_is_nobodys_business(sandbox, iris, form) -> None:
    url, arguments, name = form
    walk = iris.items(url, **arguments)
    found = [next(walk)]
    sandbox.revoke_access_tokens()
    assert ids([*found, *walk]) == ids(the_whole(name))


@pytest.mark.parametrize("more", [1, -1])
@pytest.mark.parametrize("workers", [1, 8])
def test_a_list_that_changes_on_the_way_is_an_error(sandbox, iris, workers, more) -> None:
    walk = iris.items(ASSETS, params={"size": 10}, workers=workers)
    next(walk)
    sandbox.machines += more
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.resume is None


@pytest.mark.parametrize(
    "reply",
    [
        {"number": 5},
        {"totalElements": 251},
        {"size": 11},
        {"size": 0, "content": []},
        {"content": []},
        {"content": [{"id": "x"}] * 9},
        {"content": [{"id": "x"}] * 11},
        {"totalElements": OMIT},
        {"content": OMIT},
    ],
)
def test_a_page_that_does_not_fit_is_an_error(sandbox, iris, reply) -> None:
    walk = iris.items(ASSETS, params={"size": 10})
    next(walk)
    sandbox.inject(Fault(reply=reply), on="api")
    with pytest.raises(ListError) as caught:
        list(walk)
    error = caught.value
    assert (error.pages_read, error.elements_read, error.resume) == (1, 10, None)
    assert error.response.json()["numberOfElements"] == 10


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(
    "reply", [{"number": 1}, {"totalElements": 1}, {"size": 1}, {"size": 0, "content": []}]
)
def test_a_first_page_that_lies_is_an_error(sandbox, iris, reply, workers) -> None:
    sandbox.inject(Fault(reply=reply), on="api")
    walk = iris.items(ASSETS, params={"size": 10}, workers=workers)
    with pytest.raises(IncompleteListError):
        next(walk)


def test_a_partial_reply_is_an_error(sandbox, iris) -> None:
    sandbox.inject(Fault(reply={"isPartial": True}), on="api")
    with pytest.raises(IncompleteListError, match="isPartial"):
        list(iris.items(PLANS))


@pytest.mark.parametrize("workers", [1, 8])
def test_a_cursor_that_repeats_is_an_error(sandbox, iris, workers) -> None:
    walk = iris.pages(OPERATORS, params={"limit": 10}, workers=workers)
    read = [next(walk), next(walk)]
    first = read[0].json()["after"]
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(reply={"after": first}), on="api")
    with pytest.raises(IncompleteListError, match="second time") as caught:
        read.extend(walk)
    assert (caught.value.pages_read, caught.value.elements_read) == (len(read), len(read) * 10)


@pytest.mark.parametrize("cursor", ["a+b=", 5])
def test_a_cursor_that_does_not_move_is_the_end(sandbox, iris, cursor) -> None:
    for element in (1, 2, 3):
        page = {"content": [element], "after": cursor}
        sandbox.inject(Fault(status=200, body=page), on="api")
    assert list(iris.items("/api/odd")) == [1, 2]


@pytest.mark.parametrize(
    "link",
    [
        {"rel": "next", "href": "{foreign}/2"},
        *({"rel": "next", "href": "https://[::1"}, {"rel": "next"}, {}, 5, None, "{foreign}/2"),
        {"rel": "next", "href": "{base}" + FLEET + "/two"},
        {"rel": "next", "href": "{base}" + FLEET + "/" + 5000 * "9"},
    ],
    ids=lambda link: str(link)[:60],
)
def test_a_link_that_leads_elsewhere_is_not_followed(sandbox, iris, link) -> None:
    if isinstance(link, dict) and "href" in link:
        hosts = {"foreign": sandbox.foreign_url, "base": sandbox.base_url}
        link = {**link, "href": link["href"].format_map(hosts)}
    sandbox.inject(Fault(reply={"Links": [link]}), on="api")
    with pytest.raises(IncompleteListError, match="leads out of the list"):
        list(iris.items(f"{FLEET}/1"))
    assert sandbox.count("foreign") == 0


@pytest.mark.parametrize("links", [[], None])
def test_an_aemp_page_without_links_may_not_be_the_last(sandbox, iris, links) -> None:
    sandbox.inject(Fault(reply={"Links": links}), on="api")
    with pytest.raises(IncompleteListError, match="no links"):
        list(iris.items(f"{FLEET}/1"))


@pytest.mark.parametrize("links", [[], None])
def test_but_one_of_no_equipment_may(sandbox, iris, links) -> None:
    sandbox.inject(Fault(reply={"Links": links, "Equipment": []}), on="api")
    assert list(iris.items(f"{FLEET}/1")) == []


@pytest.mark.parametrize("lower_case", [False, True])
def test_aemp_goes_on_by_number_where_next_is_missing(sandbox, iris, lower_case) -> None:
    sandbox.aemp.next_link, sandbox.aemp.lower_case = False, lower_case
    assert len(list(iris.items(f"{FLEET}/1"))) == 250


def test_one_whole_list_and_no_list(sandbox, iris) -> None:
    assert list(iris.items(PLANS)) == list(iris.items(PLANS, key="servicePlans"))
    with pytest.raises(NotAListError, match=r"brand.*serialNumber"):
        list(iris.items(f"{ASSETS}/{sandbox.asset_ids[0]}"))


@pytest.mark.parametrize("in_url", [True, False])
@pytest.mark.parametrize("sort", ["sort=+name", "sort=%2Bname"])
def test_a_plus_in_sort_travels_encoded(sandbox, iris, sort, in_url) -> None:
    call = {"url": f"{ASSETS}?{sort}"} if in_url else {"url": ASSETS, "params": sort}
    assert len(list(iris.items(**call))) == 250
    assert "sort=%2Bname" in sandbox.seen[-1].query
    assert "size=1000" in sandbox.seen[-1].query


def test_graphql_waits_for_its_limit_within_the_cap(sandbox, iris, caplog) -> None:
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 2500}}]}
    sandbox.inject(Fault(status=429, body=limited), on="api")
    sandbox.inject(Fault(status=200, body=limited), on="api")
    slept: list[float] = []
    query = {"json": {"query": QUERY}}
    walk = pagination.pages(iris.request, GRAPHQL, query, method="POST", sleep=slept.append)
    assert sum(len(page.elements) for page in walk) == 250
    assert slept == [2.5, 2.5]
    assert caplog.messages.count("GraphQL has no points left: going on in 2.5 s") == 2


def test_graphql_waits_for_a_page_five_times_and_sends_once_more(sandbox, iris) -> None:
    """A wait after the last call would be for nothing."""
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 2500}}]}
    sandbox.inject(Fault(status=200, body=limited), on="api", times=10)
    slept: list[float] = []
    query = {"json": {"query": QUERY}}
    walk = pagination.pages(iris.request, GRAPHQL, query, method="POST", sleep=slept.append)
    with pytest.raises(GraphQLError) as caught:
        list(walk)
    assert caught.value.retryable
    assert slept == [2.5] * 5
    assert sandbox.count("api") == 6


@pytest.mark.parametrize(
    ("reset_in", "slept"),
    [
        *(([120_000], [120]), ([120_001], []), ([0.5], [0.0005]), ([0], [0]), ([-5], [0])),
        *(([1000, 2000], [2]), ([2000, 1000], [2]), (["soon", 2000], [2]), (["soon"], [])),
    ],
)
def test_graphql_waits_as_long_as_its_limit_says(sandbox, iris, reset_in, slept) -> None:
    """Up to two minutes; other errors have no say in it."""
    limits = [{"extensions": {"code": "RATE_LIMITED", "resetIn": each}} for each in reset_in]
    others = [{"extensions": {"code": "OTHER", "resetIn": 9000}}, {"extensions": "odd"}]
    sandbox.inject(Fault(status=200, body={"errors": [*limits, *others]}), on="api")
    waited: list[float] = []
    query = {"json": {"query": QUERY}}
    walk = pagination.pages(iris.request, GRAPHQL, query, method="POST", sleep=waited.append)
    with pytest.raises(GraphQLError) if not slept else nullcontext():
        next(walk)
    assert waited == slept


@pytest.mark.parametrize(
    "extensions", [{"code": "RATE_LIMITED", "resetIn": 9e9}, {"code": "QUERY_COMPLEXITY_REACHED"}]
)
def test_graphql_errors_raise_at_once_even_with_data(sandbox, iris, extensions) -> None:
    errors = [{"message": "no", "extensions": extensions}]
    sandbox.inject(Fault(reply={"errors": errors}), on="api")
    with pytest.raises(GraphQLError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert caught.value.errors == tuple(errors)
    assert caught.value.response is not None


@pytest.mark.parametrize("workers", [1, 8])
def test_a_page_is_not_kept_when_the_next_one_is_used(iris, form, workers) -> None:
    url, arguments, _ = form
    walk = iris.pages(url, workers=workers, **arguments)
    first = weakref.ref(next(walk))
    next(walk)
    gc.collect()
    assert first() is None


def test_a_page_is_not_kept_while_the_next_one_is_read(iris, form) -> None:
    url, arguments, _ = form
    responses: list[weakref.ref[Response]] = []
    kept = []

    def look(response: Response, **_: object) -> None:
        gc.collect()
        kept.extend(each for each in responses if each() is not None)
        responses.append(weakref.ref(response))

    walk = iris.items(url, hooks={"response": look}, **arguments)
    # some pages are enough: among all tests each collection takes long
    any(len(responses) == 5 for _element in walk)
    assert len(responses) > 1
    assert kept == []


@pytest.mark.parametrize("workers", [1, 8])
def test_stopping_early_leaves_no_thread(iris, workers) -> None:
    walk = iris.items(ASSETS, params={"size": 10}, workers=workers)
    next(walk)
    walk.close()
    assert walkers() == []


class TestWorkers:
    """Four of them, on the 25 pages of a list."""

    def pages(self, iris, before):
        """A walk that calls `before` in each of its threads, before it asks for a page there."""

        def request(method, url, **arguments):
            if threading.current_thread() is not threading.main_thread():
                before(url)
            return iris.request(method, url, **arguments)

        return pagination.pages(request, ASSETS, {"params": {"size": 10}}, workers=4)

    def test_that_are_one_are_the_callers_own_thread(self, iris) -> None:
        asked: list[threading.Thread] = []

        def request(*args, **arguments):
            asked.append(threading.current_thread())
            return iris.request(*args, **arguments)

        list(pagination.pages(request, ASSETS, {"params": {"size": 100}}, workers=1))
        assert asked == [threading.current_thread()] * 3

    def test_have_four_requests_in_flight_and_not_five(self, iris) -> None:
        four, five = threading.Barrier(4, timeout=10), threading.Barrier(5, timeout=0.3)
        broken: list[str] = []

        def before(_: str) -> None:
            four.wait()
            with suppress(threading.BrokenBarrierError):
                five.wait()
                broken.append("five")

        assert len(list(self.pages(iris, before))) == 25
        assert broken == []

    def test_read_no_more_than_eight_pages_ahead(self, iris) -> None:
        asked = threading.Semaphore(0)
        walk = self.pages(iris, lambda _: asked.release())
        assert len(list(itertools.islice(walk, 2))) == 2
        for _ in range(1 + 8):
            assert asked.acquire(timeout=10)
        assert not asked.acquire(timeout=0.3)
        walk.close()

    def test_begin_nothing_more_when_the_walk_is_closed(self, iris) -> None:
        begun, ended = threading.Semaphore(0), []

        def before(url: str) -> None:
            if not url.endswith("page=1"):
                begun.release()
                ended.append(given_up.get().wait(10))

        walk = self.pages(iris, before)
        assert len(list(itertools.islice(walk, 2))) == 2
        for _ in range(4):
            assert begun.acquire(timeout=10)
        walk.close()
        assert ended == [True] * 4
        assert walkers() == []

    def test_wait_out_no_pause_when_the_walk_is_over(self, sandbox, iris) -> None:
        """A Retry-After of minutes, while another page is an error."""
        asleep = threading.Semaphore(0)

        class Telling(Clock):
            def sleep(self, seconds: float) -> None:
                asleep.release()
                super().sleep(seconds)

        def before(url: str) -> None:
            if url.endswith("page=1"):
                for _ in range(3):
                    assert asleep.acquire(timeout=10)
                sandbox.inject(Fault(status=400), on="api")

        iris.adapters["https://"]._clock = Telling()
        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=429, headers={"Retry-After": "100"}), on="api", times=3)
        start = time.monotonic()
        with pytest.raises(IncompleteListError, match="page 2 of .* 400"):
            list(self.pages(iris, before))
        assert walkers() == []
        assert time.monotonic() - start < 50


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("workers", 0),
        ("workers", True),
        ("workers", 1.5),
        ("workers", "2"),
        ("key", 5),
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
    ],
)
def test_wrong_arguments_are_refused_when_called(sandbox, iris, setting, value) -> None:
    with pytest.raises(SettingError) as caught:
        iris.items(ASSETS, method="POST", **{setting: value})
    assert caught.value.setting == {"files": "data"}.get(setting, setting)
    assert sandbox.seen == ()


def test_a_url_that_is_none_is_refused_as_requests_does(sandbox, iris) -> None:
    for read in (iris.get, iris.items):
        with pytest.raises(InvalidURL):
            read("https://[::1")


def test_json_that_would_be_left_out_is_refused(iris) -> None:
    with pytest.raises(SettingError, match="where there is data"):
        iris.pages(EVENTS, method="POST", data={"a": "b"}, json={})


@pytest.mark.parametrize("name", ["worker", "sleep", "request", "arguments"])
def test_an_unknown_argument_is_a_type_error_when_called(sandbox, iris, name) -> None:
    for read in (iris.items, iris.pages):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            read(ASSETS, **{name: 8})
    assert sandbox.seen == ()


def test_nothing_is_sent_before_the_first_element_is_asked_for(sandbox, iris, form) -> None:
    url, arguments, _ = form
    walk = iris.items(url, workers=8, progress=True, **arguments)
    assert sandbox.seen == ()
    next(walk)
    assert sandbox.count("api") > 0


def resume_at(place, url, *, method="GET", **arguments):
    """What an error at that place has; JSON may come back with its members in another order."""
    resume = Call.first(method, url, arguments).resume_at(place)
    return json.loads(json.dumps(resume, sort_keys=True))


#: What walks over the forms of lists stop at.
PLACES = {
    "pages": {"size": "10", "page": 3, "total": 250},
    "post": {"size": "10", "page": 3, "total": 250},
    "cursor": {"after": "b"},
    "aemp": {"number": 2},
    "graphql": {"endCursor": "b"},
}


@pytest.mark.parametrize("name", FORMS)
def test_the_place_that_an_error_tells_is_one_of_its_list(sandbox, iris, name) -> None:
    url, arguments, _ = FORMS[name]
    walk = iris.items(url, **arguments)
    next(walk)
    sandbox.inject(Fault(status=400), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    place = {k: v for k, v in caught.value.resume.items() if k != "list"}
    assert place.keys() == PLACES[name].keys()
    assert caught.value.resume == resume_at(place, url, **arguments)


@pytest.mark.parametrize(
    "resume",
    [
        *(5, "x", [], {}, {5: 6, "list": "x"}, {"list": None}, {"after": {1}, "list": {2}}),
        *PLACES.values(),
        {**PLACES["pages"], "list": "0123456789abcdef"},
    ],
    ids=str,
)
def test_what_is_no_resume_is_refused_when_called(form, resume) -> None:
    url, arguments, _ = form
    with IrisSession() as iris, pytest.raises(SettingError, match="resume must be") as caught:
        iris.items(url, resume=resume, **arguments)
    assert caught.value.setting == "resume"


@pytest.mark.parametrize("name", FORMS)
def test_a_resume_is_for_the_list_that_it_comes_from(iris, name) -> None:
    url, arguments, _ = FORMS[name]
    resume = resume_at(PLACES[name], url, **arguments)
    iris.items(url, resume=resume, workers=2, key="x", headers={"X": "y"}, **arguments)
    other = "PUT" if arguments.get("method") == "POST" else "POST"
    for changes in (
        {"url": url.replace("/api/", "/api/v2/")},
        {"params": {"size": 10, "limit": 10, "brand": "Acme"}},
        {"method": other},
        {"data": "{}", "json": None},
        {"json": {**arguments.get("json", {}), "filter": "x"}},
        *({"resume": {**resume, member: "x"}} for member in resume),
    ):
        with pytest.raises(SettingError, match="the same call"):
            iris.items(**{"url": url, "resume": resume, **arguments, **changes})


def test_a_resume_of_graphql_is_for_its_variables(iris) -> None:
    def call(**variables):
        return {"method": "POST", "json": {"query": QUERY, "variables": variables}}

    resume = resume_at(PLACES["graphql"], GRAPHQL, **call(brand="Acme", after="a"))
    iris.items(GRAPHQL, resume=resume, **call(brand="Acme", after="c"))
    with pytest.raises(SettingError, match="the same call"):
        iris.items(GRAPHQL, resume=resume, **call(brand="Hitch", after="a"))


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"params": {"brand": "Acme", "type": "x"}}, {"params": "type=x&brand=Acme"}),
        ({"json": {"a": [1], "b": 200}}, {"json": OrderedDict(b=HTTPStatus.OK, a=(1,))}),
        ({"json": {"1": None}}, {"json": {1: None}}),
        ({"data": {"a": 1}}, {"data": b"a=1"}),
        ({"data": None}, {"data": {}}),
    ],
    ids=str,
)
def test_a_resume_is_for_what_is_sent_however_it_is_said(iris, then, now) -> None:
    resume = resume_at(PLACES["pages"], ASSETS, method="POST", **then)
    iris.items(ASSETS, resume=resume, method="POST", **now)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"params": "sort=a&sort=b"}, {"params": "sort=b&sort=a"}),
        ({"json": {"a": 1}}, {"json": {"a": True}}),
        ({"json": {"a": 1}}, {"json": {"a": "1"}}),
        ({"json": {"a": 1}}, {"data": '{"a": 1}'}),
        ({"json": {}}, {"json": None}),
        ({"data": "a=1"}, {"data": "a=2"}),
    ],
    ids=str,
)
def test_a_resume_is_not_for_what_is_sent_otherwise(iris, then, now) -> None:
    resume = resume_at(PLACES["pages"], ASSETS, method="POST", **then)
    with pytest.raises(SettingError, match="the same call"):
        iris.items(ASSETS, resume=resume, method="POST", **now)


def test_a_resume_is_what_it_was_when_called(iris) -> None:
    call = {"url": ASSETS, "params": {"size": 100}}
    resume = resume_at({"page": 1, "size": 100, "total": 249}, **call)
    walk = iris.items(**call, resume=resume)
    resume.clear()
    with pytest.raises(IncompleteListError, match="it had 249 elements then, and has 250 now"):
        list(walk)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("pages", PLACES["cursor"]),
        ("cursor", PLACES["pages"]),
        ("cursor", {"page": 0, "size": 10, "total": 0}),
    ],
    ids=str,
)
def test_a_list_that_has_another_form_by_now_is_read_no_further(iris, name, place) -> None:
    """The server knows no such place, and gives the first page once more."""
    url, arguments, _ = FORMS[name]
    walk = iris.items(url, resume=resume_at(place, url, **arguments), **arguments)
    with pytest.raises(SettingError, match="another form"):
        next(walk)


@pytest.mark.parametrize("last", [{"content": [1]}, {"operators": [1], "limit": 10}], ids=str)
def test_the_last_page_of_cursors_may_tell_of_nothing(sandbox, iris, last) -> None:
    """It is still one of the list that the walk goes on with."""
    sandbox.inject(Fault(status=200, body=last), on="api")
    assert list(iris.items(OPERATORS, resume=resume_at({"after": "b"}, OPERATORS))) == [1]


def test_a_number_in_the_path_does_not_make_an_aemp_list(sandbox, iris) -> None:
    """A place in pages that are found under such a path is theirs."""
    body = {"content": [1], "number": 1, "size": 10, "totalElements": 11}
    sandbox.inject(Fault(status=200, body=body), on="api")
    resume = resume_at({"page": 1, "size": 10, "total": 11}, "/api/sites/42")
    assert list(iris.items("/api/sites/42", resume=resume)) == [1]


@pytest.mark.parametrize("links", [[], None])
def test_a_list_without_links_goes_on_by_what_else_it_says(sandbox, iris, links) -> None:
    """It used to be taken for an AEMP list that ends here."""
    sandbox.inject(Fault(reply={"links": links}), on="api", times=3)
    assert len(list(iris.items(ASSETS, params={"size": 100}))) == 250


def test_beyond_the_last_page_there_is_nothing(iris) -> None:
    told: list[tuple[int, int | None]] = []
    arguments = {"params": {"size": 100, "page": 9}, "progress": lambda *n: told.append(n)}
    assert (list(iris.items(ASSETS, **arguments)), told) == ([], [(0, 0)])


@pytest.mark.parametrize("member", ["totalElements", "totalPages", "number"])
def test_a_page_needs_its_counts(sandbox, iris, member) -> None:
    sandbox.inject(Fault(status=200, body={"content": [1], member: 1}), on="api")
    with pytest.raises(IncompleteListError, match="no size and totalElements"):
        list(iris.items("/api/odd"))


def test_a_list_of_nothing_may_have_no_size(sandbox, iris) -> None:
    body = {"content": [], "number": 0, "size": 0, "totalElements": 0, "totalPages": 0}
    sandbox.inject(Fault(status=200, body=body), on="api")
    assert list(iris.items("/api/odd")) == []


def test_a_page_of_cursors_without_elements_is_the_last(sandbox, iris) -> None:
    for elements, after in (([1], "a"), ([], "b"), ([2], "c")):
        sandbox.inject(Fault(status=200, body={"content": elements, "after": after}), on="api")
    assert list(iris.items("/api/odd")) == [1]


def test_the_name_of_a_method_may_be_in_lower_case(iris) -> None:
    arguments = {"method": "post", "json": {"query": QUERY}}
    assert len(list(iris.items(GRAPHQL, **arguments))) == 250


def test_only_a_post_is_a_graphql_query(iris) -> None:
    assert len(list(iris.items(ASSETS, json={"query": QUERY}))) == 250


def test_a_query_may_have_a_space_after_the_name_of_a_variable() -> None:
    call = Call.first("POST", GRAPHQL, {"json": {"query": "query ($first : Int) { assets }"}})
    assert call.variables == {"first": 100}


def test_a_size_that_is_empty_is_the_callers_too() -> None:
    assert Call.first("GET", ASSETS, {"params": {"size": ""}}).url == f"{ASSETS}?size="


@pytest.mark.parametrize(
    "beside", [{"Links": [], "Errors": []}, {"next": ""}, {"data": {"isPartial": False}}], ids=str
)
def test_what_says_nothing_of_more_leaves_a_list_whole(beside) -> None:
    assert form_of(Call.first("GET", PLANS, {}), {"plans": [1], **beside}, None).total == 1


def test_a_list_of_samples_may_say_inside_that_it_is_partial() -> None:
    reply = {"data": {"isPartial": True, "result": [1]}}
    with pytest.raises(IncompleteListError, match="isPartial"):
        form_of(Call.first("GET", PLANS, {}), reply, None)


def test_a_page_that_is_no_number_is_taken_for_the_first() -> None:
    reply = {"content": [1], "number": 0, "size": 1, "totalElements": 1}
    assert form_of(Call.first("GET", ASSETS, {"params": "page=x"}), reply, None).total == 1
    with pytest.raises(IncompleteListError, match="no size and totalElements"):
        form_of(Call.first("GET", ASSETS, {}), {**reply, "totalElements": True}, None)


def test_a_connection_needs_its_page_info() -> None:
    call = Call.first("POST", GRAPHQL, {"json": {"query": QUERY}})
    with pytest.raises(NotAListError, match="holds 0 connections"):
        form_of(call, {"data": {"assets": {"edges": [], "pageInfo": None}}}, None)


@pytest.mark.parametrize("url", [b"/x?size=1", "/x?q=a+b&size=1", "/x?size=1#top", "/x?before=a"])
def test_a_url_goes_as_it_is_but_for_its_fragment(url) -> None:
    expected = url.decode() if isinstance(url, bytes) else url.removesuffix("#top")
    assert Call.first("GET", url, {}).url == expected


@pytest.mark.parametrize("arguments", [{"params": 5}, {"params": ["abc"]}, {"data": ["abc"]}])
def test_what_is_no_query_and_no_form_is_refused(arguments) -> None:
    with pytest.raises(SettingError, match="cannot be sent"):
        Call.first("POST", EVENTS, arguments)


def test_a_name_that_ends_in_last_does_not_ask_for_the_last() -> None:
    call = Call.first("POST", GRAPHQL, {"json": {"query": "{ ballast: assets }"}})
    assert not call.goes_backwards


def test_aemp_pages_of_nothing_do_not_go_on(sandbox, iris) -> None:
    sandbox.inject(Fault(reply={"Equipment": []}), on="api")
    with pytest.raises(IncompleteListError, match="page 1 of .* not full"):
        list(iris.items(f"{FLEET}/1"))


def test_progress_may_be_told_to_nobody(iris) -> None:
    assert len(list(iris.items(ASSETS, progress=None))) == 250


def test_progress_is_told_with_the_total(iris) -> None:
    told: list[tuple[int, int | None]] = []
    arguments = {"params": {"size": 100}, "progress": lambda *n: told.append(n)}
    assert len(list(iris.items(ASSETS, **arguments))) == 250
    assert told == [(100, 250), (200, 250), (250, 250)]


@pytest.mark.parametrize("arguments", [{"params": {"size": 10}}, {"params": b"size=10"}])
def test_the_arguments_of_the_callers_are_not_written_to(iris, arguments) -> None:
    headers = {"X-Mine": "1"}
    before = json.dumps([headers, str(arguments)])
    assert len(list(iris.items(ASSETS, headers=headers, **arguments))) == 250
    assert json.dumps([headers, str(arguments)]) == before


def test_every_page_has_the_callers_headers_and_asks_for_json(sandbox, iris) -> None:
    list(iris.items(ASSETS, headers={"X-Mine": "1"}, params={"size": 100}))
    pages = [seen for seen in sandbox.seen if seen.server == "api"]
    assert [seen.headers["X-Mine"] for seen in pages] == ["1"] * 3
    assert {seen.headers["Accept"] for seen in pages} == {"application/json"}
    assert {name for seen in pages for name in seen.args} == {"size", "page"}


@pytest.mark.parametrize("name", ["accept", b"Accept"])
def test_an_accept_of_the_callers_stands(sandbox, iris, name) -> None:
    del iris.headers["Accept"]  # beside it requests would send the other one, by chance
    list(iris.items(ASSETS, headers={name: "application/vnd.x+json"}))
    assert sandbox.seen[-1].headers["Accept"] == "application/vnd.x+json"


def test_a_walk_can_begin_in_the_middle(iris, sandbox) -> None:
    found = ids(iris.items(ASSETS, params={"size": 100, "page": 1}))
    assert tuple(found) == sandbox.asset_ids[100:]


def test_cursors_can_be_walked_backwards(iris, sandbox) -> None:
    last = list(iris.pages(OPERATORS, params={"limit": 10}))[-2].json()["before"]
    found = ids(iris.items(OPERATORS, params={"limit": 10, "before": last}))
    assert len(found) == 240


@pytest.mark.parametrize(
    ("params", "limits"),
    [
        ({"limit": 50}, {"50"}),
        ({"size": 50}, {None}),
        ({"size": 1000}, {None}),
        ({"size": 30, "limit": 50}, {"50"}),
        ({}, {None, "100"}),
        ({"sort": "name"}, {None, "100"}),
    ],
    ids=str,
)
def test_what_the_caller_says_is_on_every_page_of_cursors(sandbox, iris, params, limits) -> None:
    """A limit is asked for from the second page on, and where the caller is silent only."""
    params = {"site": ["1", "2"], **params}
    assert len(list(iris.items(OPERATORS, params=params))) == 250
    queries = [parse_qs(seen.query) for seen in sandbox.seen if seen.server == "api"]
    assert {query.get("limit", [None])[0] for query in queries} == limits
    said = {name: value if name == "site" else [str(value)] for name, value in params.items()}
    assert all(said.items() <= query.items() for query in queries)
    assert [len(query.get("after", ())) for query in queries] == [0, *[1] * (len(queries) - 1)]


@pytest.mark.parametrize("workers", [1, 8])
def test_what_the_caller_says_is_on_every_page_of_pages(sandbox, iris, workers) -> None:
    """The server gives 1000 at most, and says so in its reply."""
    sandbox.machines = 2001
    params = {"size": 2000, "sort": "name"}
    assert len(list(iris.items(ASSETS, params=params, workers=workers))) == 2001
    queries = [parse_qs(seen.query) for seen in sandbox.seen if seen.server == "api"]
    assert [(query["size"], query["sort"]) for query in queries] == [(["2000"], ["name"])] * 3


def test_aemp_is_not_asked_for_a_size(sandbox, iris) -> None:
    """It knows none: a page has 100 elements."""
    list(iris.items(f"{FLEET}/1"))
    assert {seen.query for seen in sandbox.seen if seen.server == "api"} == {""}


@pytest.mark.parametrize(
    ("query", "said", "first"),
    [(QUERY, {}, {"first": 100}), (QUERY, {"first": 7}, {"first": 7}), ("{ assets }", {}, {})],
)
def test_graphql_is_asked_for_so_many_a_page_where_it_declares_first(
    sandbox, iris, query, said, first
) -> None:
    last = {"edges": [], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": last}}), on="api")
    list(iris.items(GRAPHQL, method="POST", json={"query": query, "variables": said}))
    assert json.loads(sandbox.seen[-1].body)["variables"] == first


def test_a_limit_is_asked_for_from_the_place_where_a_walk_goes_on(sandbox, iris) -> None:
    walk = iris.items(OPERATORS)
    next(walk)
    sandbox.inject(Fault(status=400), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.resume["limit"] == 100
    sandbox.forget()
    assert sum(1 for _ in iris.items(OPERATORS, resume=caught.value.resume)) == 230
    assert all("limit=100" in seen.query for seen in sandbox.seen if seen.server == "api")


def test_a_server_may_give_less_than_was_asked_for(sandbox, iris) -> None:
    """1000 is the most that the sandbox gives, as IRIS."""
    assert len(list(iris.items(ASSETS, params={"size": 5000}))) == 250


def test_a_list_that_has_changed_since_it_was_left_is_an_error(sandbox, iris) -> None:
    walk = iris.items(ASSETS, params={"size": 100})
    next(walk)
    sandbox.inject(Fault(status=500), on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    sandbox.clear_faults()
    sandbox.machines -= 1
    with pytest.raises(IncompleteListError, match="it had 250 elements then, and has 249 now"):
        list(iris.items(ASSETS, params={"size": 100}, resume=caught.value.resume))


def test_a_list_whose_link_header_has_a_next_page_is_not_whole(sandbox, iris) -> None:
    sandbox.inject(Fault(headers={"Link": '</plans?page=2>; rel="next"'}), on="api")
    with pytest.raises(IncompleteListError, match="Link header"):
        list(iris.items(PLANS))
    sandbox.inject(Fault(headers={"Link": '</plans>; rel="self"'}), on="api")
    assert list(iris.items(PLANS))


def test_a_link_header_may_have_a_next_page_where_there_is_one(sandbox, iris) -> None:
    sandbox.inject(Fault(headers={"Link": '</assets?page=1>; rel="next"'}), on="api", times=2)
    assert len(list(iris.items(ASSETS, params={"size": 100}))) == 250


def test_the_last_page_of_cursors_may_tell_the_total_where_a_walk_goes_on(sandbox, iris) -> None:
    after = iris.get(OPERATORS, params={"limit": 100}).json()["after"]
    sandbox.inject(Fault(reply={"after": OMIT, "total": 250}), on="api")
    found = ids(iris.items(OPERATORS, resume=resume_at({"after": after}, OPERATORS)))
    assert found == ids(the_whole("operators")[100:120])


@pytest.mark.parametrize("name", ["size", "page", "limit", "after", "before", "%73ize"])
def test_a_place_that_is_named_twice_is_refused_when_called(sandbox, iris, name) -> None:
    plain = unquote(name)
    with pytest.raises(SettingError, match=f"the query has {plain} more than once"):
        iris.items(f"{ASSETS}?{name}=1", params={plain: 2})
    assert not sandbox.seen


def test_a_cursor_whose_name_is_written_in_another_way_is_replaced(sandbox, iris) -> None:
    first = iris.get(OPERATORS, params={"limit": 10}).json()["after"]
    found = ids(iris.items(f"{OPERATORS}?l%69mit=10&%61fter={quote(first)}"))
    assert found == ids(the_whole("operators")[10:])


@pytest.mark.parametrize(
    ("query", "after", "before", "refused"),
    [
        ("query { assets(last: 10) { edges { node { id } } } }", None, True, True),
        ("query { assets(last: 10) { edges { node { id } } } }", None, False, False),
        ("query { assets(after: $x) { edges { node { lastSeen: seen } } } }", None, True, False),
        (
            "query { assets(after: $after) { edges { node { alerts(last: 1) } } } }",
            "x",
            True,
            False,
        ),
    ],
)
def test_the_last_elements_of_a_connection_are_not_all(
    sandbox, iris, query, after, before, refused
) -> None:
    info = {"hasNextPage": False, "hasPreviousPage": before}
    connection = {"edges": [{"node": {"id": "x"}}], "pageInfo": info}
    sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
    body = {"query": query, "variables": {"after": after}}
    walk = iris.items(GRAPHQL, method="POST", json=body)
    if refused:
        with pytest.raises(NotAListError, match="more before them"):
            list(walk)
    else:
        assert list(walk) == [{"id": "x"}]


@pytest.mark.parametrize("edge", [None, "x", {"cursor": "x"}])
def test_an_edge_without_its_node_is_an_error(sandbox, iris, edge) -> None:
    connection = {"edges": [edge], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
    with pytest.raises(IncompleteListError, match="an edge without its node"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_an_absurd_wait_of_graphql_is_an_error(sandbox, iris) -> None:
    limited = {"errors": [{"extensions": {"code": "RATE_LIMITED", "resetIn": 10**400}}]}
    sandbox.inject(Fault(status=200, body=limited), on="api")
    with pytest.raises(GraphQLError, match="RATE_LIMITED"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_prometheus_result_is_a_list(sandbox, iris) -> None:
    url = f"/api/time-series/v1/assets/{sandbox.asset_ids[0]}/prometheus/api/v1/query_range"
    params = {"query": "hours", "start": 0, "end": 10, "step": 1}
    (series,) = iris.items(url, params=params)
    assert len(series["values"]) == 11


def test_a_query_without_after_is_refused_where_there_are_more_pages(sandbox, iris) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": "x"}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": fields}}), on="api")
    with pytest.raises(NotAListError, match=r"\$after"):
        list(iris.items(GRAPHQL, method="POST", json={"query": "{ assets }"}))


def test_two_connections_in_a_query_are_refused(sandbox, iris) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"a": fields, "b": fields}}), on="api")
    with pytest.raises(NotAListError, match="2 connections"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_the_first_request_fails_as_it_does_without_a_walk(iris) -> None:
    """Nothing was read, so there is nothing to tell of."""
    iris.token, iris.client_id = {}, "nobody"
    with pytest.raises(InvalidClientError):
        list(iris.items(ASSETS))


def test_a_later_one_that_no_waiting_mends_is_not_retryable(iris) -> None:
    walk = iris.pages(ASSETS, params={"size": 100})
    next(walk)
    iris.token, iris.verify = {}, "/not/there.pem"
    with pytest.raises(IncompleteListError, match="TokenUnreachableError") as caught:
        next(walk)
    assert not caught.value.retryable


def test_a_bar_is_drawn_on_a_terminal_only(iris, capsys) -> None:
    assert len(list(iris.items(ASSETS, progress=True))) == 250
    assert capsys.readouterr().err == ""


def test_a_bar_without_tqdm_names_the_extra(iris, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(SettingError, match=r"requests-iris\[progress\]"):
        iris.items(ASSETS, progress=True)


class TestABar:
    """Drawn on a terminal, whose line it leaves when the walk ends, and not before."""

    @pytest.fixture
    def terminal(self) -> io.StringIO:
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        return terminal

    @pytest.fixture
    def walk(self, iris, terminal):
        walk = iris.items(ASSETS, params={"size": 100}, progress=True)
        with redirect_stderr(terminal):
            next(walk)
        assert not terminal.getvalue().endswith("\n")
        return walk

    def test_is_not_drawn_before_the_walk_begins(self, iris, terminal) -> None:
        with redirect_stderr(terminal):
            iris.items(ASSETS, progress=True)
        assert terminal.getvalue() == ""

    def test_counts_to_the_total(self, walk, terminal) -> None:
        assert sum(1 for _ in walk) == 249
        assert "250/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_counts_where_there_is_no_total(self, iris, terminal) -> None:
        with redirect_stderr(terminal):
            assert sum(1 for _ in iris.items(OPERATORS, progress=True)) == 250
        assert "250 elements" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_ends_with_a_walk_that_is_stopped(self, walk, terminal) -> None:
        walk.close()
        assert "100/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_ends_with_a_walk_that_fails(self, sandbox, walk, terminal) -> None:
        sandbox.inject(Fault(status=400), on="api")
        with pytest.raises(IncompleteListError):
            list(walk)
        assert "100/250" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")

    def test_stays_until_the_last_element_was_taken(self, walk, terminal) -> None:
        for _ in range(249):
            next(walk)
        assert not terminal.getvalue().endswith("\n")
        assert next(walk, None) is None
        assert terminal.getvalue().endswith("\n")


def test_progress_that_fails_ends_the_walk(iris) -> None:
    def tell(done: int, total: int | None) -> None:
        raise LookupError(done, total)

    with pytest.raises(LookupError, match="100, 250"):
        list(iris.items(ASSETS, params={"size": 100}, workers=8, progress=tell))
    assert walkers() == []


@pytest.mark.parametrize(
    "links",
    [
        [{"rel": "self", "href": "{base}/2"}, {"rel": "last", "href": "{base}/9"}],
        [{"rel": "self", "href": "{base}/2"}, {"rel": "next", "href": "{base}/5"}],
        [{"rel": "self", "href": "{base}/7"}, {"rel": "next", "href": "{base}/3"}],
    ],
    ids=["another last page", "a page left out", "another page than asked for"],
)
def test_links_that_do_not_fit_are_an_error(sandbox, iris, links) -> None:
    walk = iris.pages(f"{FLEET}/1")
    next(walk)
    base = f"{sandbox.base_url}{FLEET}"
    told = [{"rel": each["rel"], "href": each["href"].format(base=base)} for each in links]
    if "last" not in {each["rel"] for each in told}:
        told.append({"rel": "last", "href": f"{base}/3"})
    sandbox.inject(Fault(reply={"Links": told}), on="api")
    with pytest.raises(IncompleteListError):
        list(walk)


def test_links_are_of_the_address_that_was_asked_for_wherever_that_has_led(sandbox, iris) -> None:
    here = {"rel": "self", "href": f"{sandbox.base_url}{FLEET}/1"}
    for there in ("moved", "moved-again"):
        sandbox.inject(Fault(redirect=f"{sandbox.base_url}/{there}/1"), on="api")
    sandbox.inject(Fault(status=200, body={"Equipment": [1], "Links": [here]}), on="api")
    assert list(iris.items(f"{FLEET}/1")) == [1]


def test_an_aemp_page_that_is_not_full_and_not_the_last_is_an_error(sandbox, iris) -> None:
    walk = iris.pages(f"{FLEET}/1")
    next(walk)
    sandbox.inject(Fault(reply={"Equipment": [{}] * 99}), on="api")
    with pytest.raises(IncompleteListError, match="not full"):
        list(walk)


@pytest.mark.parametrize("cursor", [None, "", "same"])
def test_a_next_page_without_a_new_cursor_is_an_error(sandbox, iris, cursor) -> None:
    fields = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": cursor}}
    sandbox.inject(Fault(status=200, body={"data": {"assets": fields}}), on="api")
    variables = {"first": 10, "after": "same"}
    with pytest.raises(IncompleteListError, match="no cursor"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY, "variables": variables}))


def test_a_connection_that_goes_in_a_circle_is_an_error(sandbox, iris) -> None:
    for cursor in ("a", "b", "a", "b"):
        info = {"hasNextPage": True, "endCursor": cursor}
        page = {"edges": [{"node": 1}], "pageInfo": info}
        sandbox.inject(Fault(status=200, body={"data": {"assets": page}}), on="api")
    with pytest.raises(IncompleteListError, match="second time"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


def test_a_connection_may_tell_its_total(sandbox, iris) -> None:
    page = {"nodes": [1], "pageInfo": {"hasNextPage": False}, "totalCount": 1}
    sandbox.inject(Fault(status=200, body={"data": {"assets": page}}), on="api")
    told: list[tuple[int, int | None]] = []
    query = {"query": QUERY}
    list(iris.items(GRAPHQL, method="POST", json=query, progress=lambda *n: told.append(n)))
    assert told == [(1, 1)]


def test_a_later_page_without_its_connection_is_an_error(sandbox, iris) -> None:
    url, arguments, _ = FORMS["graphql"]
    walk = iris.pages(url, **arguments)
    next(walk)
    sandbox.inject(Fault(status=200, body={"data": {}}), on="api")
    with pytest.raises(IncompleteListError, match="no connection"):
        list(walk)


def test_nodes_may_stand_in_the_place_of_edges(sandbox, iris) -> None:
    found = {"nodes": [{"id": "1"}, {"id": "2"}], "pageInfo": {"hasNextPage": False}}
    sandbox.inject(Fault(status=200, body={"data": {"site": {"machines": found}}}), on="api")
    query = {"query": "{ site { machines { nodes { id } pageInfo { hasNextPage } } } }"}
    assert ids(iris.items(GRAPHQL, method="POST", json=query)) == ["1", "2"]


def test_a_page_that_is_no_json_object_is_an_error(sandbox, iris) -> None:
    sandbox.inject(Fault(status=200, body="[1]"), on="api")
    with pytest.raises(IncompleteListError, match="no JSON object, but text/html") as caught:
        list(iris.items(ASSETS))
    assert caught.value.retryable  # such as the page of a proxy


def answers(sandbox, *bodies) -> str:
    """An address that answers with these, one after the other."""
    for body in bodies:
        sandbox.inject(Fault(status=200, body=body), on="api")
    return "/api/odd"


class TestTheEndOfCursors:
    """It is where no cursor leads on, if nothing tells of more."""

    @pytest.mark.parametrize(
        "last",
        [
            {"content": [2], "hasMore": True},
            {"content": [2], "nextCursor": "z"},
            {"content": [], "after": "b", "hasMore": True},
            {"content": [2], "total": 5},
            {"content": [2], "pages": 3},
        ],
        ids=str,
    )
    def test_that_is_none(self, sandbox, iris, last) -> None:
        url = answers(sandbox, {"content": [1], "after": "a"}, last)
        with pytest.raises(IncompleteListError, match=r"page 2 of .* tells of more pages"):
            list(iris.items(url))

    def test_with_counts_of_all_pages(self, sandbox, iris) -> None:
        counts = {"total": 3, "pages": 2}
        last = {"content": [3], **counts, "hasMore": False}
        url = answers(sandbox, {"content": [1, 2], "after": "a", **counts}, last)
        assert list(iris.items(url)) == [1, 2, 3]

    def test_of_a_walk_that_begins_at_a_cursor(self, sandbox, iris) -> None:
        url = answers(sandbox, {"content": [3], "total": 3, "pages": 2})
        assert list(iris.items(url, params={"after": "a"})) == [3]

    def test_is_not_by_a_direction_that_is_named_and_not_given(self, sandbox, iris) -> None:
        url = answers(sandbox, {"content": [1], "after": "a"}, {"content": [2]})
        assert list(iris.items(url, params={"before": ""})) == [1, 2]

    @pytest.mark.parametrize("name", ["after", "before"])
    def test_is_none_of_a_list_with_a_date_of_that_name(self, sandbox, iris, name) -> None:
        url = answers(sandbox, {"events": [1], "total": 1000})
        with pytest.raises(IncompleteListError, match="total"):
            list(iris.items(url, params={name: "2025-01-01"}))


class TestWhatIsMissing:
    """A reply that says that it is not all there is."""

    @pytest.mark.parametrize(
        ("key", "body", "told"),
        [
            ("r.items", {"r": {"items": [1], "isPartial": True}}, "isPartial"),
            ("r.items", {"r": {"items": [1]}, "isPartial": True}, "isPartial"),
            (None, {"data": {"result": [1], "isPartial": True}}, "isPartial"),
            (None, {"plans": [1], "errors": [{"message": "no access to B"}]}, "no access to B"),
            (None, {"plans": [1], "errors": "no access"}, "no access"),
            (None, {"errors": [{"message": "no such query"}], "data": None}, "no such query"),
            (None, {"status": "error", "error": "too slow", "data": {"result": [1]}}, "too slow"),
        ],
        ids=str,
    )
    def test_is_an_error(self, sandbox, iris, key, body, told) -> None:
        with pytest.raises(IncompleteListError, match=told):
            list(iris.items(answers(sandbox, body), key=key))

    def test_is_an_error_on_a_later_page(self, sandbox, iris) -> None:
        pages = {"r": [1], "after": "a"}, {"r": [2], "errors": [{"message": "no access"}]}
        with pytest.raises(IncompleteListError, match="page 2 of .* no access"):
            list(iris.items(answers(sandbox, *pages)))

    @pytest.mark.parametrize(
        ("key", "body"),
        [
            ("errors", {"errors": [1]}),
            (None, {"plans": [1], "errors": [], "isPartial": False, "status": "success"}),
            (None, {"plans": [1], "errors": None}),
        ],
    )
    def test_is_nothing(self, sandbox, iris, key, body) -> None:
        assert list(iris.items(answers(sandbox, body), key=key)) == [1]


class TestAWholeListThatLooksOdd:
    @pytest.mark.parametrize(
        "body",
        [
            {"number": "A-17", "machines": [1]},
            {"number": 3, "totalPages": 1, "machines": [1]},
            {"totalElements": 1, "size": 20, "machines": [1]},
            {"links": [{"rel": "self", "href": "/api/odd"}], "machines": [1]},
            {
                **{"links": [{"rel": "self", "href": "/api/odd"}], "content": [1]},
                **{"number": 0, "size": 20, "totalElements": 1, "totalPages": 1},
            },
        ],
        ids=str,
    )
    def test_is_one(self, sandbox, iris, body) -> None:
        assert list(iris.items(answers(sandbox, body))) == [1]

    def test_may_be_one_page_of_nothing(self, sandbox, iris) -> None:
        body = {"content": [], "number": 0, "size": 20, "totalElements": 0, "totalPages": 1}
        assert list(iris.items(answers(sandbox, body))) == []

    def test_of_one_page_and_an_element_are_not_two_pages(self, sandbox, iris) -> None:
        body = {"content": [1], "number": 0, "size": 20, "totalElements": 1, "totalPages": 0}
        with pytest.raises(IncompleteListError, match="are 0 pages"):
            list(iris.items(answers(sandbox, body)))

    @pytest.mark.parametrize("href", ["http://gate{path}", "{path}", "https://x{encoded}"])
    def test_aemp_links_may_be_to_another_name_of_the_host(self, sandbox, iris, href) -> None:
        """They tell the numbers of pages, and are never followed."""

        def to(number: int) -> str:
            path = f"{FLEET}/{number}"
            return href.format(path=path, encoded=path.replace("-3", "%2D3"))

        links = {
            1: [{"rel": "self", "href": to(1)}, {"rel": "Last", "href": to(2)}],
            2: [{"rel": "self", "href": to(2)}, {"rel": "describedby", "href": "/doc"}],
        }
        for number, each in links.items():
            last = [{"rel": "last", "href": to(2)}] if number == 2 else []
            body = {"Equipment": [number], "Links": [*each, *last]}
            sandbox.inject(Fault(status=200, body=body), on="api")
        assert list(iris.items(f"{FLEET}/1")) == [1, 2]
        assert sandbox.count("foreign") == 0


def test_aemp_links_may_tell_of_the_next_page_only(sandbox, iris) -> None:
    url = f"{sandbox.base_url}{FLEET}"
    for number in (1, 2, 3):
        links = [{"rel": "self", "href": f"{url}/{number}"}]
        links += [{"rel": "next", "href": f"{url}/{number + 1}"}] if number < 3 else []
        body = {"Equipment": [number], "Links": links}
        sandbox.inject(Fault(status=200, body=body), on="api")
    assert list(iris.items(f"{FLEET}/1", workers=4)) == [1, 2, 3]


def test_a_key_that_is_given_wins(sandbox, iris) -> None:
    body = {"content": [1], "r": {"rows": [2]}}
    assert list(iris.items(answers(sandbox, body, body), key="r.rows")) == [2]


class TestTheTotalOfAConnection:
    def walk(self, sandbox, iris, *totals, query=QUERY, **variables):
        for number, total in enumerate(totals, 1):
            info = {"hasNextPage": number < len(totals), "endCursor": str(number)}
            connection = {"nodes": [{"id": number}], "pageInfo": info, "totalCount": total}
            sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
        body = {"query": query, "variables": variables}
        told: list[tuple[int, int | None]] = []
        progress = lambda *counts: told.append(counts)  # noqa: E731
        found = list(iris.items(GRAPHQL, method="POST", json=body, progress=progress))
        return len(found), told[-1][1]

    def test_is_what_was_found(self, sandbox, iris) -> None:
        assert self.walk(sandbox, iris, 2, 2) == (2, 2)

    def test_is_an_error_if_less_was_found(self, sandbox, iris) -> None:
        with pytest.raises(IncompleteListError, match="page 2 of .* 2 elements of 5 have come"):
            self.walk(sandbox, iris, 5, 5)

    def test_must_not_change_on_the_way(self, sandbox, iris) -> None:
        with pytest.raises(IncompleteListError, match="totalCount was 2, and is 3"):
            self.walk(sandbox, iris, 2, 3)

    @pytest.mark.parametrize("place", ["before: $b", "last: 2", "offset: 3", 'after: "b"'])
    def test_is_not_for_a_walk_that_begins_later(self, sandbox, iris, place) -> None:
        query = f"query ($after: String) {{ assets({place}) {{ nodes {{ id }} }} }}"
        assert self.walk(sandbox, iris, 5, query=query) == (1, None)

    def test_is_not_for_a_walk_that_begins_at_a_cursor(self, sandbox, iris) -> None:
        assert self.walk(sandbox, iris, 5, after="b") == (1, None)


@pytest.mark.parametrize(
    ("status", "errors", "retryable"),
    [
        (200, [{"message": "no"}], False),
        (500, [{"message": "no"}], True),
        (408, [{"message": "no"}], True),
        (200, [{"extensions": {"code": "RATE_LIMITED"}}], True),
        (200, [{"extensions": {"code": "RATE_LIMITED", "resetIn": "soon"}}], True),
    ],
)
def test_an_error_of_graphql_may_pass(sandbox, iris, status, errors, retryable) -> None:
    sandbox.inject(Fault(status=status, body={"errors": errors}), on="api")
    with pytest.raises(GraphQLError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert caught.value.retryable is retryable


class TestALaterPageThatCannotBeFound:
    """A list that goes on in a way that is not known is refused, not taken for a whole one."""

    @pytest.mark.parametrize(
        "more",
        [
            {"nextPage": 2},
            {"hasNext": True},
            {"has_more": True},
            {"limit": 1, "nextCursor": "b"},
            {"limit": 1, "offset": 0},
            {"limit": 1, "total": 9},
            {"totalCount": 9},
            {"@odata.nextLink": "/?skip=1"},
            {"_links": {"next": {"href": "/?skip=1"}}},
            {"links": {"next": "/?skip=1"}},
            {"paging": {"nextPageToken": "b"}},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("key", ["content", "plans"])
    def test_in_a_reply_of_one_list(self, iris, sandbox, key, more) -> None:
        sandbox.inject(Fault(status=200, body={key: [1], **more}), on="api")
        with pytest.raises(IncompleteListError, match="tells of more pages"):
            list(iris.items("/api/odd"))

    @pytest.mark.parametrize(
        "less",
        [
            {"nextPage": None, "hasNext": False, "total": 1, "links": {"next": None}},
            {"limit": 9, "after": None, "total": 1},
        ],
        ids=str,
    )
    def test_one_that_says_that_it_is_whole_is_read(self, iris, sandbox, less) -> None:
        sandbox.inject(Fault(status=200, body={"content": [1], **less}), on="api")
        assert list(iris.items("/api/odd")) == [1]

    @pytest.mark.parametrize("info", [{}, {"hasNextPage": None}, {"hasNextPage": "true"}])
    def test_in_a_connection_that_does_not_say_whether_it_ends(self, iris, sandbox, info) -> None:
        connection = {"edges": [{"node": 1}], "pageInfo": {"endCursor": "a", **info}}
        sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
        with pytest.raises(NotAListError, match="hasNextPage"):
            list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))

    @pytest.mark.parametrize("errors", [["no"], {"message": "no"}, "no"], ids=str)
    def test_graphql_errors_in_an_odd_form_are_errors(self, iris, sandbox, errors) -> None:
        connection = {"edges": [{"node": 1}], "pageInfo": {"hasNextPage": False}}
        body = {"data": {"assets": connection}, "errors": errors}
        sandbox.inject(Fault(status=200, body=body), on="api")
        with pytest.raises(GraphQLError, match="no"):
            list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))

    def test_errors_are_no_elements(self, iris, sandbox) -> None:
        body = {"data": None, "errors": [{"message": "no"}]}
        sandbox.inject(Fault(status=200, body=body), on="api")
        with pytest.raises(IncompleteListError, match="tells of errors: no"):
            list(iris.items(GRAPHQL, method="POST", data=json.dumps({"query": QUERY})))

    @pytest.mark.parametrize("workers", [1, 2])
    def test_links_that_contradict_each_other(self, iris, sandbox, workers) -> None:
        """A next page after the last one: with workers, the walk used to end at the last one."""
        url = f"{sandbox.base_url}{FLEET}/"
        links = [{"rel": "last", "href": f"{url}1"}, {"rel": "next", "href": f"{url}2"}]
        sandbox.inject(Fault(reply={"Links": links}), on="api")
        with pytest.raises(IncompleteListError, match="last page is 1"):
            list(iris.items(f"{FLEET}/1", workers=workers))

    def test_the_names_of_links_in_upper_case(self, iris, sandbox) -> None:
        links = [{"rel": "Last", "href": f"{sandbox.base_url}{FLEET}/3"}]
        sandbox.inject(Fault(reply={"Links": links}), on="api")
        assert len(list(iris.items(f"{FLEET}/1"))) == 250

    def test_a_cursor_that_is_no_text(self, iris, sandbox) -> None:
        sandbox.inject(Fault(status=200, body={"content": [1], "after": {"id": 1}}), on="api")
        with pytest.raises(IncompleteListError, match="no text"):
            list(iris.items("/api/odd"))


class TestThreads:
    """However a walk ends, its threads end, and nothing is said of it."""

    @pytest.fixture(autouse=True)
    def _all_end(self) -> Iterator[None]:
        yield
        # one that was interrupted while it began is not waited for by its walk
        for thread in threading.enumerate():
            if thread.name.startswith("iris-pages"):
                thread.join(10)
        assert walkers() == []

    @pytest.mark.parametrize("name", FORMS)
    def test_after_an_interrupt_between_two_elements(self, iris, name) -> None:
        def interrupt(_) -> None:
            raise KeyboardInterrupt

        url, arguments, _ = FORMS[name]
        with pytest.raises(KeyboardInterrupt):
            list(map(interrupt, iris.items(url, workers=8, **arguments)))
        assert walkers() == []

    def test_after_ctrl_c_while_pages_are_waited_for(self, sandbox, iris) -> None:
        def interrupt(response, **_) -> None:
            if response.json()["number"] == 12:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        walk = iris.items(ASSETS, params={"size": 10}, workers=8, hooks={"response": interrupt})
        with pytest.raises(KeyboardInterrupt):
            list(walk)
        assert walkers() == []

    @pytest.mark.parametrize("name", FORMS)
    def test_of_a_walk_that_nobody_holds(self, iris, name) -> None:
        url, arguments, _ = FORMS[name]
        walk = iris.items(url, workers=8, **arguments)
        next(walk)
        del walk
        gc.collect()
        assert walkers() == []

    def test_of_a_walk_that_is_collected_in_one_of_them(self, iris) -> None:
        """A thread cannot wait for itself."""
        left = threading.Event()

        def collect(response, **_) -> None:
            if response.json()["number"] > 1:
                assert left.wait(10)
                gc.collect()

        walk = iris.items(ASSETS, params={"size": 10}, workers=2, hooks={"response": collect})
        assert len(list(itertools.islice(walk, 11))) == 11
        gone = weakref.ref(walk)
        circle = [walk]
        circle.append(circle)
        gc.disable()  # or it may be collected here
        try:
            del walk, circle
            assert gone() is not None
            left.set()
            for thread in threading.enumerate():
                if thread.name.startswith("iris-pages"):
                    thread.join(10)
            assert gone() is None
        finally:
            gc.enable()


class TestHooks:
    """The caller's are called once a page, by whatever thread has read it."""

    @pytest.mark.parametrize("workers", [1, 8])
    @pytest.mark.parametrize("of_session", [False, True])
    def test_see_each_page_once_and_no_401(self, sandbox, iris, form, workers, of_session) -> None:
        seen: list[int] = []
        url, arguments, name = form
        hooks = {"response": [lambda response, **_: seen.append(response.status_code)]}
        if of_session:
            iris.hooks = hooks
        else:
            arguments = {**arguments, "hooks": hooks}
        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=401), on="api")
        assert ids(iris.items(url, workers=workers, **arguments)) == ids(the_whole(name))
        assert sandbox.count("api", 401) > 0
        assert seen == [200] * sandbox.count("api", 200)

    @pytest.mark.parametrize(("status", "retryable"), [(404, False), (500, True)])
    @pytest.mark.parametrize("workers", [1, 8])
    def test_that_raise_for_a_status(self, sandbox, iris, workers, status, retryable) -> None:
        hooks = {"response": lambda response, **_: response.raise_for_status()}
        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=status), on="api", times=100)
        with pytest.raises(IncompleteListError, match=f"HTTPError: {status}") as caught:
            list(iris.items(ASSETS, params={"size": 10}, workers=workers, hooks=hooks))
        assert caught.value.response.status_code == status
        assert caught.value.retryable is retryable
        assert caught.value.resume["page"] == 1

    @pytest.mark.parametrize("workers", [1, 8])
    def test_that_fail_end_the_walk_with_their_own_error(self, iris, workers) -> None:
        def fail(response, **_) -> None:
            if response.json()["number"] == 2:
                raise LookupError("mine")

        walk = iris.items(ASSETS, params={"size": 10}, workers=workers, hooks={"response": fail})
        assert len(list(itertools.islice(walk, 20))) == 20
        with pytest.raises(LookupError, match="mine"):
            next(walk)
        assert walkers() == []


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("of_session", [False, True])
def test_a_page_is_not_streamed(sandbox, iris, form, workers, of_session) -> None:
    """It is read whole: one that breaks off is asked for again, which a streamed one is not."""
    url, arguments, name = form
    iris.stream = of_session
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(truncate=20), on="api")
    if not of_session:
        arguments = {**arguments, "stream": True}
    assert ids(iris.items(url, workers=workers, **arguments)) == ids(the_whole(name))
    assert all(page.json() for page in iris.pages(url, workers=workers, **arguments))
