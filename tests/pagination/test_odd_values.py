"""Counts and cursors that no server should send: a one-line error, or simply right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from requests_iris import IncompleteListError, ListError
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS, FLEET, GRAPHQL, QUERY
from .lists import answers

#: A JSON object that is nested as deep as Python's decoder can follow, and deeper.
DEPTHS = (900, 980, 5000, 100_000)


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def outcome(walk: Iterator[object]) -> list[object] | str:
    """The items, or the message of the ListError."""
    try:
        return list(walk)
    except ListError as error:
        return str(error)


def is_one_line(message: object) -> bool:
    return isinstance(message, str) and message.isprintable() and len(message) < 600


@pytest.mark.parametrize("name", ["totalElements", "size", "number", "totalPages"])
@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "-1", "2.5", "1e400", "true", '"1"', "{}", "[]", "NaN", "-0.5"]
)
def test_a_count_that_makes_no_sense_is_refused_in_one_line(sandbox, iris, name, value) -> None:
    counts = {"number": "0", "size": "1", "totalElements": "1", "totalPages": "1", name: value}
    members = ", ".join(f'"{each}": {told}' for each, told in counts.items())
    sandbox.inject(Fault(status=200, body=f'{{"content": [1], {members}}}'), on="api")
    with pytest.raises(IncompleteListError) as caught:
        list(iris.items("/api/odd", progress=lambda *_: None))
    assert is_one_line(str(caught.value))


def test_a_number_too_long_for_python_is_refused(sandbox, iris) -> None:
    body = '{"content": [], "totalElements": 1' + "0" * 5000 + "}"
    sandbox.inject(Fault(status=200, body=body), on="api")
    with pytest.raises(IncompleteListError, match="4300 digits"):
        list(iris.items("/api/odd"))


@pytest.mark.parametrize("total", [10**400, -1, 2.5, "many", True, None])
def test_a_total_of_a_connection_that_makes_no_sense_is_not_used(sandbox, iris, total) -> None:
    info = {"hasNextPage": False}
    connection = {"nodes": [1], "pageInfo": info, "totalCount": total}
    sandbox.inject(Fault(status=200, body={"data": {"assets": connection}}), on="api")
    told: list[int | None] = []
    query = {"query": QUERY}
    walk = iris.items(GRAPHQL, method="POST", json=query, progress=lambda _, n: told.append(n))
    assert list(walk) == [1]
    assert told == [None]


def test_cursors_of_equal_hashes_are_different_cursors(sandbox, iris) -> None:
    pages = [{"content": [n], "after": after} for n, after in enumerate((-1, -2, 1, "1a"))]
    assert list(iris.items(answers(sandbox, *pages, {"content": []}))) == [0, 1, 2, 3]


@pytest.mark.parametrize("cursor", [1.5, True, False, {"id": 1}, ["x"], 0, {}, []])
def test_a_cursor_that_is_no_text_and_no_number_is_refused(sandbox, iris, cursor) -> None:
    sandbox.inject(Fault(status=200, body={"content": [1], "after": cursor}), on="api")
    with pytest.raises(IncompleteListError, match="no text"):
        list(iris.items("/api/odd"))


@pytest.mark.parametrize("cursor", [1.5, True, {"id": 1}, ["x"], False, 0])
def test_an_end_cursor_that_is_no_text_and_no_number_is_refused(sandbox, iris, cursor) -> None:
    info = {"hasNextPage": True, "endCursor": cursor}
    body = {"data": {"assets": {"nodes": [1], "pageInfo": info}}}
    sandbox.inject(Fault(status=200, body=body), on="api")
    with pytest.raises(IncompleteListError, match="no text"):
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "member",
    ["links", "next", "meta", "errors", "data", "after", "hasMore", "isPartial", "total", "page"],
)
def test_a_deeply_nested_member_is_refused_in_one_line_or_harmless(
    sandbox, iris, member, depth
) -> None:
    body = f'{{"plans": [1], "{member}": {nested(depth)}}}'
    sandbox.inject(Fault(status=200, body=body), on="api")
    found = outcome(iris.items("/api/odd"))
    assert found == [1] or is_one_line(found)


@pytest.mark.parametrize("depth", DEPTHS)
def test_deeply_nested_items_are_read_or_refused(sandbox, iris, depth) -> None:
    sandbox.inject(Fault(status=200, body=f'{{"plans": [{nested(depth)}]}}'), on="api")
    found = outcome(iris.items("/api/odd"))
    if depth == DEPTHS[0]:
        assert len(found) == 1
    else:
        assert isinstance(found, list) or "nested too deeply" in found


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("where", ['"data": %s', '"errors": [{"message": %s}]', '"errors": %s'])
def test_a_deeply_nested_response_of_graphql_is_refused_in_one_line(
    sandbox, iris, where, depth
) -> None:
    sandbox.inject(Fault(status=200, body="{" + where % nested(depth) + "}"), on="api")
    with pytest.raises(ListError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert is_one_line(str(caught.value))


#: Text that would move a cursor, forge a line, or turn the reading direction.
FOREIGN = "a\nb\x1b[31mc\u202ed\x9be\r\x00"


@pytest.mark.parametrize(
    "body",
    [
        {"code": FOREIGN, "message": FOREIGN},
        {"code": "c", "violations": [{"field": FOREIGN, "message": FOREIGN}], "x": [1]},
        {FOREIGN: 1},
        {"plans": [1], "errors": [{"message": FOREIGN}]},
        {"status": "error", "error": FOREIGN, "plans": [1]},
        {"plans": [1], "links": [{"rel": FOREIGN, "href": "/api/odd?page=2"}]},
        {"plans": [1], "meta": {"next\u202e": FOREIGN}},
        {"content": [1], "number": FOREIGN, "size": 1, "totalElements": 1},
        {"content": [1], "after": {FOREIGN: 1}},
    ],
    ids=range(9),
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_message_shows_text_of_the_server_on_one_printable_line(
    sandbox, iris, body, status
) -> None:
    sandbox.inject(Fault(status=status, body=body), on="api")
    with pytest.raises(ListError) as caught:
        list(iris.items("/api/odd"))
    assert str(caught.value).isprintable()


def test_a_message_shows_foreign_text_of_graphql_and_of_headers_on_one_line(sandbox, iris) -> None:
    errors = [{"message": FOREIGN}, {"extensions": {"code": FOREIGN}}]
    sandbox.inject(Fault(status=200, body={"errors": errors}), on="api")
    with pytest.raises(ListError) as caught:
        list(iris.items(GRAPHQL, method="POST", json={"query": QUERY}))
    assert str(caught.value).isprintable()
    kind = {"Content-Type": "text/\u00a0\u00adhtml"}
    sandbox.inject(Fault(status=200, body="x", headers=kind), on="api")
    with pytest.raises(ListError) as caught:
        list(iris.items(ASSETS))
    assert str(caught.value).isprintable()


def test_a_message_shows_a_url_of_the_caller_on_one_line(sandbox, iris) -> None:
    with pytest.raises(ListError) as caught:
        list(iris.items(f"{FLEET}/\u202e1"))
    assert str(caught.value).isprintable()
