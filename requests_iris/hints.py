"""Signs of more items around a list.

An unknown kind of list must not pass for a whole list. This module knows the names of paging
members in common APIs. Names are compared folded. A name is a sign if all of its words are listed
below: `nextPageToken` and `has_more_results` are signs, `nextService` and `hasMoreDetails` are not.
This module does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .document import Document, folded, member, objects_around, says_yes
from .links import leading_on, links_in, links_of_header

#: Words before or after a decisive word such as "next".
_NOUN = (
    r"(?:pages?|cursors?|tokens?|link|url|uri|href|path|query|request|offset|skip|marker|bookmark|key"
    r"|ids?|number|no|index|position|start|after|from|batch|chunk|set|range|results?|items?|elements?"
    r"|records?|rows?|entries|objects|data|values?|available|exists?|remaining|left)"
)
_VERB = r"(?:is|are|has|have|there|get|with|the)"
_SIZES = (
    r"(?:count|elements|items|results|records|rows|size|hits|entries|objects|matches|length|number)"
)
#: Signs, unless the value says no.
_MORE = re.compile(
    rf"odata(?:nextlink|skiptoken)|{_VERB}*(?:next|more){_NOUN}*|{_VERB}*{_NOUN}*(?:follows?|tocome)"
    rf"|{_VERB}*(?:truncated|incomplete){_NOUN}*|continu(?:e|ation){_NOUN}*|lastevaluated{_NOUN}+"
    rf"|(?:page|paging|pagination|scroll|sync|skip|resume){_NOUN}*(?:token|cursor|marker|bookmark|id)"
    rf"|(?:after|forward|scroll|page|pagination)?cursors?{_NOUN}*|{_NOUN}+next|scrollid"
)
#: The same, unless the same object says that no page follows.
_LAST_CURSOR = re.compile(r"(?:end|last)cursor")
#: The same, but only in an object about pages. Elsewhere the names mean dates or known cursors.
_CURSOR = re.compile(r"after|before")
#: Signs if the value is false.
_END = re.compile(
    r"(?:is)?(?:last(?:page|batch|chunk)?|complete|final|finalpage)"
    r"|(?:is)?(?:done|end|eof|endof(?:list|results|data|records|pages))"
)
_FALSE = frozenset(("false", "no", "n"))
#: The index of the first item: a sign, unless a total equals the number of items read.
_OFFSET = re.compile(r"offset")
#: The number of all items, and the number of all pages.
_TOTAL = re.compile(
    rf"count|total|recordstotal|(?:item|result|element|record|row|hit|entry)s?(?:count|total)"
    rf"|(?:total|num|numberof){_SIZES}|total(?:number|num|count)of{_SIZES}"
)
_PAGES = re.compile(
    r"pages|pages?(?:count|total)|(?:total|num|numberof)pages?|total(?:number|num)ofpages"
    r"|last(?:page|pageno|pagenumber|pageindex)"
)
#: Objects about pages, and lists of links.
_ABOUT = re.compile(
    r"(?:page|pages|paging|pageable|pagination|paginator|cursors?|links?|meta|metadata|nav"
    r"|navigation|(?:page|paging|pagination|list|result|results|response|search|query|collection)"
    r"(?:info|information|meta|metadata|details|state|context|links?|cursors?))"
)
_LINKS = re.compile(r"(?:page|paging|pagination|navigation)?links?")


#: Paging members of IRIS, and all names with a known meaning.
_IRIS = re.compile(r"limit|size|pagesize|number|numberof.*|ispartial|status")
#: Names with a known meaning for the end, as signs of more or of the end.
_SIGNS = (_MORE, _LAST_CURSOR, _CURSOR, _END, _OFFSET, _TOTAL, _PAGES)
#: Other members of a list of which the server tells whether it is whole.
_SAYS_THE_END = re.compile(r"limit|ispartial|links?|pageinfo")
_KNOWN = (_MORE, _LAST_CURSOR, _CURSOR, _END, _OFFSET, _TOTAL, _PAGES, _ABOUT, _IRIS)


class _Member(NamedTuple):
    """A member of a page.

    :ivar word: the folded name.
    :ivar beside: whether the member is in an object beside the list.
    :ivar ended: whether a flag in the same object says that no page follows.
    """

    name: str
    word: str
    value: Any
    beside: bool
    ended: bool


def hints_of_more(
    document: Document,
    items_path: str,
    *,
    items: int | None,
    pages: int | None,
    url: str = "",
    numbered: bool = False,
) -> list[str]:
    """The names of members with a sign of more items.

    :param items_path: where the list is, as names with dots between them.
    :param items: number of items read; None if the reading began in the middle of the list, where
        counts prove nothing.
    :param pages: the same for pages.
    :param url: the URL of the page, for relative links.
    :param numbered: whether the last part of the URL's path is the number of the page.
    """
    members = list(_members(document, items_path))
    totals = [_number(each.value) for each in members if _TOTAL.fullmatch(each.word)]
    names = [
        each.name
        for each in members
        if _is_sign(each)
        or (_OFFSET.fullmatch(each.word) and each.value is not None and items not in totals)
        or (_TOTAL.fullmatch(each.word) and items is not None and _number(each.value) > items)
        or (_PAGES.fullmatch(each.word) and pages is not None and _number(each.value) > pages)
    ]
    for each in members:
        if _LINKS.fullmatch(each.word):
            names += leading_on(links_in(each.value), url, numbered=numbered)
    return list(dict.fromkeys(names))


def unknown_members(document: Document, items_path: str) -> list[str]:
    """The names of members beside the list with an unknown meaning. Any may be a cursor.

    An object may hold a cursor if any member inside has the name of a cursor.
    """
    return [
        name
        for name, value in document.items()
        if (_names_a_cursor(value) if isinstance(value, dict) else isinstance(value, (str, int)))
        and says_yes(value)
        and name != items_path
        and not any(known.fullmatch(folded(name)) for known in _KNOWN)
    ]


def is_silent(document: Document, items_path: str) -> bool:
    """Whether no member around the list says how many items there are, or whether more follow."""
    return not any(
        _SAYS_THE_END.fullmatch(each.word) or any(sign.fullmatch(each.word) for sign in _SIGNS)
        for each in _members(document, items_path)
    )


def headers_leading_on(headers: Mapping[str, str], url: str) -> list[str]:
    """The names of response headers that lead to a later page of the list at `url`.

    A Link header (RFC 8288) counts by its relations, any other header, such as ``X-Next-Page``, by
    its name.
    """
    links = links_of_header(headers.get("Link") or "")
    others = (each for each in links if each.relations != {"last"})
    names = ["Link"] if any(leading_on(others, url, numbered=False)) else []
    for name, value in headers.items():
        if _MORE.fullmatch(folded(name).removeprefix("x")) and says_yes(value):
            names.append(name)
    return names


def _names_a_cursor(value: Any) -> bool:
    """Whether a member on any level of an object has the name of a cursor, and a value."""
    waiting = [value]
    while waiting:  # no recursion: a page may be nested 900 levels deep
        for name, each in waiting.pop().items():
            if isinstance(each, dict):
                waiting.append(each)
            elif any(sign.fullmatch(folded(name)) for sign in _SIGNS[:3]) and says_yes(each):
                return True
    return False


def _is_sign(found: _Member) -> bool:
    word, value = found.word, found.value
    if _END.fullmatch(word):
        return value is False or (isinstance(value, str) and value.strip().lower() in _FALSE)
    if _ABOUT.fullmatch(word) and isinstance(value, dict):
        return False  # the members of the object count
    may_be = (
        _MORE.fullmatch(word)
        or (_LAST_CURSOR.fullmatch(word) and not found.ended)
        or (_CURSOR.fullmatch(word) and found.beside)
    )
    return bool(may_be) and says_yes(value)


def _members(document: Document, items_path: str) -> Iterator[_Member]:
    for around in objects_around(document, items_path):
        yield from _members_of(around, beside=around is not document)
        waiting = [around]
        while waiting:  # no recursion: a page may be nested 900 levels deep
            for name, value in waiting.pop().items():
                if isinstance(value, dict) and _ABOUT.fullmatch(folded(name)):
                    yield from _members_of(value, beside=True)
                    waiting.append(value)


def _members_of(document: Document, *, beside: bool) -> Iterator[_Member]:
    flags = (member(document, name) for name in ("hasNextPage", "hasNext", "hasMore"))
    ended = any(flag is not None and not says_yes(flag) for flag in flags)
    for name, value in document.items():
        yield _Member(name, folded(name), value, beside, ended)


def _number(value: Any) -> float:
    """A count, also as text; 0 for anything else."""
    try:
        return float(str(value)) if isinstance(value, (int, float, str)) else 0
    except ValueError:
        return 0
