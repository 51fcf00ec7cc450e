"""Pagination styles: where the items are, which page comes next, and whether the list is whole.

The first response shows the style of a list. This module has the four styles of REST lists: page
numbers, AEMP links (ISO 15143-3), cursors, and a single response. ``graphql.py`` has the fifth. A
style reads pages and moves its own request to the next page, so a new style is one class. This
module does no I/O.

The rule for the end: a list ends where its style marks the end, unless the last page has any sign
of more items. A sign with an unknown meaning is an error, never the end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from requests import Response

from .call import FACTS, Call, Position
from .cursor_history import CursorHistory
from .document import (
    Document,
    changed,
    check_complete,
    count,
    folded,
    items_path_of,
    list_at,
    member,
    names_of,
    text_of,
)
from .errors import IncompleteListError, NotAListError
from .hints import hints_of_more, is_silent, unknown_members
from .links import Link, links_in, number_of, numbered_path, urljoined

#: Default number of items per page: the maximum of IRIS.
SIZE = 1000
#: The same for cursors and GraphQL: IRIS documents no maximum, and advises 50 to 100.
LIMIT = 100
#: The facts of a position in a message.
_TOLD = {
    "total": "the total was",
    "last": "the last page was",
    "read": "the number of items before the page was",
}


class Again(NamedTuple):
    """A second request for the same page: the call, the seconds to wait before, and the reason."""

    call: Call
    wait: float
    reason: str


class PaginationStyle:
    """A list after its first response.

    :cvar names: names of members, one of which is in every position of this style.
    :cvar asks_again: whether :meth:`again` may ask for a second request.
    :ivar total: number of items from the first page on, or None if the server does not say.
    """

    names: ClassVar[Collection[str]] = ()
    asks_again: ClassVar[bool] = False
    total: int | None = None

    def __init__(self, items_path: str) -> None:
        self._path = items_path

    # The request.

    @classmethod
    def prepared(cls, call: Call) -> Call | None:  # noqa: ARG003
        """The first call, with pages as large as the API allows unless the caller sets a size.

        None if the next style should prepare the call.
        """
        return None

    @classmethod
    def moved(cls, call: Call, position: Position) -> Call:
        """The call for the page at `position`."""
        params = {name: value for name, value in position.items() if name not in FACTS}
        return call.with_query(**params).changed(position=position)

    @classmethod
    def unmoved(cls, call: Call, position: Position) -> Call:
        """The call without `position`, to compare two lists."""
        url = urlsplit(call.url)
        named = position.keys() - FACTS
        query = [each for each in parse_qsl(url.query, True) if each[0] not in named]
        return call.changed(url=url._replace(query=urlencode(query)).geturl())

    # The responses.

    @classmethod
    def again(cls, call: Call, document: Any) -> Again | None:  # noqa: ARG003
        """The second request for a page, if a response asks for a wait or for a smaller page.

        :param document: the JSON of the response, of any type.
        """
        return None

    @classmethod
    def check_errors(cls, call: Call, document: Any, response: Response) -> None:
        """:raises ListError: if the response reports an error in the way of this style."""

    @classmethod
    def recognised(
        cls, call: Call, document: Document, items_path: str | None
    ) -> PaginationStyle | None:
        """A list of this style, if the first response is a page of this style; else None.

        :raises ListError: if the response is a page of this style, but cannot be read.
        """
        raise NotImplementedError

    def items(self, document: Document) -> list[Any]:
        """The items of a page.

        :raises ListError: if the list is missing, or a part of the list.
        """
        return list_at(document, self._path)

    def first(self, call: Call) -> Position:  # noqa: ARG002
        """The position of the first page of this reading, and facts about the list."""
        return {}

    def check_unchanged(self, call: Call) -> None:
        """:raises IncompleteListError: if the list has changed since the resume point of `call`."""
        before, now = call.position, self.first(call)
        for name in ("total", "last", *({"read"} & now.keys())):
            if name in before and before[name] != now.get(name):
                raise changed(
                    f"the list has changed since the resume point: {_TOLD[name]} "
                    f"{before[name]}, and is {now.get(name)} now. Read the list from the beginning"
                )

    @property
    def whole_total(self) -> int | None:
        """The number of items of the whole list, or None if the server does not say."""
        return None

    def following(self, call: Call, document: Document, items: list[Any]) -> Position | None:
        """The position of the next page; None at the end. Called once per page, in order.

        :raises ListError: if the page does not fit the pages before, or more seems to follow the
            last page.
        """
        raise NotImplementedError

    def pause(self, document: Document) -> float:  # noqa: ARG002
        """Seconds to wait before the next page. Never raises."""
        return 0.0

    def is_full(self, call: Call, items: list[Any]) -> bool:  # noqa: ARG002
        """Whether a page holds all items that the call asks for, and may ask for fewer than before.

        An earlier run may have asked for larger pages, and have handed out more items than the page
        holds now. The rest of these items is on the following pages.
        """
        return False

    def ahead(self, call: Call) -> Iterator[Position] | None:  # noqa: ARG002
        """The positions of all pages after the first; None if each page names only the next."""
        return None

    def _check_end(
        self,
        call: Call,
        document: Document,
        *,
        items: int | None,
        pages: int | None,
        numbered: bool = False,
    ) -> None:
        """:raises IncompleteListError: if the last page has a sign of more items."""
        hints = hints_of_more(
            document, self._path, items=items, pages=pages, url=call.asked, numbered=numbered
        )
        if hints:
            raise IncompleteListError(
                "the last page tells of more pages in an unknown way "
                f"({text_of(', '.join(hints))}). Read the list page by page with get()"
            )

    def _check_full(
        self, call: Call, document: Document, items: list[Any], usual: Collection[str] = ()
    ) -> None:
        """Checks a full page without a known next page.

        :param usual: names of members on earlier pages, beside a cursor.
        :raises IncompleteListError: if any new member may be a cursor.
        """
        asked = number_of(call.params.get("limit", call.params.get("size", "")))
        limit = count(document, "limit") or asked
        if not limit or len(items) < limit:
            return
        if len(items) == asked and not usual and is_silent(document, self._path):
            raise changed(
                f"the page has all {asked} items that were asked for, and does not say whether "
                "more follow. Ask for larger pages, or read the list page by page with get()"
            )
        if names := [each for each in unknown_members(document, self._path) if each not in usual]:
            raise changed(
                "the page is full and names no next page, but has members of unknown meaning "
                f"({text_of(', '.join(names))}). Read the list page by page with get()"
            )


class PageNumbers(PaginationStyle):
    """Pages by number, from 0. Each page has its size and the total of the list."""

    names = ("page",)

    def __init__(self, call: Call, document: Document, items_path: str) -> None:
        super().__init__(items_path)
        self._size, self._total = self._counts(document)
        self._asked_size = call.params.get("size", self._size)
        self._end = -(-self._total // self._size) if self._size else 1
        self.total = max(self._total - _page_asked_by(call) * self._size, 0)

    @classmethod
    def prepared(cls, call: Call) -> Call:
        return call if call.names_its_page else call.with_query(size=SIZE)

    @classmethod
    def recognised(
        cls, call: Call, document: Document, items_path: str | None
    ) -> PageNumbers | None:
        path = _path_of_items(document, items_path)
        names = set(map(folded, document))
        counts = {"totalelements", "number"}
        is_paged = counts <= names or (path == "content" and {*counts, "totalpages"} & names)
        return cls(call, document, path) if is_paged else None

    def first(self, call: Call) -> Position:
        return self._position(_page_asked_by(call))

    @property
    def whole_total(self) -> int:
        return self._total

    def following(self, call: Call, document: Document, items: list[Any]) -> Position | None:
        asked = _page_asked_by(call)
        if count(document, "number") != asked:
            came = text_of(member(document, "number"))
            raise IncompleteListError(f"number {asked} was asked for, and number {came} came")
        if (before := (self._size, self._total)) != (now := self._counts(document)):
            raise changed(
                "the list changed during the reading: size and totalElements were {} and {}, "
                "and are {} and {}. Read the list from the beginning".format(*before, *now)
            )
        due = min(self._size, max(self._total - asked * self._size, 0))
        if len(items) != due:
            raise IncompleteListError(f"the page has {len(items)} items, and should have {due}")
        if asked + 1 < self._end:
            return self._position(asked + 1)
        self._check_end(call, document, items=self._total, pages=max(self._end, 1))
        return None

    def ahead(self, call: Call) -> Iterator[Position] | None:
        return map(self._position, range(_page_asked_by(call) + 1, self._end))

    def _position(self, number: int) -> Position:
        read = number * self._size
        return {"size": self._asked_size, "page": number, "total": self._total, "read": read}

    def _counts(self, document: Document) -> tuple[int, int]:
        size, total = count(document, "size"), count(document, "totalElements")
        if size is None or total is None or (total and not size):
            told = (text_of(member(document, name)) for name in ("size", "totalElements"))
            raise IncompleteListError(
                "the page has no size and totalElements to check the list by "
                "(size: {}, totalElements: {})".format(*told)
            )
        expected = -(-total // size) if size else 0
        # An empty list may count as no page, or as an empty page.
        pages = member(document, "totalPages")
        fits = pages is None or count(document, "totalPages") in (expected, expected or 1)
        if size and not fits:
            raise IncompleteListError(
                f"the page says: {total} items, {size} per page, are {text_of(pages)} pages"
            )
        return size, total


class AempLinks(PaginationStyle):
    """AEMP (ISO 15143-3): the page number ends the path, and links name the next and last page.

    Links are never followed. Only page numbers in links with a known relation count (RFC 8288).
    """

    names = ("number",)
    _RELATIONS = frozenset(("self", "first", "prev", "next", "last"))
    #: The paths of every account, such as ``/aemp/v2/15143/-3/Fleet/1`` or ``/aemp/v2/123/-1/…``.
    _PATH = re.compile(
        r"(?:/aemp/(?:v[^/]+/)?[^/]+/(?:-?\d+|[^/]+(?=/fleet/))|/15143/-3)/.+/\d+", re.I
    )
    #: The path of one machine, perhaps with a serial number of digits. A series has more parts.
    _MACHINE = re.compile(r".*/equipment/(?:id|makemodelserial/[^/]+/[^/]+)/[^/]+", re.I)

    def __init__(self, call: Call, document: Document, items_path: str) -> None:
        super().__init__(items_path)
        self._last = self._linked(call, document).get("last")
        number, read = _number_in(call.path), call.position.get("read")
        # All pages before the last page have the same size.
        self._size = read // (number - 1) if read else len(self.items(document))
        self._is_counted = read is not None or (number == 1 and "number" not in call.position)
        self._items = read or 0

    @classmethod
    def prepared(cls, call: Call) -> Call | None:
        return call if cls._has_path(call) else None

    @classmethod
    def moved(cls, call: Call, position: Position) -> Call:
        path = f"{call.path.rpartition('/')[0]}/{position['number']}"
        return call.with_path(path).changed(position=position)

    @classmethod
    def unmoved(cls, call: Call, position: Position) -> Call:  # noqa: ARG003
        return call.with_path(call.path.rpartition("/")[0])

    @classmethod
    def recognised(cls, call: Call, document: Document, items_path: str | None) -> AempLinks | None:
        path = _path_of_items(document, items_path)
        linked = cls._has_path(call) and (_links_of(document) or list_at(document, path))
        if "number" in call.position or linked or cls._has_numbered_pages(call, document):
            return cls(call, document, path)
        return None

    def first(self, call: Call) -> Position:  # noqa: ARG002
        return self._facts

    @property
    def _facts(self) -> Position:
        return {} if self._last is None else {"last": self._last}

    def _position(self, number: int) -> Position:
        read = {"read": (number - 1) * self._size} if self._is_counted else {}
        return {"number": number, **self._facts, **read}

    def following(self, call: Call, document: Document, items: list[Any]) -> Position | None:
        links, number = self._linked(call, document), _number_in(call.path)
        self._items += len(items)
        self._check(links, number)
        if "next" in links or (self._last is not None and self._last > number):
            if len(items) != self._size or not items:
                raise IncompleteListError("the page is not full, and is not the last page")
            return self._position(number + 1)
        found = self._items if self._is_counted else None
        self._check_end(call, document, items=found, pages=number, numbered=True)
        return None

    def ahead(self, call: Call) -> Iterator[Position] | None:
        if self._last is None:
            return None
        return map(self._position, range(_number_in(call.path) + 1, self._last + 1))

    def _check(self, links: dict[str, int], number: int) -> None:
        if (last := links.get("last")) != self._last:
            raise changed(
                f"the list changed during the reading: the last page was {self._last}, "
                f"and is {last}. Read the list from the beginning"
            )
        for relation, expected in (("self", number), ("next", number + 1)):
            if links.get(relation, expected) != expected:
                raise IncompleteListError(
                    f"the link {relation!r} leads to page {links[relation]}, "
                    f"and should lead to page {expected}"
                )
        if "next" in links and last is not None and last <= number:
            raise IncompleteListError(f"the page has a next page, but the last page is {last}")

    @classmethod
    def _linked(cls, call: Call, document: Document) -> dict[str, int]:
        """The page numbers of the links, by relation."""
        found, raw = _links_of(document), {}
        here, _ = numbered_path(call.asked)
        for each in found if isinstance(found, list) else ():
            if not (each and isinstance(each, dict)):
                raise _stray(text_of(each))
        for link in links_in(found):
            if known := link.relations & cls._RELATIONS:
                raw.update(dict.fromkeys(known, _number_of_link(here, call.asked, link)))
        if not raw:
            raise IncompleteListError(
                "the page has no links with a known relation, so its list may have more pages"
            )
        return raw

    @classmethod
    def _has_path(cls, call: Call) -> bool:
        # A slash inside of a PIN stays encoded: the slash does not begin a new segment.
        path = "%2F".join(map(unquote, re.split("%2F", call.path, flags=re.I)))
        return cls._PATH.search(path) is not None and cls._MACHINE.fullmatch(path) is None

    @classmethod
    def _has_numbered_pages(cls, call: Call, document: Document) -> bool:
        """Whether a page outside of an AEMP path links to a higher page number."""
        here, number = numbered_path(call.asked)
        if number is None:
            return False
        links = [e for e in links_in(_links_of(document)) if {"next", "last"} & e.relations]
        linked = [numbered_path(urljoined(call.asked, each.target)) for each in links]
        return any(there == here and (other or 0) > number for there, other in linked)


class Cursor(PaginationStyle):
    """Pages by cursor: each page names the cursor of the next page, often without a total.

    The list ends at a page without items, a page without a cursor, or a page with its own cursor.
    """

    names = ("after", "before")

    def __init__(self, call: Call, items_path: str) -> None:
        super().__init__(items_path)
        self._name = "before" if call.params.get("before") else "after"
        self._begins_at_start = not call.params.get(self._name)
        read = call.position.get("read")
        self._is_counted = self._begins_at_start or read is not None
        self._pages, self._items = call.position.get("pages", 0), read or 0
        self._history = CursorHistory()
        self._usual: tuple[str, ...] = ()

    @classmethod
    def recognised(cls, call: Call, document: Document, items_path: str | None) -> Cursor | None:
        path = _path_of_items(document, items_path)
        is_paged = {"after", "before", "limit"} & set(map(folded, document))
        return cls(call, path) if is_paged or path == "content" else None

    def following(self, call: Call, document: Document, items: list[Any]) -> Position | None:
        self._pages += 1
        self._items += len(items)
        cursor = member(document, self._name)
        # A number has become text in the URL.
        if not items or cursor in (None, "") or str(cursor) == call.params.get(self._name):
            # A total includes items before the first page of this reading.
            read = (self._items, self._pages) if self._is_counted else (None, None)
            self._check_end(call, document, items=read[0], pages=read[1])
            # After a resume point, no page may have shown the usual members yet.
            if self._begins_at_start or (self._is_counted and self._usual):
                self._check_full(call, document, items, self._usual)
            return None
        self._usual = self._usual or tuple(document)
        check_cursor(cursor, self._history)
        limit = {} if call.sized else {"limit": LIMIT}
        counts = {"read": self._items, "pages": self._pages} if self._is_counted else {}
        return {**limit, self._name: cursor, **counts}


class SingleResponse(PaginationStyle):
    """A response with the whole list, unless the response has a sign of more items."""

    def __init__(self, document: Document, items_path: str) -> None:
        super().__init__(items_path)
        self.total = len(self.items(document))

    @classmethod
    def recognised(
        cls,
        call: Call,  # noqa: ARG003
        document: Document,
        items_path: str | None,
    ) -> SingleResponse | None:
        return cls(document, _path_of_items(document, items_path))

    def first(self, call: Call) -> Position:  # noqa: ARG002
        return {"total": self.total}

    @property
    def whole_total(self) -> int | None:
        return self.total

    def following(self, call: Call, document: Document, items: list[Any]) -> None:
        is_fleet = folded(self._path) == "equipment"
        self._check_end(call, document, items=len(items), pages=1, numbered=is_fleet)
        self._check_full(call, document, items)


#: The styles of REST lists, in the order of recognition.
REST_STYLES: tuple[type[PaginationStyle], ...] = (AempLinks, PageNumbers, Cursor, SingleResponse)


def check_cursor(cursor: Any, history: CursorHistory) -> None:
    """:raises IncompleteListError: for a cursor of a wrong type, and for a circle."""
    # The cursor 0 may mean the beginning or the end. True is an int in Python.
    if isinstance(cursor, bool) or not isinstance(cursor, (str, int)) or not cursor:
        kind = type(cursor).__name__
        raise IncompleteListError(f"a cursor is no text: {text_of(cursor)} ({kind})")
    if history.has_seen(cursor):
        raise changed("a cursor came for the second time, so the list never ends")


def _path_of_items(document: Document, items_path: str | None) -> str:
    check_complete(document, items_path or "data")
    path = items_path or items_path_of(document)
    if path is None:
        raise NotAListError(
            f"the response holds no list, or several (its members: {names_of(document)}). "
            "Name the list with items_path=",
            keys=tuple(document),
        )
    return path


def _links_of(document: Document) -> Any:
    links = member(document, "Links")
    return member(document, "Link") if links is None else links


def _number_of_link(here: str, url: str, link: Link) -> int:
    there, number = numbered_path(urljoined(url, link.target) if link.target else "")
    if there != here or number is None:
        raise _stray(repr(text_of(link.name)))
    return number


def _stray(link: str) -> IncompleteListError:
    return IncompleteListError(
        f"the link {link} leads out of the list, so the list may have more pages"
    )


def _number_in(path: str) -> int:
    """The page number at the end of an AEMP path; 0 without a number."""
    return number_of(path.rpartition("/")[2]) or 0


def _page_asked_by(call: Call) -> int:
    if "page" in call.position:
        return int(call.position["page"])
    return number_of(call.params.get("page", "0")) or 0
