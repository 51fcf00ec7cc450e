"""What a reply says around its list: that there is more of it.

A list in a form that is not known must not be taken for a whole one, so these are the names that
APIs have for its parts. Nothing here does any I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from requests.utils import parse_header_links

Document = dict[str, Any]
#: A member of a reply: its name, its value, and whether it stands in an object beside the list.
_Member = tuple[str, Any, bool]


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


#: What tells of more by being there.
_MORE = _named(
    r"(?:@odata\.)?next_?(?:page_?(?:token|url)?|cursor|link|ur[il]|href|offset|token|marker|key)?"
    r"|has_?(?:more|next)_?(?:pages?|results|items|elements|records|data)?"
    r"|more_?(?:pages?|results|items|elements|records|data)?|(?:is_?)?truncated|incomplete_?results"
    r"|cursor|scroll_?id|continuation_?token"
)
#: The same, but beside the list only: elsewhere they belong to a list of cursors.
_CURSOR = _named(r"after|before")
#: What tells of more by being false.
_END = _named(r"(?:is_?)?(?:last(?:_?page)?|complete)")
#: Where the first element stands: of a part, unless a total says that there is no more.
_OFFSET = _named(r"offset")
#: How many elements there are, and how many pages.
_TOTAL = _named(
    r"count|total|records_?total|(?:item|result)_?count|(?:total|num|number_?of)_?"
    r"(?:count|elements|items|results|records|rows|size|hits|entries)"
)
_PAGES = _named(r"pages|page_?count|(?:total|num|number_?of)_?pages|last_?page")
#: Objects that tell of pages, and lists of links.
_BESIDE = _named(r"_?links|page|pageable|paging|pagination|cursors|meta|_?metadata|page_?info")
#: Values that say no.
_NO = ("", "0", "false", "no", "none", "null", "{}", "[]")


def hints_of_more(
    document: Document, key: str, *, elements: int | None, pages: int | None
) -> list[str]:
    """The names of members by which a reply says that its list has more than what was read.

    :param key: where the list is, as names with dots between them.
    :param elements: how many were read; None if counts tell nothing, since it began later.
    :param pages: the same of pages.
    """
    members = list(_members(document, key))
    totals = [_number(value) for name, value, _ in members if _TOTAL.fullmatch(name)]
    return [
        name
        for name, value, is_beside in members
        if (_MORE.fullmatch(name) and _says_yes(value))
        or (_CURSOR.fullmatch(name) and is_beside and _says_yes(value))
        or (_END.fullmatch(name) and value is False)
        or (_OFFSET.fullmatch(name) and value is not None and elements not in totals)
        or (_TOTAL.fullmatch(name) and elements is not None and _number(value) > elements)
        or (_PAGES.fullmatch(name) and pages is not None and _number(value) > pages)
    ]


def links_to_next(header: str) -> bool:
    """Whether a Link header (RFC 8288) leads to another page."""
    return any(
        "next" in value.lower().split()
        for link in parse_header_links(header)
        for name, value in link.items()
        if name.lower() == "rel"
    )


def objects_around(document: Document, key: str) -> Iterator[Document]:
    """The objects on the way to the list, from the reply itself inwards."""
    place: Any = document
    for name in (*key.split("."), None):
        if isinstance(place, dict):
            yield place
            place = place.get(name)


def _members(document: Document, key: str) -> Iterator[_Member]:
    for place in objects_around(document, key):
        yield from ((name, value, place is not document) for name, value in place.items())
        yield from ((name, value, True) for name, value in _about_pages(place))


def _about_pages(place: Document) -> Iterator[tuple[str, Any]]:
    for name, value in place.items():
        if not _BESIDE.fullmatch(name):
            continue
        if isinstance(value, dict):
            yield from value.items()
            yield from _about_pages(value)
        if isinstance(value, list):
            yield from _links_of(value).items()


def _links_of(links: list[Any]) -> Document:
    """By their relations; AEMP's next may be missing while the last page is ahead."""
    found = {str(e.get("rel")).lower(): e.get("href") for e in links if isinstance(e, dict)}
    if found.get("last") != found.get("self"):
        found.setdefault("next", found.get("last"))
    return found


def _says_yes(value: Any) -> bool:
    return str(value).lower() not in _NO


def _number(value: Any) -> float:
    """A count, also as text; 0 for what is none."""
    try:
        return float(str(value))
    except ValueError:
        return 0
