"""GraphQL: declarations of a query, the pagination style of connections, errors and waits.

The text of a query is never changed: only the variables `first` and `after` are set. The query
chooses the names in the response, so the case of names counts here (Relay's cursor connections).
This module does no I/O.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from requests import Response

from .call import Call, Position
from .cursor_history import CursorHistory
from .document import (
    Document,
    as_count,
    changed,
    check_complete,
    errors_in,
    text_of,
)
from .errors import GraphQLError, IncompleteListError, NotAListError, SettingError
from .styles import LIMIT, PaginationStyle, check_cursor

#: Strings, comments, and the whitespace of GraphQL, to which commas belong.
_STRING = r'"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n\r])*"'
_IGNORED = re.compile(rf"(?P<string>{_STRING})|(?:#[^\n\r]*|[\s,\ufeff]+)+", re.DOTALL)
_OPERATION = re.compile(r"\b(?:query|subscription)\b ?(\w*) ?\(")
_VARIABLE = re.compile(r"\$ ?(\w+) ?:")
_DEFAULT = re.compile(r"[\s\w\[\]!]*=")
#: Arguments by which a query may begin in the middle of a list.
_LATER = re.compile(r"\b(?:before|last|offset|skip) ?:|\bafter ?: ?\"")


@dataclass(frozen=True)
class Query:
    """The text of a query and its declared variables.

    :ivar text: without strings, comments and superfluous whitespace.
    :ivar variables: the declared variables, each with a flag: True if the variable has a default.
    """

    text: str
    variables: Mapping[str, bool]

    @classmethod
    def of(cls, source: str, operation: str | None = None) -> Query:
        """Reads the query `source`; of several operations only the operation `operation`."""
        text = _IGNORED.sub(lambda found: '""' if found["string"] else " ", source)
        variables: dict[str, bool] = {}
        for header in _OPERATION.finditer(text):
            if not operation or header[1] == operation:
                variables.update(_declared(_within_parentheses(text, header.end())))
        return cls(text, variables)

    @property
    def begins_later(self) -> bool:
        """Whether an argument in the text may skip the beginning of the list."""
        return self.variables.get("after", False) or _LATER.search(self.text) is not None

    @property
    def asks_for_last(self) -> bool:
        """Whether the text asks for the last items."""
        return re.search(r"\blast ?:", self.text) is not None


def is_graphql(call: Call) -> bool:
    """Whether a call is a GraphQL request: a POST with a query as JSON."""
    return call.method == "POST" and isinstance(call.json.get("query"), str)


def query_of(call: Call) -> Query:
    """The query of a GraphQL request."""
    operation = call.json.get("operationName")
    return Query.of(call.json["query"], operation if isinstance(operation, str) else None)


def variables_of(call: Call) -> dict[str, Any]:
    """The variables of a call."""
    return dict(call.json.get("variables") or {})


class Connection(PaginationStyle):
    """A connection: edges, or nodes, and a pageInfo."""

    names = ("endCursor",)

    def __init__(self, call: Call, query: Query, document: Document) -> None:
        paths = list(_paths_of_connections(document.get("data")))
        if len(paths) != 1:
            raise NotAListError(
                f"the response holds {len(paths)} connections. Ask for one connection, with "
                "edges { node { ... } } and pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        self._names = paths[0]
        super().__init__(".".join(("data", *self._names)))
        self._query = query
        self._count = as_count(self._connection(document).get("totalCount"))
        read = call.position.get("read")
        begins_later = query.begins_later or variables_of(call).get("after")
        self._is_counted = self._count is not None and (read is not None or not begins_later)
        self._items = read or 0
        self.total = max((self._count or 0) - self._items, 0) if self._is_counted else None
        self._history = CursorHistory()

    @classmethod
    def prepared(cls, call: Call) -> Call | None:
        if not is_graphql(call):
            return None
        if not isinstance(call.json.get("variables") or {}, Mapping):
            raise SettingError("the variables in json must be a dict", setting="json")
        # A default in the query is the caller's choice, and stays.
        silent = query_of(call).variables.get("first") is False
        first = {"first": LIMIT} if silent else {}
        return call.with_json(variables={**first, **variables_of(call)})

    @classmethod
    def moved(cls, call: Call, position: Position) -> Call:
        variables = {**variables_of(call), "after": position["endCursor"]}
        return replace(call.with_json(variables=variables), position=position)

    @classmethod
    def unmoved(cls, call: Call, position: Position) -> Call:  # noqa: ARG003
        if not is_graphql(call):
            return call
        return call.with_json(variables={**variables_of(call), "after": None})

    @classmethod
    def recognised(
        cls,
        call: Call,
        document: Document,
        items_path: str | None,  # noqa: ARG003
    ) -> Connection | None:
        return cls(call, query_of(call), document) if is_graphql(call) else None

    def items(self, document: Document) -> list[Any]:
        connection = self._connection(document)
        if isinstance(connection.get("nodes"), list):
            return list(connection["nodes"])
        if not all(isinstance(edge, dict) and "node" in edge for edge in connection["edges"]):
            raise IncompleteListError("the page has an edge without its node")
        return [edge["node"] for edge in connection["edges"]]

    def first(self, call: Call) -> Position:  # noqa: ARG002
        return self._facts

    @property
    def whole_total(self) -> int | None:
        return self._count

    @property
    def _facts(self) -> Position:
        return {} if self._count is None else {"total": self._count}

    def following(self, call: Call, document: Document, items: list[Any]) -> Position | None:
        self._items += len(items)
        connection = self._connection(document)
        count = as_count(connection.get("totalCount"))
        if count != self._count:
            raise changed(
                "the list changed during the reading: totalCount was "
                f"{self._count}, and is {count}. Read the list from the beginning"
            )
        if self._has_next_page(call, document, connection["pageInfo"]):
            cursor = self._cursor(call, document, connection["pageInfo"])
            read = {"read": self._items} if self._is_counted else {}
            return {"endCursor": cursor, **self._facts, **read}
        if self._is_counted and self._items < (self._count or 0):
            raise IncompleteListError(
                f"the last page came after {self._items} items of {self._count}"
            )
        return None

    def _has_next_page(self, call: Call, document: Document, info: Document) -> bool:
        has_next = info.get("hasNextPage")
        if not isinstance(has_next, bool):
            raise NotAListError(
                "the response does not say whether more pages follow. "
                "The query must ask for pageInfo { hasNextPage endCursor }",
                keys=tuple(document),
            )
        goes_backwards = self._query.asks_for_last and not variables_of(call).get("after")
        if info.get("hasPreviousPage") is True and goes_backwards:
            raise NotAListError(
                "the query asks for the last items, and the list has more before them. "
                "Use first: and after:",
                keys=tuple(document),
            )
        return has_next

    def _cursor(self, call: Call, document: Document, info: Document) -> Any:
        if "after" not in self._query.variables:
            raise NotAListError(
                "the list has more pages, and the query has no variable for them. "
                "Declare $after: String in the query, and use after: $after",
                keys=tuple(document),
            )
        cursor = info.get("endCursor")
        if cursor in (None, "") or cursor == variables_of(call).get("after"):
            raise IncompleteListError("the page has a next page, and no cursor for the next page")
        check_cursor(cursor, self._history)
        return cursor

    def _connection(self, document: Document) -> Document:
        check_complete(document, self._path)
        found: Any = document.get("data")
        for name in self._names:
            found = found.get(name) if isinstance(found, dict) else None
        if not _is_connection(found):
            raise IncompleteListError("the page has no connection at the path of the first page")
        return found  # type: ignore[no-any-return]


def check_errors(call: Call, document: Any, response: Response) -> None:
    """:raises GraphQLError: for a GraphQL response with errors, even beside a part of the data."""
    errors = errors_in(document) if is_graphql(call) else ()
    if not errors:
        return
    codes = ", ".join(text_of(_code_of(each) or each.get("message")) for each in errors)
    raise GraphQLError(
        f"GraphQL answered with errors: {text_of(codes)}",
        errors=errors,
        retryable="RATE_LIMITED" in map(_code_of, errors),
        response=response,
    )


def seconds_to_wait(call: Call, document: Any) -> float | None:
    """Seconds until GraphQL has points again; None if the response asks for no wait."""
    errors = errors_in(document) if is_graphql(call) else ()
    waits = [
        each["extensions"].get("resetIn") for each in errors if _code_of(each) == "RATE_LIMITED"
    ]
    milliseconds = [
        wait for wait in waits if isinstance(wait, (int, float)) and not isinstance(wait, bool)
    ]
    # An int of hundreds of digits is no float.
    return min(max(0, *milliseconds), sys.maxsize) / 1000 if milliseconds else None


def _code_of(error: dict[str, Any]) -> Any:
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) else None


def _declared(definitions: str) -> dict[str, bool]:
    """The variables of an operation, each with a flag: True if the variable has a default."""
    _, *parts = _VARIABLE.split(definitions)
    return {
        name: _DEFAULT.match(kind) is not None
        for name, kind in zip(parts[::2], parts[1::2], strict=True)
    }


def _within_parentheses(text: str, start: int) -> str:
    """The text from `start`, after an opening parenthesis, to the closing parenthesis."""
    depth = 1
    for found in re.finditer(r"[()]", text[start:]):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return text[start : start + found.start()]
    return text[start:]


def _is_connection(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("pageInfo"), dict)
        and (isinstance(value.get("edges"), list) or isinstance(value.get("nodes"), list))
    )


def _paths_of_connections(data: Any) -> Iterator[tuple[str, ...]]:
    """Where the connections are; connections inside the nodes of a connection do not count."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while waiting:  # no recursion: a response may be nested 900 levels deep
        path, value = waiting.pop()
        if _is_connection(value):
            yield path
        elif isinstance(value, dict):
            waiting.extend(((*path, name), each) for name, each in value.items())
