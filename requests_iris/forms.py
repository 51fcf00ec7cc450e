"""The forms that lists have: where the elements are, what comes next, and whether it all fits.

Which form a list has is told by its first reply, so no caller has to name it. There are five:
pages, cursors, AEMP links (ISO 15143-3), GraphQL connections, and replies that are one whole list.
Nothing here does any I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests import PreparedRequest
from requests.exceptions import InvalidJSONError

from .errors import IncompleteListError, NotAListError, SettingError

Document = dict[str, Any]

#: Elements a page that are asked for where the caller is silent; the most that IRIS gives.
SIZE = 1000
#: The same for cursor lists and GraphQL, where IRIS documents no limit, and advises 50 to 100.
LIMIT = 100
#: A query that names one of these knows what page it wants.
_PAGING = {"size", "page", "limit", "after", "before"}
#: Members that tell of more pages: a list with one of them is not a whole one.
_MORE = re.compile(
    r"(?:@odata\.)?next_?(?:page|cursor|link|url|href|offset|page_?token|token)?"
    r"|has_?(?:more|next)(?:_?page)?|cursor|offset|continuation_?token",
    re.IGNORECASE,
)
#: Objects that such a member may be in.
_MORE_IN = ("links", "Links", "_links", "paging", "pagination", "meta", "metadata", "pageInfo")
#: How many elements there are, if that is said.
_TOTALS = ("total", "totalCount", "total_count")
_INT_OR_STR = "(?:int|str)"
#: The places that walks stop at, as `_outline` tells of them.
_PLACES = re.compile(
    r"number:int"
    rf"|variables\.after:{_INT_OR_STR}"
    rf"|query\.page:int query\.size:{_INT_OR_STR} total:int"
    rf"|query\.(?:after|before):{_INT_OR_STR}(?: query\.limit:int)?"
)
_AEMP_PATH = re.compile(r"/15143/-3/.*/\d+$")


@dataclass(frozen=True)
class Call:
    """One request of a walk.

    :ivar url: with its whole query.
    :ivar arguments: further ones of ``Session.request``.
    :ivar place: what makes it this page's request, as JSON can hold it: an error's ``resume``.
    :ivar asked: the whole URL that the request went to, once it has.
    :ivar sized: whether the caller says how many elements a page shall have.
    """

    method: str
    url: str
    arguments: Mapping[str, Any]
    place: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""
    sized: bool = False

    @classmethod
    def first(cls, method: str, url: Any, arguments: Mapping[str, Any]) -> Call:
        """The one that the caller wants, with as many elements a page as there can be.

        :raises SettingError: if it cannot be sent, or not more than once.
        """
        # a page that breaks off is asked for again by the transport, if it is not streamed
        arguments = {**arguments, "stream": False}
        _check_body(arguments)
        text = url.decode() if isinstance(url, bytes) else str(url)
        call = cls(method.upper(), _with_params(text, arguments.pop("params", None)), arguments)
        call = call._asking_for_json()
        return call._asking_for_size() if call.query is None else call._asking_for_first()

    def __str__(self) -> str:
        """For a message: without what may be private, the query and a user before the host."""
        url = urlsplit(self.url)
        host = url.netloc.rpartition("@")[2]
        return f"{self.method} {url._replace(netloc=host, query='').geturl()}"

    def _asking_for_json(self) -> Call:
        # AEMP answers with XML otherwise
        headers = dict(self.arguments.get("headers") or {})
        if not any(name.lower() in ("accept", b"accept") for name in headers):
            headers["Accept"] = "application/json"
        return replace(self, arguments={**self.arguments, "headers": headers})

    def _asking_for_size(self) -> Call:
        call = replace(self, sized=bool({"size", "limit"} & set(self.params)))
        if _PAGING & set(self.params) or self._is_aemp:
            return call
        return call._with_query(size=SIZE)

    def _asking_for_first(self) -> Call:
        if not isinstance(self.arguments["json"].get("variables") or {}, Mapping):
            raise SettingError("the variables in json must be a dict", setting="json")
        first = {"first": LIMIT} if self.declares("first") else {}
        return self._with_variables({**first, **self.variables})

    @cached_property
    def params(self) -> dict[str, str]:
        """The query of the URL, decoded."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def number(self) -> int:
        """The page number at the end of an AEMP path; 0 where there is none."""
        last = urlsplit(self.url).path.rpartition("/")[2]
        return int(last) if last.isdecimal() else 0

    @property
    def _is_aemp(self) -> bool:
        return _AEMP_PATH.search(urlsplit(self.url).path) is not None

    @property
    def query(self) -> str | None:
        """The query of a GraphQL request."""
        members = self.arguments.get("json")
        query = members.get("query") if isinstance(members, Mapping) else None
        return query if isinstance(query, str) and self.method == "POST" else None

    @property
    def variables(self) -> dict[str, Any]:
        return dict(self.arguments["json"].get("variables") or {})

    def declares(self, variable: str) -> bool:
        return re.search(rf"\${variable}\s*:", self.query or "") is not None

    def resumed(self, resume: Any) -> Call:
        """The call that an error's ``resume`` leads to.

        :raises SettingError: for what is none, or is one of another kind of request.
        """
        if not self._may_be_at(_outline(resume)):
            raise SettingError(
                "resume must be the resume of a ListError of the same list", setting="resume"
            )
        return self.moved(**resume)

    def _may_be_at(self, place: str) -> bool:
        if not _PLACES.fullmatch(place):
            return False
        if place.startswith("number"):
            return self.number > 0
        if place.startswith("variables"):
            return self.query is not None
        return self.query is None and not self._is_aemp

    def moved(self, **place: Any) -> Call:
        """The call for another place of the list: ``query``, ``variables`` or ``number``."""
        call = self
        if "query" in place:
            call = call._with_query(**place["query"])
        if "variables" in place:
            call = call._with_variables({**call.variables, **place["variables"]})
        if "number" in place:
            call = call._with_number(place["number"])
        return replace(call, place=place)

    def _with_query(self, **changes: Any) -> Call:
        url = urlsplit(self.url)
        kept = [each for each in url.query.split("&") if each.partition("=")[0] not in changes]
        query = "&".join(each for each in (*kept, urlencode(changes)) if each)
        return replace(self, url=url._replace(query=query).geturl())

    def _with_variables(self, variables: dict[str, Any]) -> Call:
        members = {**self.arguments["json"], "variables": variables}
        return replace(self, arguments={**self.arguments, "json": members})

    def _with_number(self, number: int) -> Call:
        url = urlsplit(self.url)
        path = f"{url.path.rpartition('/')[0]}/{number}"
        return replace(self, url=url._replace(path=path).geturl())


class Form:
    """What a walk knows of its list after the first reply. As it stands, of one that is whole.

    :ivar total: elements that the walk will find, or None if nobody says.
    :ivar place: what leads to one of its pages, as in the outline of a call's place.
    """

    total: int | None = None
    place: str = "nothing"

    def __init__(self, key: str) -> None:
        self._key = key

    def elements(self, document: Document) -> list[Any]:
        """Those of one page.

        :raises ListError: if there is no list where it should be.
        """
        return _list_at(document, self._key)

    def following(self, call: Call, document: Document) -> Call | None:  # noqa: ARG002
        """The call after this one; None at the end. Asked for once a page, in their order.

        :raises ListError: if the page does not fit the ones before.
        """
        return None

    def ahead(self, call: Call) -> Iterator[Call] | None:  # noqa: ARG002
        """All calls after the first one; None where each page tells of the next one only."""
        return None


def form_of(call: Call, document: Document, key: str | None) -> Form:
    """The form of a list, by its first reply.

    :param key: where the elements are, as names with dots between them; for odd replies.
    :raises ListError: if there is no list in the reply, or not a whole one.
    :raises SettingError: if the place of the call is one in a list of another form.
    """
    form = _recognised(call, document, key)
    if call.place and f"{form.place}:" not in _outline(call.place):
        raise SettingError("resume is of a list of another form", setting="resume")
    return form


def _recognised(call: Call, document: Document, key: str | None) -> Form:
    if call.query is not None:
        return Connection(document)
    _check_partial(document)
    key = key or _key_of(document)
    if key is None:
        names = tuple(document)
        raise NotAListError(
            f"the reply holds no list (its members: {', '.join(names) or 'none'}): "
            "name the one that is with key=",
            keys=names,
        )
    if isinstance(links := _member(document, "Links"), list) and links:
        return Links(call, document, key)
    if {"totalElements", "totalPages", "number"} & set(document):
        return Pages(call, document, key)
    cursors = Cursors(call, key)
    if not cursors.cursor(document):
        _check_tells_of_no_more(document, key)
    if {"after", "before", "limit"} & set(document) or key == "content":
        return cursors
    whole = Form(key)
    whole.total = len(whole.elements(document))
    return whole


class Pages(Form):
    """Pages by number, from 0, each with the size of a page and the total of the list."""

    place = "query.page"

    def __init__(self, call: Call, document: Document, key: str) -> None:
        super().__init__(key)
        self._size, self._total = self._counts(document)
        self._end = -(-self._total // self._size) if self._size else 1
        if (total := call.place.get("total", self._total)) != self._total:
            raise IncompleteListError(
                f"the list has changed since it was left: it had {total} elements then, "
                f"and has {self._total} now"
            )
        self.total = max(self._total - _page_asked_by(call) * self._size, 0)

    def following(self, call: Call, document: Document) -> Call | None:
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
        return self._call(call, asked + 1) if asked + 1 < self._end else None

    def ahead(self, call: Call) -> Iterator[Call] | None:
        return (self._call(call, n) for n in range(_page_asked_by(call) + 1, self._end))

    def _call(self, call: Call, number: int) -> Call:
        query = {"size": call.params.get("size", self._size), "page": number}
        return call.moved(query=query, total=self._total)

    def _counts(self, document: Document) -> tuple[int, int]:
        size, total = _count(document, "size"), _count(document, "totalElements")
        if size is None or total is None or (total and not size):
            raise IncompleteListError("it has no size and totalElements to check it by")
        pages = _count(document, "totalPages")
        if pages is not None and size and pages != -(-total // size):
            raise IncompleteListError(
                f"it says that {total} elements, {size} a page, are {pages} pages"
            )
        return size, total


class Cursors(Form):
    """Pages that each name the place after them; no total, and no word for the end.

    The end is a page without elements, without a cursor, or with the one that led to it.
    """

    def __init__(self, call: Call, key: str) -> None:
        super().__init__(key)
        self._direction = "before" if "before" in call.params else "after"
        self.place = f"query.{self._direction}"
        self._seen: set[int] = set()

    def cursor(self, document: Document) -> Any:
        """What leads to the next page, if there may be one."""
        return document.get(self._direction)

    def following(self, call: Call, document: Document) -> Call | None:
        cursor = self.cursor(document)
        came_by = call.params.get(self._direction)
        if not self.elements(document) or not cursor or cursor == came_by:
            return None
        _check_new(cursor, self._seen)
        size = {} if call.sized else {"limit": LIMIT}
        return call.moved(query={**size, self._direction: cursor})


class Links(Form):
    """AEMP: the page number is the last part of the path, and links tell of the next and last."""

    place = "number"

    def __init__(self, call: Call, document: Document, key: str) -> None:
        super().__init__(key)
        self._last = self._linked(call, document).get("last")
        self._size = len(self.elements(document))

    def following(self, call: Call, document: Document) -> Call | None:
        links = self._linked(call, document)
        number = call.number
        if links.get("last") != self._last:
            raise IncompleteListError(
                f"the list has changed on the way: its last page was {self._last}, "
                f"and is {links.get('last')}"
            )
        for rel, expected in (("self", number), ("next", number + 1)):
            if links.get(rel, expected) != expected:
                raise IncompleteListError(f"its link {rel!r} leads to page {links[rel]}")
        goes_on = "next" in links
        if goes_on and self._last is not None and self._last <= number:
            raise IncompleteListError(f"it has a next page, and the last page is {self._last}")
        if not goes_on and (self._last is None or self._last <= number):
            return None
        if (found := len(self.elements(document))) != self._size or not found:
            raise IncompleteListError("it is not full, and it is not the last one")
        return call.moved(number=number + 1)

    def ahead(self, call: Call) -> Iterator[Call] | None:
        if self._last is None:
            return None
        return (call.moved(number=number) for number in range(call.number + 1, self._last + 1))

    def _linked(self, call: Call, document: Document) -> dict[str, int]:
        """The page numbers that the links lead to; they all belong to this list."""
        links = {}
        here = _parent_of(call.asked)
        for link in _member(document, "Links") or []:
            href = str(link.get("href"))
            number = urlsplit(href).path.rpartition("/")[2]
            if _parent_of(href) != here or not number.isdecimal():
                raise IncompleteListError(f"the link {link.get('rel')!r} leads out of the list")
            links[str(link.get("rel")).lower()] = int(number)
        return links


class Connection(Form):
    """A GraphQL connection: edges, or nodes, and a pageInfo."""

    place = "variables.after"

    def __init__(self, document: Document) -> None:
        self._seen: set[int] = set()
        paths = list(_connection_paths(document.get("data")))
        if len(paths) != 1:
            raise NotAListError(
                f"the reply holds {len(paths)} connections: the query must ask for one, with "
                "edges { node { ... } } and pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        self._path = paths[0]
        self.total = _count(self._connection(document), "totalCount")

    def elements(self, document: Document) -> list[Any]:
        connection = self._connection(document)
        if isinstance(connection.get("nodes"), list):
            return list(connection["nodes"])
        return [edge["node"] for edge in connection["edges"]]

    def following(self, call: Call, document: Document) -> Call | None:
        info = self._connection(document)["pageInfo"]
        if not isinstance(info.get("hasNextPage"), bool):
            raise NotAListError(
                "the reply does not say whether it is the last page: "
                "the query must ask for pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        if not info["hasNextPage"]:
            return None
        if not call.declares("after"):
            raise NotAListError(
                "the list has more pages, and the query has no variable for them: "
                "it must declare $after: String, and use it as after: $after",
                keys=tuple(document),
            )
        cursor = info.get("endCursor")
        if not cursor or cursor == call.variables.get("after"):
            raise IncompleteListError("there is a next page, and no cursor that leads to it")
        _check_new(cursor, self._seen)
        return call.moved(variables={"after": cursor})

    def _connection(self, document: Document) -> Document:
        found = document.get("data")
        for name in self._path:
            found = found.get(name) if isinstance(found, dict) else None
        if not _is_connection(found):
            raise IncompleteListError("it holds no connection where the first one has it")
        return found  # type: ignore[return-value]


def graphql_errors(document: Any) -> tuple[dict[str, Any], ...]:
    """The errors of a GraphQL reply; what is no object is taken for the message of one."""
    errors = (document.get("errors") if isinstance(document, dict) else None) or []
    each_error = errors if isinstance(errors, list) else [errors]
    return tuple(each if isinstance(each, dict) else {"message": str(each)} for each in each_error)


def _outline(place: Any) -> str:
    """The names and types in a place, as in ``query.page:int query.size:str total:int``."""
    members = dict(place) if isinstance(place, dict) else {}
    for name in ("query", "variables"):
        if isinstance(inner := members.get(name), dict):
            del members[name]
            members |= {f"{name}.{each}": value for each, value in inner.items()}
    return " ".join(sorted(f"{name}:{type(value).__name__}" for name, value in members.items()))


def _check_body(arguments: Mapping[str, Any]) -> None:
    data, members = arguments.get("data"), arguments.get("json")
    if arguments.get("files") or hasattr(data, "read") or hasattr(data, "__next__"):
        raise SettingError(
            "a walk sends its body with every page: it takes no file and no iterator",
            setting="data",
        )
    if data and members is not None:
        raise SettingError("json is not sent where there is data", setting="json")
    prepared = PreparedRequest()
    prepared.prepare_headers(None)
    try:
        prepared.prepare_body(data, None, members)
    except (TypeError, ValueError, InvalidJSONError) as error:
        name = "data" if data else "json"
        raise SettingError(f"{name} cannot be sent: {error}", setting=name) from None


def _with_params(url: str, params: Any) -> str:
    """`url` with `params` in its query, encoded by requests, and without its fragment.

    :raises SettingError: for what is no query.
    """
    prepared = PreparedRequest()
    try:
        iter(params or ())  # a number would be taken for text
        prepared.prepare_url("https://host", params)
    except (TypeError, ValueError) as error:
        raise SettingError(f"params cannot be sent: {error}", setting="params") from None
    parts = urlsplit(url)
    own = "&".join(
        # a "+" that means "upwards" would arrive as a space
        each.replace("+", "%2B") if each.startswith("sort=") else each
        for each in parts.query.split("&")
    )
    query = "&".join(filter(None, (own, urlsplit(prepared.url or "").query)))
    return parts._replace(query=query, fragment="").geturl()


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
    _check_partial(document)
    found = _at(document, key)
    if not isinstance(found, list):
        raise NotAListError(
            f"there is no list at {key!r} (members of the reply: {', '.join(document)})",
            keys=tuple(document),
        )
    return found


def _check_partial(document: Document) -> None:
    for part in (document, document.get("data")):
        if isinstance(part, dict) and part.get("isPartial"):
            raise IncompleteListError("IRIS says that this is a part of the list (isPartial)")


def _check_tells_of_no_more(document: Document, key: str) -> None:
    """:raises NotAListError: for a reply that is not all, and does not say how to read the rest."""
    places = [document, *(document.get(name) for name in _MORE_IN)]
    hints = [
        name
        for place in places
        if isinstance(place, dict)
        for name, value in place.items()
        if _MORE.fullmatch(name) and value not in (None, "") and value is not False
    ]
    found = len(_list_at(document, key))
    hints += [name for name in _TOTALS if (_count(document, name) or 0) > found]
    if hints:
        raise NotAListError(
            f"the reply tells of more pages in a form that is not known ({', '.join(hints)})",
            keys=tuple(document),
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


def _parent_of(url: str) -> tuple[str, str, str]:
    """Scheme, host, and the path without its last part."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path.rpartition("/")[0]


def _page_asked_by(call: Call) -> int:
    page = call.params.get("page", "0")
    return int(page) if page.isdecimal() else 0


def _count(document: Document, name: str) -> int | None:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_connection(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("pageInfo"), dict)
        and (isinstance(value.get("edges"), list) or isinstance(value.get("nodes"), list))
    )


def _connection_paths(data: Any) -> Iterator[tuple[str, ...]]:
    """Where the connections are; those inside of another one's nodes do not count."""
    if _is_connection(data):
        yield ()
        return
    for name, value in data.items() if isinstance(data, dict) else ():
        for path in _connection_paths(value):
            yield (name, *path)
