"""AEMP lists, whose pages have their number in the path, and links to the others."""

from __future__ import annotations

import pytest

from requests_iris import IncompleteListError
from requests_iris.sandbox import Fault

from ..support.paths import FLEET


def test_a_request_for_an_aemp_page_has_no_size(sandbox, iris) -> None:
    """It knows none: a page has 100 items."""
    list(iris.items(f"{FLEET}/1"))
    assert {seen.query for seen in sandbox.seen if seen.server == "api"} == {""}


@pytest.mark.parametrize("lower_case", [False, True])
def test_an_aemp_list_without_next_continues_by_page_number(sandbox, iris, lower_case) -> None:
    sandbox.aemp.next_link, sandbox.aemp.lower_case = False, lower_case
    assert len(list(iris.items(f"{FLEET}/1"))) == 250


def test_an_aemp_page_may_link_to_the_next_page_only(sandbox, iris) -> None:
    url = f"{sandbox.base_url}{FLEET}"
    for number in (1, 2, 3):
        links = [{"rel": "self", "href": f"{url}/{number}"}]
        links += [{"rel": "next", "href": f"{url}/{number + 1}"}] if number < 3 else []
        body = {"Equipment": [number], "Links": links}
        sandbox.inject(Fault(status=200, body=body), on="api")
    assert list(iris.items(f"{FLEET}/1", max_workers=4)) == [1, 2, 3]


def test_the_names_of_links_may_be_in_upper_case(iris, sandbox) -> None:
    links = [{"rel": "Last", "href": f"{sandbox.base_url}{FLEET}/3"}]
    sandbox.inject(Fault(reply={"Links": links}), on="api")
    assert len(list(iris.items(f"{FLEET}/1"))) == 250


@pytest.mark.parametrize("href", ["http://gate{path}", "{path}", "https://x{encoded}"])
def test_an_aemp_link_may_use_another_name_of_the_host(sandbox, iris, href) -> None:
    """Links show the numbers of pages, and are never followed."""

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


def test_links_belong_to_the_requested_url_even_after_a_redirect(sandbox, iris) -> None:
    here = {"rel": "self", "href": f"{sandbox.base_url}{FLEET}/1"}
    for there in ("moved", "moved-again"):
        sandbox.inject(Fault(redirect=f"{sandbox.base_url}/{there}/1"), on="api")
    sandbox.inject(Fault(status=200, body={"Equipment": [1], "Links": [here]}), on="api")
    assert list(iris.items(f"{FLEET}/1")) == [1]


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
def test_a_link_to_another_list_is_not_followed(sandbox, iris, link) -> None:
    if isinstance(link, dict) and "href" in link:
        hosts = {"foreign": sandbox.foreign_url, "base": sandbox.base_url}
        link = {**link, "href": link["href"].format_map(hosts)}
    sandbox.inject(Fault(reply={"Links": [link]}), on="api")
    with pytest.raises(IncompleteListError, match="leads out of the list"):
        list(iris.items(f"{FLEET}/1"))
    assert sandbox.count("foreign") == 0


@pytest.mark.parametrize(
    "links",
    [
        [{"rel": "self", "href": "{base}/2"}, {"rel": "last", "href": "{base}/9"}],
        [{"rel": "self", "href": "{base}/2"}, {"rel": "next", "href": "{base}/5"}],
        [{"rel": "self", "href": "{base}/7"}, {"rel": "next", "href": "{base}/3"}],
    ],
    ids=["another last page", "a page left out", "another page than asked for"],
)
def test_an_aemp_page_whose_links_do_not_fit_the_page_is_an_error(sandbox, iris, links) -> None:
    walk = iris.pages(f"{FLEET}/1")
    next(walk)
    base = f"{sandbox.base_url}{FLEET}"
    told = [{"rel": each["rel"], "href": each["href"].format(base=base)} for each in links]
    if "last" not in {each["rel"] for each in told}:
        told.append({"rel": "last", "href": f"{base}/3"})
    sandbox.inject(Fault(reply={"Links": told}), on="api")
    with pytest.raises(IncompleteListError):
        list(walk)


@pytest.mark.parametrize("workers", [1, 2])
def test_aemp_links_that_contradict_each_other_are_an_error(iris, sandbox, workers) -> None:
    """A next page after the last one: with workers, the walk used to end at the last one."""
    url = f"{sandbox.base_url}{FLEET}/"
    links = [{"rel": "last", "href": f"{url}1"}, {"rel": "next", "href": f"{url}2"}]
    sandbox.inject(Fault(reply={"Links": links}), on="api")
    with pytest.raises(IncompleteListError, match="last page is 1"):
        list(iris.items(f"{FLEET}/1", max_workers=workers))


@pytest.mark.parametrize("links", [[], None])
def test_an_aemp_page_without_links_may_not_be_the_last(sandbox, iris, links) -> None:
    sandbox.inject(Fault(reply={"Links": links}), on="api")
    with pytest.raises(IncompleteListError, match="no links"):
        list(iris.items(f"{FLEET}/1"))


@pytest.mark.parametrize("links", [[], None])
def test_an_aemp_page_without_links_and_without_equipment_is_the_last(sandbox, iris, links) -> None:
    sandbox.inject(Fault(reply={"Links": links, "Equipment": []}), on="api")
    assert list(iris.items(f"{FLEET}/1")) == []


def test_an_empty_aemp_page_that_is_not_the_last_is_an_error(sandbox, iris) -> None:
    sandbox.inject(Fault(reply={"Equipment": []}), on="api")
    with pytest.raises(IncompleteListError, match="page 1 of .* not full"):
        list(iris.items(f"{FLEET}/1"))


def test_an_aemp_page_that_is_not_full_and_not_the_last_is_an_error(sandbox, iris) -> None:
    walk = iris.pages(f"{FLEET}/1")
    next(walk)
    sandbox.inject(Fault(reply={"Equipment": [{}] * 99}), on="api")
    with pytest.raises(IncompleteListError, match="not full"):
        list(walk)
