"""The request for one page of a list, as an immutable value.

Moving a request to a different page depends on the pagination style: see ``styles.py``. This module
does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from requests import PreparedRequest
from requests.exceptions import InvalidJSONError, InvalidURL

from .errors import SettingError
from .text import one_line

#: The page of a request, beyond the arguments of the caller; can be saved as JSON.
Position = Mapping[str, Any]
#: Parameters for the page, or for the number of items per page.
PAGING = frozenset(("size", "page", "limit", "after", "before"))
#: Members of a position that do not name the page, but tell how the list was: its items, its last
#: page, whether it was read to the end, and the items and pages of the list before the page.
FACTS = frozenset(("total", "last", "finished", "read", "pages"))
#: Names by which a caller sets the number of items per page, in lower case without `_` and `-`.
_SIZES = re.compile(r"(?:size|limit|pagesize|perpage|pagelimit|maxresults|maxitems)")


@dataclass(frozen=True)
class Call:
    """The request for one page of a list.

    :ivar url: the URL with the whole query.
    :ivar arguments: all remaining arguments of ``Session.request``.
    :ivar position: the page of this request: the core of an error's ``resume``. Empty for the first
        page of the caller.
    :ivar asked: the URL as sent, joined to the base URL; empty before the request.
    :ivar items_path: where the items are in a response, if the caller says so.
    :ivar session_query: the parameters in every request of the session, encoded.
    :ivar sized: whether the caller says how many items a page has, in whatever spelling.
    :ivar pause: seconds to wait before the request.
    """

    method: str
    url: str
    arguments: Mapping[str, Any]
    position: Position = field(default_factory=dict)
    asked: str = ""
    items_path: str | None = None
    session_query: str = ""
    sized: bool = False
    pause: float = 0.0

    @classmethod
    def of(
        cls,
        method: str,
        url: Any,
        arguments: Mapping[str, Any],
        session_params: Mapping[str, Any] = MappingProxyType({}),
    ) -> Call:
        """The request of the caller, for JSON.

        :param session_params: parameters in every request of the session.
        :raises SettingError: if the request cannot be sent, or can be sent only once.
        """
        # The transport retries a truncated page, unless the page is streamed.
        arguments = {**arguments, "stream": False}
        _check_body(arguments)
        whole_url = _with_params(url, arguments.pop("params", None))
        _check_named_once(whole_url, session_params)
        call = cls(method.upper(), whole_url, arguments)._asking_for_json()
        added = urlsplit(_with_params("", session_params)).query
        sized = any(map(_is_size, (*call.params, *session_params)))
        return call.changed(session_query=added, sized=sized)

    def __str__(self) -> str:
        """For a message: without the query and the user, which may be private."""
        url = urlsplit(self.url)
        host = url.netloc.rpartition("@")[2]
        return one_line(f"{self.method} {url._replace(netloc=host, query='').geturl()}", None)

    def _asking_for_json(self) -> Call:
        # Without an Accept header AEMP answers with XML.
        headers = dict(self.arguments.get("headers") or {})
        if not any(name.lower() in ("accept", b"accept") for name in headers):
            headers["Accept"] = "application/json"
        return self.changed(arguments={**self.arguments, "headers": headers})

    def changed(self, **changes: Any) -> Call:
        """The same call with changed members.

        ``dataclasses.replace`` would take several times as long, and each page changes its call
        four times.
        """
        members = {**vars(self), **changes}
        members.pop("params", None)  # the cached query may be the query of a different URL
        return Call(**members)

    @cached_property
    def params(self) -> dict[str, str]:
        """The query of the URL, decoded."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def path(self) -> str:
        """The path of the URL, as the caller wrote it."""
        return urlsplit(self.url).path

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object of the body; empty if the body is no JSON object."""
        members = self.arguments.get("json")
        return dict(members) if isinstance(members, Mapping) else {}

    @property
    def names_its_page(self) -> bool:
        """Whether the caller says which page, or how many items per page, the request asks for."""
        return self.sized or bool(PAGING & self.params.keys())

    def with_query(self, **changes: Any) -> Call:
        """The same call with changed parameters; a parameter of the same name is replaced."""
        url = urlsplit(self.url)
        # Names are compared decoded, as a server reads them. The server might prefer the old value.
        kept = [each for each in url.query.split("&") if _name_of(each) not in changes]
        query = "&".join(each for each in (*kept, urlencode(changes)) if each)
        return self.changed(url=url._replace(query=query).geturl())

    def with_path(self, path: str) -> Call:
        """The same call to a different path."""
        return self.changed(url=urlsplit(self.url)._replace(path=path).geturl())

    def with_json(self, **changes: Any) -> Call:
        """The same call with changed members in the JSON object of the body."""
        return self.changed(arguments={**self.arguments, "json": {**self.json, **changes}})

    def body(self) -> Any:
        """The body as requests encodes it."""
        return _body_of(self.arguments.get("data"), self.arguments.get("json"))


def _name_of(parameter: str) -> str:
    """The decoded name of a parameter in a query."""
    return unquote_plus(parameter.partition("=")[0])


def _is_size(name: str) -> bool:
    return _SIZES.fullmatch(re.sub("[_-]", "", name.lower())) is not None


def _check_body(arguments: Mapping[str, Any]) -> None:
    data, members = arguments.get("data"), arguments.get("json")
    if arguments.get("files") or hasattr(data, "read") or hasattr(data, "__next__"):
        raise SettingError(
            "a list sends its body with every page. Pass no file and no iterator", setting="data"
        )
    if data and members is not None:
        raise SettingError(
            "json is not sent where there is data. Pass json or data", setting="json"
        )
    try:
        _body_of(data, members)
    except (TypeError, ValueError, RecursionError, InvalidJSONError) as error:
        name = "data" if data else "json"
        raise SettingError(f"{name} cannot be sent: {one_line(error)}", setting=name) from None


def _body_of(data: Any, members: Any) -> Any:
    """The body as requests encodes it."""
    prepared = PreparedRequest()
    prepared.prepare_headers(None)
    prepared.prepare_body(data, None, members)
    return prepared.body


def _check_named_once(url: str, session_params: Collection[str]) -> None:
    """:raises SettingError: for a second `page`: server and session might read different values."""
    for name in sorted({"page", "after", "before"}.intersection(session_params)):
        raise SettingError(
            f"the session's params have {name}, so every request would read the same page. "
            f"Pass {name} to the call",
            setting="params",
        )
    named = [_name_of(each) for each in urlsplit(url).query.split("&")]
    for name in sorted(PAGING):
        if named.count(name) > 1:
            raise SettingError(f"the query has {name} more than once", setting="params")


def _with_params(url: Any, params: Any) -> str:
    """`url` with `params` in its query, encoded by requests, without the fragment.

    :raises InvalidURL: as requests does.
    :raises SettingError: if requests cannot encode `params`.
    """
    prepared = PreparedRequest()
    try:
        iter(params or ())  # requests would take a number for text
        params = _with_plus_in_sort(params) if isinstance(params, str) else params
        prepared.prepare_url("https://host", params)
    except (TypeError, ValueError) as error:
        raise SettingError(f"params cannot be sent: {one_line(error)}", setting="params") from None
    try:
        parts = urlsplit(url.decode() if isinstance(url, bytes) else str(url))
    except ValueError as error:
        raise InvalidURL(str(error)) from None
    own = _with_plus_in_sort(parts.query)
    query = "&".join(filter(None, (own, urlsplit(prepared.url or "").query)))
    return parts._replace(query=query, fragment="").geturl()


def _with_plus_in_sort(query: str) -> str:
    """`query` with each "+" in `sort` encoded: "+" means "upwards", and would arrive as a space."""
    each_parameter = query.split("&")
    return "&".join(
        each.replace("+", "%2B") if each.startswith("sort=") else each for each in each_parameter
    )
