"""One request of a walk: what it asks for, and how it is moved to another place of the list.

Nothing here does any I/O.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from requests import PreparedRequest
from requests.exceptions import InvalidJSONError, InvalidURL

from .errors import SettingError

#: Elements a page that are asked for where the caller is silent; the most that IRIS gives.
SIZE = 1000
#: The same for cursor lists and GraphQL, where IRIS documents no limit, and advises 50 to 100.
LIMIT = 100
#: A query that names one of these knows what page it wants.
_PAGING = {"size", "page", "limit", "after", "before"}
#: What makes a request that of one page, as JSON can hold it.
Place = Mapping[str, Any]
#: What in a GraphQL query may make it begin in the middle of the list.
_LATER = re.compile(r"\b(?:before|last|offset|skip)\s*:|\bafter\s*:\s*\"")
_AEMP_PATH = re.compile(r"/15143/-3/.*/\d+$")


@dataclass(frozen=True)
class Call:
    """One request of a walk.

    :ivar url: with its whole query.
    :ivar arguments: further ones of ``Session.request``.
    :ivar place: where in the list its page is: an error's ``resume``.
    :ivar asked: the whole URL that the request went to, once it has.
    :ivar sized: whether the caller says how many elements a page shall have.
    """

    method: str
    url: str
    arguments: Mapping[str, Any]
    place: Place = field(default_factory=dict)
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
        whole_url = _with_params(url, arguments.pop("params", None))
        _check_named_once(whole_url)
        call = cls(method.upper(), whole_url, arguments)
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
        if _PAGING & set(self.params) or self.is_aemp:
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
        return number_of(urlsplit(self.url).path.rpartition("/")[2]) or 0

    @property
    def is_aemp(self) -> bool:
        """Whether its path is that of a page of ISO 15143-3."""
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

    @property
    def goes_backwards(self) -> bool:
        """Whether a GraphQL query asks for the last elements, from no place that it names."""
        has_last = re.search(r"\blast\s*:", self.query or "") is not None
        return has_last and not self.variables.get("after")

    @property
    def begins_later(self) -> bool:
        """Whether a GraphQL query may begin in the middle of the list."""
        return bool(self.variables.get("after") or _LATER.search(self.query or ""))

    def resume_at(self, place: Place) -> dict[str, Any]:
        """What an error's ``resume`` is: a place, and a mark of the list that it is in."""
        return {**place, "list": self._mark(place)}

    def resumed(self, resume: Any) -> Call:
        """The call that an error's ``resume`` leads to.

        :raises SettingError: for what is none, or is of another list.
        """
        # a copy: the caller's own may change while the list is read
        place = dict(resume) if isinstance(resume, Mapping) else {}
        mark = place.pop("list", None)
        if not place or mark != self._mark(place):
            raise SettingError(
                "resume must be the resume of a ListError that the same call has raised, with the "
                "same path, parameters and body",
                setting="resume",
            )
        return self.moved(place)

    def _mark(self, place: Place) -> str:
        """Tells this list, without the place in it, and the place apart from all others."""
        url = urlsplit(self.url)
        path = url.path.rpartition("/")[0] if "number" in place else url.path
        query = [each for each in parse_qsl(url.query, True) if each[0] not in place]
        # of those with one name the order may mean something, such as that of two sorts
        told = [self.method, path, sorted(query, key=itemgetter(0)), self._body_without(place)]
        # a place that has been JSON may have its members in another order
        told += sorted(place.items(), key=repr)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def _body_without(self, place: Place) -> Any:
        """What is sent, which the objects that say it need not show: a type, an order, a place."""
        data: Any = self.arguments.get("data")
        members: Any = self.arguments.get("json")
        if "endCursor" in place and self.query is not None:
            members = {**members, "variables": {**self.variables, "after": None}}
        body = _body_of(data, members)
        if data or body is None:
            return body.encode() if isinstance(body, str) else body
        return json.dumps(json.loads(body), sort_keys=True)

    def moved(self, place: Place) -> Call:
        """The call for another place of the list."""
        if "number" in place:
            call = self._with_number(place["number"])
        elif "endCursor" in place:
            call = self._with_variables({**self.variables, "after": place["endCursor"]})
        else:
            call = self._with_query(**{k: v for k, v in place.items() if k != "total"})
        return replace(call, place=place)

    def _with_query(self, **changes: Any) -> Call:
        url = urlsplit(self.url)
        # by its name as a server reads it: of two with one name it might take the old one
        kept = [each for each in url.query.split("&") if _name_of(each) not in changes]
        query = "&".join(each for each in (*kept, urlencode(changes)) if each)
        return replace(self, url=url._replace(query=query).geturl())

    def _with_variables(self, variables: dict[str, Any]) -> Call:
        members = {**self.arguments["json"], "variables": variables}
        return replace(self, arguments={**self.arguments, "json": members})

    def _with_number(self, number: int) -> Call:
        url = urlsplit(self.url)
        path = f"{url.path.rpartition('/')[0]}/{number}"
        return replace(self, url=url._replace(path=path).geturl())


def number_of(text: str) -> int | None:
    """A number of a page, as a URL writes it; None for what is none."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _name_of(parameter: str) -> str:
    """The name of a parameter as it stands in a query."""
    return unquote_plus(parameter.partition("=")[0])


def _check_body(arguments: Mapping[str, Any]) -> None:
    data, members = arguments.get("data"), arguments.get("json")
    if arguments.get("files") or hasattr(data, "read") or hasattr(data, "__next__"):
        raise SettingError(
            "a walk sends its body with every page: it takes no file and no iterator",
            setting="data",
        )
    if data and members is not None:
        raise SettingError("json is not sent where there is data", setting="json")
    try:
        _body_of(data, members)
    except (TypeError, ValueError, InvalidJSONError) as error:
        name = "data" if data else "json"
        raise SettingError(f"{name} cannot be sent: {error}", setting=name) from None


def _body_of(data: Any, members: Any) -> Any:
    """The body as requests makes it."""
    prepared = PreparedRequest()
    prepared.prepare_headers(None)
    prepared.prepare_body(data, None, members)
    return prepared.body


def _check_named_once(url: str) -> None:
    """:raises SettingError: for two places: the server may take another one than we do."""
    named = [_name_of(each) for each in urlsplit(url).query.split("&")]
    for name in sorted(_PAGING):
        if named.count(name) > 1:
            raise SettingError(f"the query has {name} more than once", setting="params")


def _with_params(url: Any, params: Any) -> str:
    """`url` with `params` in its query, encoded by requests, and without its fragment.

    :raises InvalidURL: as requests does.
    :raises SettingError: for what is no query.
    """
    prepared = PreparedRequest()
    try:
        iter(params or ())  # a number would be taken for text
        params = _with_sort_as_meant(params) if isinstance(params, str) else params
        prepared.prepare_url("https://host", params)
    except (TypeError, ValueError) as error:
        raise SettingError(f"params cannot be sent: {error}", setting="params") from None
    try:
        parts = urlsplit(url.decode() if isinstance(url, bytes) else str(url))
    except ValueError as error:
        raise InvalidURL(str(error)) from None
    own = _with_sort_as_meant(parts.query)
    query = "&".join(filter(None, (own, urlsplit(prepared.url or "").query)))
    return parts._replace(query=query, fragment="").geturl()


def _with_sort_as_meant(query: str) -> str:
    """`query` with a "+" that means "upwards", and would arrive as a space, encoded."""
    each_parameter = query.split("&")
    return "&".join(
        each.replace("+", "%2B") if each.startswith("sort=") else each for each in each_parameter
    )
