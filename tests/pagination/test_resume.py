"""A walk goes on where another has stopped, in the same list only."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import pytest

from requests_iris import IncompleteListError, IrisSession, SettingError
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, GRAPHQL, QUERY
from .lists import LISTS, POSITIONS, resume_at


@pytest.mark.parametrize("name", LISTS)
def test_the_resume_point_of_an_error_belongs_to_its_list(sandbox, iris, name) -> None:
    url, arguments, _ = LISTS[name]
    walk = iris.items(url, **arguments)
    next(walk)
    sandbox.inject(Fault(status=400), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    place = {k: v for k, v in caught.value.resume.items() if k != "list"}
    assert place.keys() == POSITIONS[name].keys()
    assert caught.value.resume == resume_at(place, url, **arguments)


@pytest.mark.parametrize("name", LISTS)
def test_a_resume_point_is_refused_by_any_other_list(iris, name) -> None:
    url, arguments, _ = LISTS[name]
    resume = resume_at(POSITIONS[name], url, **arguments)
    iris.items(url, resume=resume, max_workers=2, headers={"X": "y"}, progress=True, **arguments)
    other = "PUT" if arguments.get("method") == "POST" else "POST"
    for changes in (
        {"url": url.replace("/api/", "/api/v2/")},
        {"params": {"size": 10, "limit": 10, "brand": "Acme"}},
        {"method": other},
        {"items_path": "x"},
        {"data": "{}", "json": None},
        {"json": {**arguments.get("json", {}), "filter": "x"}},
        *({"resume": {**resume, member: "x"}} for member in resume),
    ):
        with pytest.raises(SettingError, match="the same call"):
            iris.items(**{"url": url, "resume": resume, **arguments, **changes})


def test_a_resume_point_of_graphql_belongs_to_its_variables(iris) -> None:
    def call(**variables):
        return {"method": "POST", "json": {"query": QUERY, "variables": variables}}

    resume = resume_at(POSITIONS["graphql"], GRAPHQL, **call(brand="Acme", after="a"))
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
def test_a_resume_point_is_accepted_by_the_same_request_written_otherwise(iris, then, now) -> None:
    resume = resume_at(POSITIONS["pages"], ASSETS, method="POST", **then)
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
def test_a_resume_point_is_refused_by_a_different_request(iris, then, now) -> None:
    resume = resume_at(POSITIONS["pages"], ASSETS, method="POST", **then)
    with pytest.raises(SettingError, match="the same call"):
        iris.items(ASSETS, resume=resume, method="POST", **now)


def test_a_resume_point_belongs_to_the_parameters_of_the_session(iris) -> None:
    """A filter in the session's params makes a different list of each path."""
    hours = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    for begin in (partial(iris.items, ASSETS), partial(iris.series, "SN00000001", "Hours", *hours)):
        points = []
        for iris.params in ({}, {"brand": "Acme", "type": 1}):
            walk = begin()
            next(walk)
            points.append(walk.resume)
        iris.params = {"type": "1", "brand": "Acme", "x": None}
        next(begin(resume=points[1]))
        with pytest.raises(SettingError, match="the same"):
            begin(resume=points[0])
        iris.params = {}
        with pytest.raises(SettingError, match="the same"):
            begin(resume=points[1])


def test_a_resume_point_that_changes_after_the_call_does_not_matter(iris) -> None:
    call = {"url": ASSETS, "params": {"size": 100}}
    resume = resume_at({"page": 1, "size": 100, "total": 249}, **call)
    walk = iris.items(**call, resume=resume)
    resume.clear()
    with pytest.raises(IncompleteListError, match="the total was 249, and is 250 now"):
        list(walk)


@pytest.mark.parametrize(
    "resume",
    [
        *(5, "x", [], {}, {5: 6, "list": "x"}, {"list": None}, {"after": {1}, "list": {2}}),
        *POSITIONS.values(),
        {**POSITIONS["pages"], "list": "0123456789abcdef"},
    ],
    ids=str,
)
def test_a_malformed_resume_point_is_refused_before_the_first_item(style, resume) -> None:
    url, arguments, _ = style
    with IrisSession() as iris, pytest.raises(SettingError, match="resume must be") as caught:
        iris.items(url, resume=resume, **arguments)
    assert caught.value.setting == "resume"


def test_a_list_that_changed_since_its_resume_point_is_an_error(sandbox, iris) -> None:
    walk = iris.items(ASSETS, params={"size": 100})
    next(walk)
    sandbox.inject(Fault(status=500), on="api", times=1000)
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    sandbox.clear_faults()
    sandbox.machines -= 1
    with pytest.raises(IncompleteListError, match="the total was 250, and is 249 now"):
        list(iris.items(ASSETS, params={"size": 100}, resume=caught.value.resume))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("pages", POSITIONS["cursor"]),
        ("cursor", POSITIONS["pages"]),
        ("cursor", {"page": 0, "size": 10, "total": 0}),
    ],
    ids=str,
)
def test_a_list_whose_style_changed_since_its_resume_point_is_an_error(iris, name, place) -> None:
    """The server knows no such place, and gives the first page once more."""
    url, arguments, _ = LISTS[name]
    walk = iris.items(url, resume=resume_at(place, url, **arguments), **arguments)
    with pytest.raises(SettingError, match="another pagination style"):
        next(walk)
