"""GraphQL style: the connections `assets` and `sites`, `rateLimit`, errors and points.

    query ($first: Int, $after: String) {
      assets(first: $first, after: $after, filters: {brands: ["Nordgrav"]}) {
        totalCount
        edges { node { id name sites(first: 1) { nodes { name } } } }
        pageInfo { hasNextPage endCursor }
      }
      rateLimit { cost remaining resetIn }
    }

Each asset is on a site, and each site has a connection of assets, so connections can be nested. A
filter is the plural of a member of assets. The response to any other query is a list of `errors`,
as in GraphQL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from werkzeug import Response

from .fleet import Fleet, Item
from .limits import TooMany
from .lists import cursor, position
from .points import Points, cost_of
from .problems import Problem, json_response
from .query import Field, QueryError, parse
from .server import Request

#: The most nodes per page.
MAX_FIRST = 100

#: The value of a field of an object.
_Resolve = Callable[[Field], Any]


def execute(fleet: Fleet, request: Request, points: Points) -> Response:
    """The response to a query, with the fields that the query selects."""
    try:
        fields = parse(*_read(request))
        schema = _Schema(fleet)
        schema.check(fields)
        schema.rate_limit = points.spend(cost_of(fields))
        return json_response({"data": _selected(fields, schema.query)})
    except QueryError as error:
        extensions = {"extensions": error.extensions} if error.extensions else {}
        return json_response({"errors": [{"message": str(error), **extensions}], "data": None})


def rate_limited(problem: TooMany) -> Response:
    """GraphQL's own response when a limit is exceeded, with a time in milliseconds."""
    extensions = {"code": "RATE_LIMITED", "resetIn": math.ceil(problem.wait * 1000)}
    errors = [{"message": problem.message, "extensions": extensions}]
    return json_response({"errors": errors, "data": None}, 429, problem.headers)


def _read(request: Request) -> tuple[str, dict[str, Any], str | None]:
    try:
        document = request.json()
        operation = document.get("operationName")
        return str(document["query"]), dict(document.get("variables") or {}), operation
    except (ValueError, TypeError, KeyError, AttributeError):
        raise QueryError("The body must be a JSON object with a query.") from None


class _Schema:
    """The types of the sandbox, each as a function that gives the value of a field."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.rate_limit: dict[str, int] = {}

    def check(self, fields: Iterable[Field]) -> None:
        """:raises QueryError: for a connection without a size, before the query costs points."""
        for field in fields:
            if any(each.name in ("edges", "nodes", "pageInfo") for each in field.selection):
                _size(field)
            self.check(field.selection)

    def query(self, field: Field) -> Any:
        if field.name == "assets":
            return _connection(field, self._filtered(field), self._asset)
        if field.name == "sites":
            return _connection(field, self._fleet.sites, self._site)
        if field.name == "rateLimit":
            return _selected(
                field.selection, lambda each: _known(self.rate_limit, each, "RateLimit")
            )
        raise _unknown(field, "Query")

    def _asset(self, asset: Item) -> _Resolve:
        def value(field: Field) -> Any:
            if field.name in self._fleet.asset_fields:
                return _member(asset, field)
            if field.name == "sites":
                return _connection(field, [self._fleet.site_of(asset)], self._site)
            raise _unknown(field, "Asset")

        return value

    def _site(self, site: Item) -> _Resolve:
        def value(field: Field) -> Any:
            if field.name == "assets":
                return _connection(field, site["assets"], self._asset)
            if field.name in ("id", "name"):
                return site[field.name]
            raise _unknown(field, "Site")

        return value

    def _filtered(self, field: Field) -> list[Item]:
        """The assets with one of the values of each filter, such as `brands: ["Nordgrav"]`."""
        filters = field.arguments.get("filters") or {}
        if not isinstance(filters, dict):
            raise QueryError("filters must be an object of type AssetFiltersInput.")
        assets = self._fleet.assets
        for name, wanted in filters.items():
            member = name.removesuffix("s")
            if member == name or member not in self._fleet.asset_fields:
                raise QueryError(f'Field "{name}" is not defined by type "AssetFiltersInput".')
            if wanted is not None:
                values = wanted if isinstance(wanted, list) else [wanted]
                assets = [asset for asset in assets if asset.get(member) in values]
        return assets


def _unknown(field: Field, kind: str) -> QueryError:
    return QueryError(f'Cannot query field "{field.name}" on type "{kind}".')


def _selected(fields: Iterable[Field], resolve: _Resolve) -> dict[str, Any]:
    return {field.key: resolve(field) for field in fields}


def _member(item: Any, field: Field) -> Any:
    """A member of a JSON object; of an object or of a list inside, the selected members."""
    return _chosen(item.get(field.name), field) if isinstance(item, dict) else None


def _chosen(value: Any, field: Field) -> Any:
    if isinstance(value, list) and field.selection:
        return [_chosen(each, field) for each in value]
    if value is None or not field.selection:
        return value
    return _selected(field.selection, lambda each: _member(value, each))


def _size(field: Field) -> int:
    size = field.arguments.get("first", field.arguments.get("last"))
    if type(size) is not int or not 1 <= size <= MAX_FIRST:
        raise QueryError(
            f"The argument first or last of {field.name} must be a number from 1 to {MAX_FIRST}."
        )
    return size


def _connection(
    field: Field, items: Sequence[Item], resolver: Callable[[Item], _Resolve]
) -> dict[str, Any]:
    """A part of a list (relay.dev/graphql/connections.htm)."""
    start, end = _span(field, len(items))

    def value(each: Field) -> Any:
        if each.name == "edges":
            edges = (_edge(number, resolver(items[number])) for number in range(start, end))
            return [_selected(each.selection, edge) for edge in edges]
        if each.name == "nodes":
            return [_selected(each.selection, resolver(item)) for item in items[start:end]]
        if each.name == "totalCount":
            return len(items)
        if each.name == "pageInfo":
            info = _page_info(start, end, len(items))
            return _selected(each.selection, lambda one: _known(info, one, "PageInfo"))
        raise _unknown(each, "Connection")

    return _selected(field.selection, value)


def _edge(number: int, node: _Resolve) -> _Resolve:
    def value(field: Field) -> Any:
        if field.name == "cursor":
            return cursor(number)
        if field.name == "node":
            return _selected(field.selection, node)
        raise _unknown(field, "Edge")

    return value


def _page_info(start: int, end: int, total: int) -> dict[str, Any]:
    return {
        "hasNextPage": end < total,
        "hasPreviousPage": start > 0,
        "startCursor": cursor(start) if start < end else None,
        "endCursor": cursor(end - 1) if start < end else None,
        "count": total,
    }


def _known(members: dict[str, Any], field: Field, kind: str) -> Any:
    if field.name not in members:
        raise _unknown(field, kind)
    return members[field.name]


def _span(field: Field, total: int) -> tuple[int, int]:
    """The positions of the first item, and of the item after the last."""
    size = _size(field)
    after, before = field.arguments.get("after"), field.arguments.get("before")
    try:
        start = position(after, "after") + 1 if after else 0
        end = min(position(before, "before"), total) if before else total
    except (Problem, TypeError):
        raise QueryError("The arguments after and before must be cursors.") from None
    if "first" in field.arguments:
        return min(start, end), min(start + size, end)
    return max(end - size, start), end
