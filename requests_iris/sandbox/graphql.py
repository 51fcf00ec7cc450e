"""Form 4, GraphQL: one connection, `assets(first: $first, after: $after)`.

There is no GraphQL engine in here. One shape of query is understood; what else is asked is
answered as GraphQL answers what it cannot do, with a list of `errors`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from werkzeug import Response

from .fleet import Element
from .limits import TooMany
from .lists import cursor, position
from .problems import Problem, reply
from .server import Request

#: Nodes a page at most.
MAX_FIRST = 100

_ASSETS = re.compile(
    r"\bassets\s*\(\s*first\s*:\s*\$first\s*,?\s*after\s*:\s*\$after\s*\)"
    r".*\bedges\s*\{.*\bnode\s*\{(?P<fields>[\w\s,]*)\}.*\bpageInfo\s*\{",
    re.DOTALL,
)


class _Errors(Exception):
    """What GraphQL says in its list of errors."""


def execute(assets: Sequence[Element], request: Request) -> Response:
    """Answers a query for the connection, with the fields that it selects."""
    try:
        query, variables = _read(request)
        fields = _fields(query, assets)
        first, start = _window(variables)
    except _Errors as error:
        return reply({"errors": [{"message": str(error)}], "data": None})
    return reply({"data": {"assets": _connection(assets, fields, start, first)}})


def rate_limited(problem: TooMany) -> Response:
    """What GraphQL says of one request too many: its own form, with a time in milliseconds."""
    extensions = {"code": "RATE_LIMITED", "resetIn": math.ceil(problem.wait * 1000)}
    errors = [{"message": problem.message, "extensions": extensions}]
    return reply({"errors": errors, "data": None}, 429, problem.headers)


def _read(request: Request) -> tuple[str, dict[str, Any]]:
    try:
        document = request.json()
        return str(document["query"]), dict(document.get("variables") or {})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _Errors("The body must be a JSON object with a query.") from None


def _fields(query: str, assets: Sequence[Element]) -> list[str]:
    match = _ASSETS.search(query)
    if match is None:
        raise _Errors(
            "This sandbox knows one query: assets(first: $first, after: $after)"
            " { edges { node { ... } } pageInfo { hasNextPage endCursor } }."
        )
    fields = match["fields"].replace(",", " ").split()
    for field in fields:
        if assets and field not in assets[0]:
            raise _Errors(f'Cannot query field "{field}" on type "Asset".')
    return fields


def _window(variables: dict[str, Any]) -> tuple[int, int]:
    first, after = variables.get("first"), variables.get("after")
    if not isinstance(first, int) or not 1 <= first <= MAX_FIRST:
        raise _Errors(f"The variable first must be a number from 1 to {MAX_FIRST}.")
    try:
        return first, position(after, "after") + 1 if after else 0
    except (Problem, TypeError):
        raise _Errors("The variable after must be an endCursor.") from None


def _connection(
    assets: Sequence[Element], fields: Sequence[str], start: int, first: int
) -> dict[str, Any]:
    nodes = assets[start : start + first]
    edges = [
        {"cursor": cursor(start + place), "node": {field: node[field] for field in fields}}
        for place, node in enumerate(nodes)
    ]
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": start + first < len(assets),
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }
