"""Lists of any number of pages with one item each, without a network, in each pagination style."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from .canned import Canned

QUERY = """query ($first: Int, $after: String) {
  assets(first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } }
}"""
#: The body of a page: of the request, the number of pages.
Body = Callable[[requests.PreparedRequest, int], Mapping[str, Any]]


class Pages(Canned):
    """Returns page after page, up to a number of pages."""

    def __init__(self, body: Body, pages: int) -> None:
        super().__init__()
        self._body, self._pages = body, pages

    def content(self, request: requests.PreparedRequest) -> bytes:
        return json.dumps(self._body(request, self._pages)).encode()


@dataclass(frozen=True)
class List:
    """One list: where to read the list, and the body of a page."""

    path: str
    body: Body
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def adapter(self, pages: int) -> Pages:
        return Pages(self.body, pages)


def _numbered(request: requests.PreparedRequest, pages: int) -> Mapping[str, Any]:
    number = int(_query(request).get("page", "0"))
    counts = {"size": 1, "numberOfElements": 1, "totalElements": pages, "totalPages": pages}
    return {"content": [{"id": number}], "number": number, **counts}


def _by_cursor(request: requests.PreparedRequest, pages: int) -> Mapping[str, Any]:
    number = int(_query(request).get("after", "c0")[1:])
    following = {"after": f"c{number + 1}"} if number + 1 < pages else {}
    return {"content": [{"id": number}], "limit": 1, **following}


def _aemp(request: requests.PreparedRequest, pages: int) -> Mapping[str, Any]:
    base, _, number = (request.url or "").rpartition("/")
    numbers = {"self": int(number), "next": int(number) + 1, "last": pages}
    if int(number) == pages:
        del numbers["next"]
    links = [{"rel": rel, "href": f"{base}/{page}"} for rel, page in numbers.items()]
    return {"Links": links, "Equipment": [{"id": number}]}


def _graphql(request: requests.PreparedRequest, pages: int) -> Mapping[str, Any]:
    after = json.loads(request.body or b"{}")["variables"].get("after")
    number = int(after[1:]) if after else 0
    info = {"hasNextPage": number + 1 < pages, "endCursor": f"c{number + 1}"}
    return {"data": {"assets": {"nodes": [{"id": number}], "pageInfo": info}}}


def _query(request: requests.PreparedRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url or "").query).items()}


#: A list in each pagination style with several pages.
LISTS = {
    "page numbers": List("/api/asset/v1/assets", _numbered, {"params": {"size": 1}}),
    "cursors": List("/public/api/operator/operators", _by_cursor),
    "AEMP links": List("/public/api/aemp/v2/15143/-3/Fleet/1", _aemp),
    "GraphQL": List("/api/graphql/", _graphql, {"method": "POST", "json": {"query": QUERY}}),
}
