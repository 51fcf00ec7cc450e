"""Lists whose pages tell the cursor of the next one."""

from __future__ import annotations

from urllib.parse import parse_qs, quote

import pytest

from requests_iris import IncompleteListError
from requests_iris.sandbox import OMIT, Fault

from ..support.paths import OPERATORS
from .lists import answers, ids, resume_at, the_whole


@pytest.mark.parametrize(
    ("params", "limits"),
    [
        ({"limit": 50}, ["50"]),
        ({"size": 50}, [None]),
        ({"size": 1000}, [None]),
        ({"size": 30, "limit": 50}, ["50"]),
        ({}, [None, "100"]),
        ({"sort": "name"}, [None, "100"]),
    ],
    ids=str,
)
def test_every_request_for_a_cursor_page_has_the_arguments_of_the_caller(
    sandbox, iris, params, limits
) -> None:
    """A limit is asked for from the second page on, and where the caller is silent only."""
    params = {"site": ["1", "2"], **params}
    assert len(list(iris.items(OPERATORS, params=params))) == 250
    queries = [parse_qs(seen.query) for seen in sandbox.seen if seen.server == "api"]
    assert list(dict.fromkeys(query.get("limit", [None])[0] for query in queries)) == limits
    said = {name: value if name == "site" else [str(value)] for name, value in params.items()}
    assert all(said.items() <= query.items() for query in queries)
    assert [len(query.get("after", ())) for query in queries] == [0, *[1] * (len(queries) - 1)]


def test_a_resumed_cursor_list_asks_for_the_same_limit(sandbox, iris) -> None:
    walk = iris.items(OPERATORS)
    next(walk)
    sandbox.inject(Fault(status=400), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(walk)
    assert caught.value.resume["limit"] == 100
    sandbox.forget()
    assert sum(1 for _ in iris.items(OPERATORS, resume=caught.value.resume)) == 230
    assert all("limit=100" in seen.query for seen in sandbox.seen if seen.server == "api")


def test_cursors_can_be_followed_backwards(iris, sandbox) -> None:
    last = list(iris.pages(OPERATORS, params={"limit": 10}))[-2].json()["before"]
    found = ids(iris.items(OPERATORS, params={"limit": 10, "before": last}))
    assert len(found) == 240


def test_a_cursor_under_another_spelling_in_the_url_is_replaced(sandbox, iris) -> None:
    first = iris.get(OPERATORS, params={"limit": 10}).json()["after"]
    found = ids(iris.items(f"{OPERATORS}?l%69mit=10&%61fter={quote(first)}"))
    assert found == ids(the_whole("operators")[10:])


@pytest.mark.parametrize("cursor", ["a+b=", 5])
def test_a_cursor_that_does_not_move_is_the_end(sandbox, iris, cursor) -> None:
    for item in (1, 2, 3):
        page = {"content": [item], "after": cursor}
        sandbox.inject(Fault(status=200, body=page), on="api")
    assert list(iris.items("/api/odd")) == [1, 2]


def test_a_page_of_cursors_without_items_is_the_last(sandbox, iris) -> None:
    for items, after in (([1], "a"), ([], "b"), ([2], "c")):
        sandbox.inject(Fault(status=200, body={"content": items, "after": after}), on="api")
    assert list(iris.items("/api/odd")) == [1]


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
    def test_a_last_cursor_page_with_a_sign_of_more_is_refused(self, sandbox, iris, last) -> None:
        url = answers(sandbox, {"content": [1], "after": "a"}, last)
        with pytest.raises(IncompleteListError, match=r"page 2 of .* tells of more pages"):
            list(iris.items(url))

    def test_a_last_page_of_cursors_may_have_counts_of_all_pages(self, sandbox, iris) -> None:
        counts = {"total": 3, "pages": 2}
        last = {"content": [3], **counts, "hasMore": False}
        url = answers(sandbox, {"content": [1, 2], "after": "a", **counts}, last)
        assert list(iris.items(url)) == [1, 2, 3]

    def test_counts_prove_nothing_if_the_reading_begins_at_a_cursor(self, sandbox, iris) -> None:
        url = answers(sandbox, {"content": [3], "total": 3, "pages": 2})
        assert list(iris.items(url, params={"after": "a"})) == [3]

    def test_an_empty_before_does_not_turn_the_direction(self, sandbox, iris) -> None:
        url = answers(sandbox, {"content": [1], "after": "a"}, {"content": [2]})
        assert list(iris.items(url, params={"before": ""})) == [1, 2]

    @pytest.mark.parametrize("name", ["after", "before"])
    def test_a_date_named_after_or_before_is_no_cursor(self, sandbox, iris, name) -> None:
        url = answers(sandbox, {"events": [1], "total": 1000})
        with pytest.raises(IncompleteListError, match="total"):
            list(iris.items(url, params={name: "2025-01-01"}))


@pytest.mark.parametrize("last", [{"content": [1]}, {"operators": [1], "limit": 10}], ids=str)
def test_the_last_cursor_page_may_say_nothing_about_further_pages(sandbox, iris, last) -> None:
    """The page still belongs to the resumed list."""
    sandbox.inject(Fault(status=200, body=last), on="api")
    assert list(iris.items(OPERATORS, resume=resume_at({"after": "b"}, OPERATORS))) == [1]


def test_the_last_cursor_page_of_a_resumed_list_may_have_a_total(sandbox, iris) -> None:
    after = iris.get(OPERATORS, params={"limit": 100}).json()["after"]
    sandbox.inject(Fault(reply={"after": OMIT, "total": 250}), on="api")
    found = ids(iris.items(OPERATORS, resume=resume_at({"after": after}, OPERATORS)))
    assert found == ids(the_whole("operators")[100:120])


@pytest.mark.parametrize("workers", [1, 8])
def test_a_cursor_that_repeats_is_an_error(sandbox, iris, workers) -> None:
    walk = iris.pages(OPERATORS, params={"limit": 10}, max_workers=workers)
    read = [next(walk), next(walk)]
    first = read[0].json()["after"]
    sandbox.inject(Fault(), on="api")
    sandbox.inject(Fault(reply={"after": first}), on="api")
    with pytest.raises(IncompleteListError, match="second time") as caught:
        read.extend(walk)
    assert (caught.value.pages_read, caught.value.items_read) == (len(read), len(read) * 10)


def test_a_cursor_that_is_no_text_is_an_error(iris, sandbox) -> None:
    sandbox.inject(Fault(status=200, body={"content": [1], "after": {"id": 1}}), on="api")
    with pytest.raises(IncompleteListError, match="no text"):
        list(iris.items("/api/odd"))
