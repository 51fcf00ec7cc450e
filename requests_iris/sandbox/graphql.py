"""GraphQL style: one connection, `assets(first: $first, after: $after)`.

The sandbox has no GraphQL engine. The sandbox understands a single shape of query. The response to
any other query is a list of `errors`, as in GraphQL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any

from werkzeug import Response

from .fleet import Fleet, Item
from .limits import TooMany
from .lists import cursor, position
from .problems import Problem, json_response
from .server import Request

#: The most nodes per page.
MAX_FIRST = 100

_ASSETS = re.compile(
    r"\bassets\s*\(\s*first\s*:\s*\$first\s*,?\s*after\s*:\s*\$after\s*\)"
    r".*\bedges\s*\{.*\bnode\s*\{(?P<fields>[\w\s,]*)\}.*\bpageInfo\s*\{",
    re.DOTALL,
)
_DEFAULT_FIRST = re.compile(r"\$first\s*:\s*Int\s*!?\s*=\s*(\d{1,9})\b")


class _Errors(Exception):
    """The message of a GraphQL error."""


def execute(fleet: Fleet, request: Request) -> Response:
    """The response to a query for the connection, with the fields that the query selects."""
    try:
        query, variables = _read(request)
        fields = _fields(query, fleet.asset_fields)
        first, start = _window(query, variables)
    except _Errors as error:
        return json_response({"errors": [{"message": str(error)}], "data": None})
    return json_response({"data": {"assets": _connection(fleet.assets, fields, start, first)}})


def rate_limited(problem: TooMany) -> Response:
    """GraphQL's own response when a limit is exceeded, with a time in milliseconds."""
    extensions = {"code": "RATE_LIMITED", "resetIn": math.ceil(problem.wait * 1000)}
    errors = [{"message": problem.message, "extensions": extensions}]
    return json_response({"errors": errors, "data": None}, 429, problem.headers)


def _read(request: Request) -> tuple[str, dict[str, Any]]:
    try:
        document = request.json()
        return str(document["query"]), dict(document.get("variables") or {})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _Errors("The body must be a JSON object with a query.") from None


def _fields(query: str, known: Collection[str]) -> list[str]:
    match = _ASSETS.search(query)
    if match is None:
        raise _Errors(
            "This sandbox knows one query: assets(first: $first, after: $after)"
            " { edges { node { ... } } pageInfo { hasNextPage endCursor } }."
        )
    fields = match["fields"].replace(",", " ").split()
    for field in fields:
        if known and field not in known:
            raise _Errors(f'Cannot query field "{field}" on type "Asset".')
    return fields


def _window(query: str, variables: dict[str, Any]) -> tuple[int, int]:
    default = _DEFAULT_FIRST.search(query)
    first = variables.get("first", int(default[1]) if default else None)
    after = variables.get("after")
    if type(first) is not int or not 1 <= first <= MAX_FIRST:
        raise _Errors(f"The variable first must be a number from 1 to {MAX_FIRST}.")
    try:
        return first, position(after, "after") + 1 if after else 0
    except (Problem, TypeError):
        raise _Errors("The variable after must be an endCursor.") from None


def _connection(
    assets: Sequence[Item], fields: Sequence[str], start: int, first: int
) -> dict[str, Any]:
    nodes = assets[start : start + first]
    edges = [
        {
            "cursor": cursor(start + number),
            "node": {field: node.get(field) for field in fields},
        }
        for number, node in enumerate(nodes)
    ]
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": start + first < len(assets),
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }
