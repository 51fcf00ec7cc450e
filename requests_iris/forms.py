"""The forms that lists have: where the elements are, what comes next, and whether it all fits.

Which form a list has is told by its first reply, so no caller has to name it. There are five:
pages, cursors, AEMP links (ISO 15143-3), GraphQL connections, and replies that are one whole list.
Nothing here does any I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from .call import LIMIT, Call, Place, number_of
from .errors import IncompleteListError, NotAListError, SettingError
from .hints import Document, hints_of_more, objects_around


class Form:
    """What a walk knows of its list after the first reply.

    :ivar total: elements that the walk will find, or None if nobody says.
    :ivar place: the name of what leads to one of its pages, in a call's place.
    """

    total: int | None = None
    place: str = ""

    def __init__(self, key: str) -> None:
        self._key = key

    def elements(self, document: Document) -> list[Any]:
        """Those of one page.

        :raises ListError: if there is no list where it should be, or a part of it is missing.
        """
        return _list_at(document, self._key)

    def following(self, call: Call, document: Document) -> Place | None:
        """The place of the page after this one; None at the end. Asked for once a page, in order.

        :raises ListError: if the page does not fit the ones before, or the end is none.
        """
        raise NotImplementedError

    def ahead(self, call: Call) -> Iterator[Place] | None:  # noqa: ARG002
        """The places of all pages after the first; None where each tells of the next one only."""
        return None


def form_of(call: Call, document: Document, key: str | None) -> Form:
    """The form of a list, by its first reply.

    :param key: where the elements are, as names with dots between them; for odd replies.
    :raises ListError: if there is no list in the reply.
    :raises SettingError: if the place of the call is one in a list of another form.
    """
    form = (
        Connection(call, document) if call.query is not None else _recognised(call, document, key)
    )
    if call.place and form.place not in call.place:
        raise SettingError("resume is of a list of another form", setting="resume")
    return form


def _recognised(call: Call, document: Document, key: str | None) -> Form:
    _check_whole(document, key or "data")
    key = key or _key_of(document)
    if key is None:
        raise NotAListError(
            f"the reply holds no list (its members: {', '.join(document) or 'none'}): "
            "name the one that is with items_path=",
            keys=tuple(document),
        )
    names, links = set(document), _member(document, "Links")
    counts = {"totalElements", "number"}
    if counts <= names or (key == "content" and {*counts, "totalPages"} & names):
        return Pages(call, document, key)
    if call.number and links and isinstance(links, list):
        return Links(call, document, key)
    if call.is_aemp and _list_at(document, key):
        raise IncompleteListError("it has no links, which tell whether there is another page")
    if {"after", "before", "limit"} & names or key == "content":
        return Cursors(call, key)
    return Whole(document, key)


class Whole(Form):
    """A reply that is one whole list, if it does not tell of more."""

    def __init__(self, document: Document, key: str) -> None:
        super().__init__(key)
        self.total = len(self.elements(document))

    def following(self, call: Call, document: Document) -> None:  # noqa: ARG002
        _check_end(document, self._key, elements=self.total, pages=1)


class Pages(Form):
    """Pages by number, from 0, each with the size of a page and the total of the list."""

    place = "page"

    def __init__(self, call: Call, document: Document, key: str) -> None:
        super().__init__(key)
        self._size, self._total = self._counts(document)
        self._asked_size = call.params.get("size", self._size)
        self._end = -(-self._total // self._size) if self._size else 1
        if (total := call.place.get("total", self._total)) != self._total:
            raise IncompleteListError(
                f"the list has changed since it was left: it had {total} elements then, "
                f"and has {self._total} now"
            )
        self.total = max(self._total - _page_asked_by(call) * self._size, 0)

    def following(self, call: Call, document: Document) -> Place | None:
        asked = _page_asked_by(call)
        if document.get("number") != asked:
            raise IncompleteListError(
                f"number {asked} was asked for, and number {document.get('number')} came"
            )
        if (before := (self._size, self._total)) != (now := self._counts(document)):
            raise IncompleteListError(
                "the list has changed on the way: size and totalElements were {} and {}, "
                "and are {} and {}".format(*before, *now)
            )
        due = min(self._size, max(self._total - asked * self._size, 0))
        if (found := len(self.elements(document))) != due:
            raise IncompleteListError(f"it has {found} elements in the place of {due}")
        return self._place(asked + 1) if asked + 1 < self._end else None

    def ahead(self, call: Call) -> Iterator[Place] | None:
        return map(self._place, range(_page_asked_by(call) + 1, self._end))

    def _place(self, number: int) -> Place:
        return {"size": self._asked_size, "page": number, "total": self._total}

    def _counts(self, document: Document) -> tuple[int, int]:
        size, total = _count(document, "size"), _count(document, "totalElements")
        if size is None or total is None or (total and not size):
            raise IncompleteListError("it has no size and totalElements to check it by")
        pages = _count(document, "totalPages")
        expected = -(-total // size) if size else 0
        # an empty list may be one page, too
        if pages is not None and size and pages not in (expected, expected or 1):
            raise IncompleteListError(
                f"it says that {total} elements, {size} a page, are {pages} pages"
            )
        return size, total


class Cursors(Form):
    """Pages that each name the place after them; often no total, and no word for the end.

    The end is a page without elements, without a cursor, or with the one that led to it.
    """

    def __init__(self, call: Call, key: str) -> None:
        super().__init__(key)
        self.place = "before" if call.params.get("before") else "after"
        self._begins_at_start = not call.params.get(self.place)
        self._seen: set[int] = set()
        self._pages = self._elements = 0

    def following(self, call: Call, document: Document) -> Place | None:
        found = self.elements(document)
        self._pages += 1
        self._elements += len(found)
        cursor = document.get(self.place)
        # a number, too, has become text in the URL
        if not found or not cursor or str(cursor) == call.params.get(self.place):
            self._check_end(document)
            return None
        _check_new(cursor, self._seen)
        size = {} if call.sized else {"limit": LIMIT}
        return {**size, self.place: cursor}

    def _check_end(self, document: Document) -> None:
        # what came before this walk is in the counts
        read = (self._elements, self._pages) if self._begins_at_start else (None, None)
        _check_end(document, self._key, elements=read[0], pages=read[1])


class Links(Form):
    """AEMP: the page number is the last part of the path, and links tell of the next and last."""

    place = "number"

    def __init__(self, call: Call, document: Document, key: str) -> None:
        super().__init__(key)
        self._last = self._linked(call, document).get("last")
        self._size = len(self.elements(document))

    def following(self, call: Call, document: Document) -> Place | None:
        links, number = self._linked(call, document), call.number
        self._check(links, number)
        if "next" not in links and (self._last is None or self._last <= number):
            return None
        if (found := len(self.elements(document))) != self._size or not found:
            raise IncompleteListError("it is not full, and it is not the last one")
        return {"number": number + 1}

    def _check(self, links: dict[str, int], number: int) -> None:
        if (last := links.get("last")) != self._last:
            raise IncompleteListError(
                f"the list has changed on the way: its last page was {self._last}, and is {last}"
            )
        for rel, expected in (("self", number), ("next", number + 1)):
            if links.get(rel, expected) != expected:
                raise IncompleteListError(f"its link {rel!r} leads to page {links[rel]}")
        if "next" in links and last is not None and last <= number:
            raise IncompleteListError(f"it has a next page, and the last page is {last}")

    def ahead(self, call: Call) -> Iterator[Place] | None:
        if self._last is None:
            return None
        return ({"number": number} for number in range(call.number + 1, self._last + 1))

    def _linked(self, call: Call, document: Document) -> dict[str, int]:
        """The page numbers that the links lead to. They are never followed themselves."""
        here, _ = _split(call.asked)
        links = {}
        for link in _member(document, "Links") or []:
            told = link if isinstance(link, dict) else {}
            rel = str(told.get("rel")).lower()
            if told and rel not in _RELS:
                continue
            there, number = _split(str(told.get("href")))
            if there != here or number is None:
                raise IncompleteListError(f"the link {rel!r} leads out of the list")
            links[rel] = number
        return links


#: The relations of links between pages (RFC 8288); others lead elsewhere.
_RELS = ("self", "first", "prev", "next", "last")


class Connection(Form):
    """A GraphQL connection: edges, or nodes, and a pageInfo."""

    place = "endCursor"

    def __init__(self, call: Call, document: Document) -> None:
        paths = list(_connection_paths(document.get("data"), "data"))
        if len(paths) != 1:
            raise NotAListError(
                f"the reply holds {len(paths)} connections: the query must ask for one, with "
                "edges { node { ... } } and pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        super().__init__(paths[0])
        self._count = _count(self._connection(document), "totalCount")
        self.total = None if call.begins_later else self._count
        self._elements = 0
        self._seen: set[int] = set()

    def elements(self, document: Document) -> list[Any]:
        connection = self._connection(document)
        if isinstance(connection.get("nodes"), list):
            return list(connection["nodes"])
        if not all(isinstance(edge, dict) and "node" in edge for edge in connection["edges"]):
            raise IncompleteListError("it has an edge without its node")
        return [edge["node"] for edge in connection["edges"]]

    def following(self, call: Call, document: Document) -> Place | None:
        self._elements += len(self.elements(document))
        count = _count(self._connection(document), "totalCount")
        if count != self._count:
            raise IncompleteListError(
                f"the list has changed on the way: its totalCount was {self._count}, and is {count}"
            )
        if self._goes_on(call, document):
            return {"endCursor": self._cursor(call, document)}
        if self.total is not None and self._elements < self.total:
            raise IncompleteListError(
                f"it is the last one, and {self._elements} elements of {self.total} have come"
            )
        return None

    def _goes_on(self, call: Call, document: Document) -> bool:
        info = self._connection(document)["pageInfo"]
        if not isinstance(info.get("hasNextPage"), bool):
            raise NotAListError(
                "the reply does not say whether it is the last page: "
                "the query must ask for pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        if info.get("hasPreviousPage") is True and call.goes_backwards:
            raise NotAListError(
                "the query asks for the last elements, and there are more before them: "
                "it must use first: and after:",
                keys=tuple(document),
            )
        return bool(info["hasNextPage"])

    def _cursor(self, call: Call, document: Document) -> Any:
        if not call.declares("after"):
            raise NotAListError(
                "the list has more pages, and the query has no variable for them: "
                "it must declare $after: String, and use it as after: $after",
                keys=tuple(document),
            )
        cursor = self._connection(document)["pageInfo"].get("endCursor")
        if not cursor or cursor == call.variables.get("after"):
            raise IncompleteListError("there is a next page, and no cursor that leads to it")
        _check_new(cursor, self._seen)
        return cursor

    def _connection(self, document: Document) -> Document:
        _check_whole(document, self._key)
        found = _at(document, self._key)
        if not _is_connection(found):
            raise IncompleteListError("it holds no connection where the first one has it")
        return found  # type: ignore[no-any-return]


def graphql_errors(document: Any) -> tuple[dict[str, Any], ...]:
    """The errors of a GraphQL reply; what is no object is taken for the message of one."""
    errors = (document.get("errors") if isinstance(document, dict) else None) or []
    each_error = errors if isinstance(errors, list) else [errors]
    return tuple(each if isinstance(each, dict) else {"message": str(each)} for each in each_error)


def _key_of(document: Document) -> str | None:
    """Where the elements are: a name that IRIS uses for them, or the only list that there is."""
    for key in ("content", "Equipment", "equipment", "data.result"):
        if isinstance(_at(document, key), list):
            return key
    lists = [
        name
        for name, value in document.items()
        if isinstance(value, list) and name.lower() not in ("links", "errors")
    ]
    return lists[0] if len(lists) == 1 else None


def _at(document: Document, key: str) -> Any:
    found: Any = document
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _list_at(document: Document, key: str) -> list[Any]:
    _check_whole(document, key)
    found = _at(document, key)
    if not isinstance(found, list):
        raise NotAListError(
            f"there is no list at {key!r} (members of the reply: {', '.join(document)})",
            keys=tuple(document),
        )
    return found


def _check_whole(document: Document, key: str) -> None:
    """:raises IncompleteListError: for a reply that says that a part of it is missing."""
    if any(part.get("isPartial") for part in objects_around(document, key)):
        raise IncompleteListError("IRIS says that this is a part of the list (isPartial)")
    errors = () if key.startswith("errors") else graphql_errors(document)
    if errors or document.get("status") == "error":  # the latter is Prometheus' word
        told = ", ".join(str(each.get("message")) for each in errors)
        raise IncompleteListError(f"it tells of errors: {told or document.get('error')}")


def _check_end(document: Document, key: str, *, elements: int | None, pages: int | None) -> None:
    """:raises IncompleteListError: for a last reply that tells of more."""
    hints = hints_of_more(document, key, elements=elements, pages=pages)
    if hints:
        raise IncompleteListError(
            f"it tells of more pages in a form that is not known ({', '.join(hints)})"
        )


def _check_new(cursor: Any, seen: set[int]) -> None:
    """:raises IncompleteListError: for a cursor that has been seen: the walk would never end."""
    if not isinstance(cursor, (str, int)):
        raise IncompleteListError(f"a cursor is no text, but a {type(cursor).__name__}")
    mark = hash(cursor)  # a number takes less memory than a cursor
    if mark in seen:
        raise IncompleteListError("a cursor has come for the second time")
    seen.add(mark)


def _member(document: Document, name: str) -> Any:
    return document.get(name, document.get(name.lower()))


def _split(url: str) -> tuple[str, int | None]:
    """The path without its last part, and the number that this is. Hosts may have other names."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return "", None
    parent, _, last = path.rpartition("/")
    return parent, number_of(last)


def _page_asked_by(call: Call) -> int:
    if "page" in call.place:
        return int(call.place["page"])
    return number_of(call.params.get("page", "0")) or 0


def _count(document: Document, name: str) -> int | None:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_connection(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("pageInfo"), dict)
        and (isinstance(value.get("edges"), list) or isinstance(value.get("nodes"), list))
    )


def _connection_paths(data: Any, key: str) -> Iterator[str]:
    """Where the connections are; those inside of another one's nodes do not count."""
    if _is_connection(data):
        yield key
        return
    for name, value in data.items() if isinstance(data, dict) else ():
        yield from _connection_paths(value, f"{key}.{name}")
