"""Signs of more items around a list: an unknown pagination style must not pass for a whole list."""

from __future__ import annotations

from typing import Any

import pytest

from requests_iris.document import objects_around
from requests_iris.hints import headers_leading_on, hints_of_more

#: Each name of a sign of more, with a value that says so.
MORE: dict[str, Any] = {
    **dict.fromkeys(("next", "next_page", "nextPage", "nextCursor", "next_link", "nextUrl"), "x"),
    **dict.fromkeys(("nextHref", "next_offset", "next_page_token", "nextPageToken"), "x"),
    **dict.fromkeys(("nextToken", "nextUri", "nextPageUrl", "@odata.nextLink", "scrollId"), "x"),
    **dict.fromkeys(("nextMarker", "nextKey", "incomplete_results"), "x"),
    **dict.fromkeys(("cursor", "offset", "continuationToken", "continuation_token"), "x"),
    **dict.fromkeys(("hasMore", "has_next", "hasNextPage", "hasNextElements", "has_more"), True),
    **dict.fromkeys(("hasMoreResults", "has_next_items", "hasMoreRecords", "has_more_data"), True),
    **dict.fromkeys(("morePages", "more_items", "moreElements", "moreRecords", "more_data"), True),
    **dict.fromkeys(("isTruncated", "is_truncated", "truncated", "more", "moreResults"), True),
    **dict.fromkeys(("last", "isLast", "isLastPage", "is_last_page", "complete"), False),
    **dict.fromkeys(("count", "total", "totalCount", "totalElements", "total_items"), 2),
    **dict.fromkeys(("num_results", "numRecords", "total_rows", "totalSize", "totalHits"), 2),
    **dict.fromkeys(
        ("recordsTotal", "numberOfRecords", "totalEntries", "itemCount", "resultCount"), "2"
    ),
    **dict.fromkeys(("pages", "pageCount", "page_count", "totalPages", "num_pages"), 2),
    **dict.fromkeys(("lastPage", "last_page", "numberOfPages"), "2"),
}
#: Where it may stand, too.
BESIDE = ("links", "_links", "page", "pageable", "paging", "pagination", "cursors")
BESIDE += ("meta", "metadata", "_metadata", "pageInfo", "page_info")


def hints(reply: dict[str, Any], key: str = "plans") -> list[str]:
    """A response with a single item, and no further page was read."""
    return hints_of_more({"plans": [1], **reply}, key, items=1, pages=1)


@pytest.mark.parametrize("name", MORE)
def test_a_member_is_a_sign_of_more_by_its_name(name: str) -> None:
    assert hints({name: MORE[name]}) == hints({"meta": {name: MORE[name]}}) == [name]


@pytest.mark.parametrize("name", BESIDE)
def test_a_sign_of_more_may_be_in_an_object_beside_the_list(name: str) -> None:
    for more in ("hasMore", "after", "before"):
        assert hints({name: {more: "x"}}) == hints({name: {"cursors": {more: "x"}}}) == [more]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"page": {"size": 1, "number": 0, "totalElements": 9, "totalPages": 9}}, 2),  # Spring's
        ({"_links": {"self": {"href": "/1"}, "next": {"href": "/2"}}}, 1),
        ({"links": [{"rel": "self", "href": "/1"}, {"rel": "next", "href": "/2"}, 5]}, 1),
        ({"links": [{"rel": "self", "href": "/1"}, {"rel": "LAST", "href": "/2"}]}, 1),  # AEMP's
        ({"total": 10**400}, 1),
        ({"offset": 0}, 1),
        ({"offset": 0, "total": 9}, 2),
        ({"offset": 0, "totalWeight": 1}, 1),  # no total
        ({"pageable": {"paging": {"total": 9}}}, 1),
    ],
)
def test_links_totals_and_offsets_are_signs_of_more(more: dict[str, Any], names: int) -> None:
    assert len(hints(more)) == names


@pytest.mark.parametrize(
    "whole",
    [
        {"last": True, "hasMore": False, "count": 1, "pages": "1", "next": None},
        {"page": {"totalElements": 1, "totalPages": 1}, "meta": {"total": "1", "after": None}},
        {"last": {"name": "no flag"}, "total": "twelve", "count": {}, "pages": None},
        {"total": True, "nextPage": 0, "hasMore": "false", "more": 0, "cursor": ""},
        {"_links": {"next": {}, "self": {"href": "/1"}}, "links": [{"rel": "self", "href": "/"}]},
        {"links": [{"rel": "self", "href": "/1"}, {"rel": "last", "href": "/1"}]},
        {"offset": 0, "total": 1, "limit": 100},
        {"offset": None, "offsetUnit": "m", "after": "x", "before": "x"},
        {"hasMoreDetails": True, "completed": False, "offsetUnit": "m", "numberOfElements": 1},
        {"totalWeight": 9, "countryCode": 45, "pagesPerMinute": 9, "pageOwner": {"hasMore": True}},
        {"last": None, "complete": "", "page": 3, "links": [{"href": "/2"}]},
        {"drivers": {"hasMore": True}, "nextService": "2026-01-01"},
    ],
)
def test_a_whole_list_may_say_that_the_list_is_whole(whole: dict[str, Any]) -> None:
    assert hints(whole) == []


@pytest.mark.parametrize(
    ("key", "reply"),
    [
        ("a.b", {"a": {"b": [1], "hasMore": True}}),
        ("a.b", {"a": {"b": [1], "total": 2}}),
        ("a.b", {"a": {"b": [1], "after": "x"}}),
        ("a.b", {"a": {"b": [1]}, "meta": {"total": 2}}),
        ("a.b.c", {"a": {"b": {"c": [1], "pageInfo": {"hasNextPage": True}}}}),
    ],
)
def test_signs_of_more_are_found_around_a_list_with_a_path(key: str, reply: dict[str, Any]) -> None:
    assert len(hints(reply, key)) == 1


def test_the_last_object_of_a_path_may_hold_the_list() -> None:
    """A connection of GraphQL has a total under a different name."""
    reply = {"data": {"assets": {"nodes": [1]}}}
    assert list(objects_around(reply, "data.assets")) == [reply, reply["data"], {"nodes": [1]}]
    assert list(objects_around(reply, "data.assets.nodes")) == list(
        objects_around(reply, "data.assets")
    )


def test_counts_are_compared_with_the_items_and_pages_read() -> None:
    reply = {"content": [1], "total": 3, "pages": 3}
    assert hints_of_more(reply, "content", items=3, pages=3) == []
    assert hints_of_more(reply, "content", items=2, pages=2) == ["total", "pages"]
    assert hints_of_more(reply, "content", items=None, pages=None) == []


@pytest.mark.parametrize(
    ("header", "leads_on"),
    [
        ("", False),
        ('</plans>; rel="self"', False),
        ('</plans?next=1>; rel="prev"', False),
        ('</plans>; rel="self", </plans?page=2>; rel="next"', True),
        ("</plans?page=2>; REL=next", True),
        ('</plans?page=2>; rel="last Next"', True),
        ('</plans>; rel="self nextcloud"; title="next"', False),
    ],
)
def test_a_link_header_is_a_sign_of_more_by_its_relation(header: str, leads_on: bool) -> None:
    assert bool(headers_leading_on({"Link": header}, "/plans")) is leads_on


@pytest.mark.parametrize(
    ("name", "value", "leads_on"),
    [
        ("X-Next-Page", "2", True),
        ("x-next-cursor", "abc", True),
        ("Next-Token", "abc", True),
        ("X-Has-More", "true", True),
        ("X-Continuation", "abc", True),
        ("X-Next-Page", "", False),
        ("X-Has-More", "false", False),
        ("X-Request-Id", "abc", False),
        ("X-Content-Type-Options", "nosniff", False),
        ("Set-Cookie", "next=1", False),
    ],
)
def test_any_other_header_is_a_sign_of_more_by_its_name(
    name: str, value: str, leads_on: bool
) -> None:
    assert bool(headers_leading_on({name: value}, "/plans")) is leads_on
