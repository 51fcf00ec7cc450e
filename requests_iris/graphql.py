"""GraphQL: declarations of a query, the pagination style of connections, errors, waits and pauses.

The text of a query is never changed: only the variables `first` and `after` are set. The query
chooses the names in the response, so the case of names counts here (Relay's cursor connections).
Errors and points: https://developers.trackunit.com/reference/graphql-api-rate-limits. This module
does no I/O.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from requests import Response

from .call import Call, Position
from .cursor_history import CursorHistory
from .document import MOST, Document, as_count, changed, check_complete, errors_in, text_of
from .errors import (
    GraphQLError,
    IncompleteListError,
    NotAListError,
    QueryComplexityError,
    RateLimitedError,
    SettingError,
)
from .styles import LIMIT, Again, PaginationStyle, check_cursor

#: The codes of IRIS for a window without points, and for a query with too many points.
RATE_LIMITED = "RATE_LIMITED"
QUERY_COMPLEXITY_REACHED = "QUERY_COMPLEXITY_REACHED"
#: A walk is paced if fewer than this number of pages can be paid for.
LOW = 10

#: Strings, comments, and the whitespace of GraphQL, to which commas belong.
_STRING = r'"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n\r])*"'
_IGNORED = re.compile(rf"(?P<string>{_STRING})|(?:#[^\n\r]*|[\s,\ufeff]+)+", re.DOTALL)
_OPERATION = re.compile(r"\b(?:query|subscription)\b ?(\w*) ?\(")
_VARIABLE = re.compile(r"\$ ?(\w+) ?:")
_DEFAULT = re.compile(r"[\s\w\[\]!]*=")
_DEFAULT_SIZE = re.compile(r"\$ ?first ?:[\s\w\[\]!]*= ?(\d{1,16})(?![\w.])")
#: The arguments of a field, and the two variables of a list in use.
_ARGUMENTS = re.compile(r"\(([^()]*)\)")
_FIRST = re.compile(r"\$ ?first\b(?! ?:)")
_AFTER = re.compile(r"\$ ?after\b(?! ?:)")
#: Arguments by which a query may begin in the middle of a list.
_LATER = re.compile(r"\b(?:before|last|offset|skip) ?:|\bafter ?: ?\"")
#: A selection of `rateLimit`, perhaps with another name, and a member inside.
_BUDGET = re.compile(r"(?:\b(\w+) ?: ?)?\brateLimit(?! ?:)[^{}]*\{([^{}]*)\}")
_BUDGET_MEMBER = re.compile(r"(?:\b(\w+) ?: ?)?\b(cost|remaining|resetIn)\b(?! ?:)")
#: A number in a message, perhaps with separators of thousands, and words about numbers.
_NUMBER = re.compile(
    r"(?<!\w)(?<!\d[.,])(\d{1,3}(?:[,.'\u2019_ \xa0\u202f]\d{3})+|\d+)(?:[.,]\d+)?(?!\w)"
)
_ABOUT_LIMIT = re.compile(r"limit|max|allow|most|exceed|greater|higher|above|threshold", re.I)
_ABOUT_COST = re.compile(r"complex|cost|point|actual|estimat|got|score", re.I)


@dataclass(frozen=True)
class Query:
    """The text of a query and its declared variables.

    :ivar text: without strings, comments and superfluous whitespace; of several operations only the
        chosen operation, and all fragments.
    :ivar variables: the declared variables, each with a flag: True if the variable has a default.
    :ivar default_size: the default of `$first`, or None if the default is no number.
    """

    text: str
    variables: Mapping[str, bool]
    default_size: int | None = None

    @classmethod
    def of(cls, source: str, operation: str | None = None) -> Query:
        """Reads the query `source`; of several operations only the operation `operation`."""
        text = _IGNORED.sub(lambda found: '""' if found["string"] else " ", source)
        if operation:
            text = _text_of_operation(text, operation)
        variables: dict[str, bool] = {}
        size = None
        for header in _OPERATION.finditer(text):
            if not operation or header[1] == operation:
                definitions = _within_parentheses(text, header.end())
                variables.update(_declared(definitions))
                size = size or _DEFAULT_SIZE.search(definitions)
        return cls(text, variables, int(size[1]) if size else None)

    @property
    def begins_later(self) -> bool:
        """Whether an argument in the text may skip the beginning of the list."""
        return self.variables.get("after", False) or _LATER.search(self.text) is not None

    @property
    def asks_for_last(self) -> bool:
        """Whether the text asks for the last items."""
        return re.search(r"\blast ?:", self.text) is not None

    @property
    def shares_first(self) -> bool:
        """Whether `$first` is also the size of a list other than the list with `$after`."""
        used = [each for each in _ARGUMENTS.findall(self.text) if _FIRST.search(each)]
        if "after" not in self.variables:
            return len(used) > 1
        return not all(map(_AFTER.search, used))

    @property
    def budgets(self) -> list[Budget]:
        """Where the response says how many points are left."""
        return [
            Budget(found[1] or "rateLimit", {name: alias for alias, name in members if alias})
            for found in _BUDGET.finditer(self.text)
            for members in [_BUDGET_MEMBER.findall(found[2])]
        ] or [Budget("rateLimit", {})]


class Budget(NamedTuple):
    """The names in a response for `rateLimit { cost remaining resetIn }`."""

    name: str
    members: Mapping[str, str]

    def pause(self, data: Document) -> float:
        """Seconds to wait before the next page: 0 unless fewer than `LOW` pages can be paid for.

        Only positive numbers count. Without any point left, the next response is `RATE_LIMITED`,
        and says how long to wait.
        """
        told = data.get(self.name)
        if not isinstance(told, dict):
            return 0.0
        cost, remaining, reset_in = (
            _positive(told.get(self.members.get(each, each)))
            for each in ("cost", "remaining", "resetIn")
        )
        if not (cost and remaining and reset_in) or remaining >= LOW * cost:
            return 0.0
        return reset_in / 1000 / max(1.0, remaining // cost)


def is_graphql(call: Call) -> bool:
    """Whether a call is a GraphQL request: a POST with a query as JSON.

    The body of a search may have a `query` too. Only GraphQL writes braces.
    """
    return call.method == "POST" and "{" in _text(call.json.get("query"))


def query_of(call: Call) -> Query:
    """The query of a GraphQL request."""
    operation = call.json.get("operationName")
    return Query.of(call.json["query"], operation if isinstance(operation, str) else None)


def variables_of(call: Call) -> dict[str, Any]:
    """The variables of a call."""
    return dict(call.json.get("variables") or {})


class Connection(PaginationStyle):
    """A connection: edges, or nodes, and a pageInfo.

    A smaller page keeps its cursor, so the size belongs to a position, and not to the list.
    """

    names = ("endCursor", "first")
    asks_again = True

    def __init__(self, call: Call, document: Document, items_path: str | None) -> None:
        self._names = _path_of_connection(document, items_path)
        super().__init__(".".join(("data", *self._names)))
        self._query = query_of(call)
        self._is_named = items_path is not None
        self._count = as_count(self._connection(document).get("totalCount"))
        info = self._connection(document)["pageInfo"]
        counts = (self._count, as_count(info.get("count")))
        read = call.position.get("read")
        begins_later = self._query.begins_later or variables_of(call).get("after")
        self._is_counted = counts != (None, None) and (read is not None or not begins_later)
        self._items = read or 0
        known = self._is_counted and self._count is not None
        self.total = max((self._count or 0) - self._items, 0) if known else None
        self._history = CursorHistory()
        self._budgets = self._query.budgets

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
        variables = variables_of(call)
        if "endCursor" in position:
            variables["after"] = position["endCursor"]
        if "first" in position:
            asked = _size_of(call)
            variables["first"] = min(asked or position["first"], position["first"])
        return call.with_json(variables=variables).changed(position=position)

    @classmethod
    def unmoved(cls, call: Call, position: Position) -> Call:
        if not is_graphql(call):
            return call
        # Each page begins at a cursor, so the list is the same for every size of pages.
        variables = variables_of(call)
        if "endCursor" in position:
            variables["after"] = None
        size = variables.pop("first", None)
        kept = {} if size is None or as_count(size) is not None else {"first": size}
        return call.with_json(variables={**variables, **kept})

    @classmethod
    def again(cls, call: Call, document: Any) -> Again | None:
        errors = errors_in(document)
        if QUERY_COMPLEXITY_REACHED in map(_code_of, errors):
            smaller = _halved(call)
            reason = "the query costs too many points"
            return None if smaller is None else Again(smaller, 0.0, reason)
        wait = _seconds_to_wait(errors)
        return None if wait is None else Again(call, wait, "GraphQL has no points left")

    @classmethod
    def check_errors(cls, call: Call, document: Any, response: Response) -> None:
        """:raises GraphQLError: for a response with errors, even beside a part of the data."""
        errors = errors_in(document)
        if errors:
            raise _error_of(call, errors, response)

    @classmethod
    def recognised(
        cls, call: Call, document: Document, items_path: str | None
    ) -> Connection | None:
        return cls(call, document, items_path) if is_graphql(call) else None

    def items(self, document: Document) -> list[Any]:
        check_complete(document, self._path)
        connection = self._connection(document)
        nodes, edges = connection.get("nodes"), connection.get("edges")
        if isinstance(nodes, list):
            if isinstance(edges, list) and len(edges) != len(nodes):
                raise IncompleteListError(
                    f"the page has {len(nodes)} nodes, and {len(edges)} edges"
                )
            return list(nodes)
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
        self._check_total(connection)
        if not self._is_named:
            self._check_inner_lists(items)
        if "first" in call.position and self._query.shares_first:
            _check_not_cut(items, call.position["first"])
        info = connection["pageInfo"]
        if self._has_next_page(call, document, info):
            size = {name: call.position[name] for name in ("first",) if name in call.position}
            read = {"read": self._items} if self._is_counted else {}
            return {"endCursor": self._cursor(call, document, info), **size, **self._facts, **read}
        self._check_whole(info)
        return None

    def is_full(self, call: Call, items: list[Any]) -> bool:
        return len(items) == _size_of(call)

    def pause(self, document: Document) -> float:
        data = document.get("data")
        known = data if isinstance(data, dict) else {}
        return max(each.pause(known) for each in self._budgets)

    def _check_total(self, connection: Document) -> None:
        count = as_count(connection.get("totalCount"))
        if count != self._count:
            raise changed(
                "the list changed during the reading: totalCount was "
                f"{self._count}, and is {count}. Read the list from the beginning"
            )

    def _check_inner_lists(self, items: list[Any]) -> None:
        """A caller with `items_path` reads the inner lists by separate queries."""
        inner = _unfinished_connection(items)
        if inner is not None:
            raise IncompleteListError(
                f"an item has a list of its own with more pages ({text_of(inner)}). Ask for "
                "larger pages of the inner list, or read the inner list with a query of its own "
                f"and pass items_path={self._path!r} for the outer list"
            )

    def _check_whole(self, info: Document) -> None:
        if self._is_counted and self._items < (self._count or 0):
            raise IncompleteListError(
                f"the last page came after {self._items} items of {self._count}"
            )
        # IRIS does not say whether the count is for the page or for the list.
        count = as_count(info.get("count")) or 0
        if self._is_counted and self._items < count:
            raise IncompleteListError(
                f"the last page came after {self._items} items, and its pageInfo counts {count}"
            )

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
                "Declare $after: Cursor in the query, and use after: $after",
                keys=tuple(document),
            )
        cursor = info.get("endCursor")
        if cursor in (None, "") or cursor == variables_of(call).get("after"):
            raise IncompleteListError("the page has a next page, and no cursor for the next page")
        check_cursor(cursor, self._history)
        return cursor

    def _connection(self, document: Document) -> Document:
        found = _at(document.get("data"), self._names)
        if not _is_connection(found):
            raise IncompleteListError("the page has no connection at the path of the first page")
        return found  # type: ignore[no-any-return]


def _error_of(call: Call, errors: tuple[Document, ...], response: Response) -> GraphQLError:
    """The error for the errors in a response."""
    codes = ", ".join(text_of(_code_of(each) or each.get("message")) for each in errors)
    told = f"GraphQL answered with errors: {text_of(codes)}"
    context: Document = {"errors": errors, "response": response}
    found = {_code_of(each): each for each in reversed(errors)}
    # First the error that stays, however long a caller waits.
    if QUERY_COMPLEXITY_REACHED in found:
        cost, limit = points_in(found[QUERY_COMPLEXITY_REACHED].get("message"))
        points = "" if cost is None or limit is None else f" ({cost} points, limit {limit})"
        told = f"{told}{points}. {_advice(call)}"
        return QueryComplexityError(told, complexity=cost, limit=limit, **context)
    if RATE_LIMITED in found:
        wait = _seconds_to_wait(errors)
        when = "" if wait is None else f". Points are back in {wait:.1f} s: continue then"
        return RateLimitedError(f"{told}{when}", retry_after=wait, retryable=True, **context)
    return GraphQLError(told, **context)


def _advice(call: Call) -> str:
    """Why a page was not asked for again with half the size."""
    if "first" not in query_of(call).variables:
        return "Declare $first in the query and use first: $first, so that pages can be smaller"
    if _size_of(call) is None:
        return "Pass a whole number as the variable first, so that pages can be smaller"
    return "Pages cannot be smaller: ask for fewer fields, or for smaller inner lists"


def _seconds_to_wait(errors: tuple[Document, ...]) -> float | None:
    """Seconds until GraphQL has points again; None if the errors do not say."""
    told = [each["extensions"].get("resetIn") for each in errors if _code_of(each) == RATE_LIMITED]
    # NaN and infinity are no times; an int of hundreds of digits is no float.
    waits = [each for each in told if _is_number(each) and abs(each) < float("inf")]
    return min(max(0, *waits), sys.maxsize) / 1000 if waits else None


def _halved(call: Call) -> Call | None:
    """The same page with half the items; None if the size is unknown or 1."""
    size = _size_of(call)
    if "first" not in query_of(call).variables or size is None or size < 2:
        return None
    half = {"first": size // 2}
    smaller = call.with_json(variables={**variables_of(call), **half})
    return smaller.changed(position={**call.position, **half})


def _size_of(call: Call) -> int | None:
    """The number of items per page in a call; None if `first` is no whole number."""
    variables = variables_of(call)
    return as_count(variables.get("first", query_of(call).default_size))


def points_in(message: Any) -> tuple[int | None, int | None]:
    """The points of a query and the limit, as an error message tells them in words."""
    text = message[:1000] if isinstance(message, str) else ""
    cost = limit = None
    others: list[int] = []
    end = 0
    for found in _NUMBER.finditer(text):
        words, end = text[end : found.start()], found.end()
        number = int(re.sub(r"\D", "", found[1])[:17])
        if number > MOST:
            continue
        if limit is None and _ABOUT_LIMIT.search(words):
            limit = number
        elif cost is None and _ABOUT_COST.search(words):
            cost = number
        else:
            others.append(number)
    if len(others) == 1 and (cost is None) != (limit is None):
        cost, limit = (others[0], limit) if cost is None else (cost, others[0])
    elif len(others) == 2 and cost is None and limit is None:
        cost, limit = others
    if cost is not None and limit is not None and cost < limit:
        return limit, cost  # a refused query costs more than the limit
    return cost, limit


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _code_of(error: dict[str, Any]) -> Any:
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _positive(value: Any) -> float:
    """`value` as a float for calculations; 0 for everything but a positive number."""
    return float(min(value, 1e300)) if _is_number(value) and value > 0 else 0.0


def _declared(definitions: str) -> dict[str, bool]:
    """The variables of an operation, each with a flag: True if the variable has a default."""
    _, *parts = _VARIABLE.split(definitions)
    return {
        name: _DEFAULT.match(kind) is not None
        for name, kind in zip(parts[::2], parts[1::2], strict=True)
    }


def _text_of_operation(text: str, operation: str) -> str:
    """The text of one operation, and of all fragments: the text that the server executes."""
    chosen = re.compile(rf" ?(?:fragment\b|\w+ {re.escape(operation)}\b)")
    return "".join(filter(chosen.match, _definitions(text))) or text


def _definitions(text: str) -> Iterator[str]:
    """The operations and fragments in the text of a query."""
    depth = start = 0
    for found in re.finditer(r"[(){}]", text):
        depth += 1 if found[0] in "({" else -1
        if not depth and found[0] == "}":
            yield text[start : found.end()]
            start = found.end()


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


def _path_of_connection(document: Document, items_path: str | None) -> tuple[str, ...]:
    """The way from the data to the connection, as names.

    :param items_path: the path of the connection, or of its edges or nodes; None for the only one.
    :raises NotAListError: if the path leads to no connection, or the response has several.
    """
    data = document.get("data")
    paths = sorted(_paths_of_connections(data))
    if items_path is None:
        if len(paths) == 1:
            return paths[0]
        told = f"the response holds {len(paths)} connections"
    else:
        for path in (items_path, re.sub(r"\.(?:edges|nodes)$", "", items_path)):
            top, *names = path.split(".")
            if top == "data" and _is_connection(_at(data, names)):
                return tuple(names)
        told = f"the response holds no connection at {items_path!r}"
    known = text_of(" or ".join(repr(".".join(("data", *path))) for path in paths[:10]))
    advice = (
        f"Name the list to read: items_path={known}"
        if paths
        else "Ask for one connection, with "
        "edges { node { ... } } and pageInfo { hasNextPage endCursor }"
    )
    raise NotAListError(f"{told}. {advice}", keys=tuple(document))


def _at(value: Any, names: Iterable[str]) -> Any:
    """The value behind `names`, as the query spells them; None without such a value."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _paths_of_connections(data: Any) -> Iterator[tuple[str, ...]]:
    """Where the connections are; connections inside the items of a connection do not count."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while waiting:  # no recursion: a response may be nested 900 levels deep
        path, value = waiting.pop()
        if _is_connection(value):
            yield path
        elif isinstance(value, dict):
            waiting.extend(((*path, name), each) for name, each in value.items())


def _unfinished_connection(items: list[Any]) -> str | None:
    """The name of an unfinished connection inside the items."""
    waiting: list[tuple[str, Any]] = [("", items)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(name, each) for each in value if isinstance(each, (dict, list))]
            continue
        if _is_connection(value) and value["pageInfo"].get("hasNextPage") is True:
            return name
        waiting += [each for each in value.items() if isinstance(each[1], (dict, list))]
    return None


def _check_not_cut(items: list[Any], size: int) -> None:
    """Checks inner lists whose size is `$first`, after `$first` was halved.

    :raises IncompleteListError: if an inner list is full, and does not say whether more follows.
    """
    waiting: list[tuple[str, Any]] = [("", items)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(name, each) for each in value]
        elif isinstance(value, dict):
            info = value.get("pageInfo")
            is_told = isinstance(info, dict) and isinstance(info.get("hasNextPage"), bool)
            lists = [value.get(each) for each in ("edges", "nodes")]
            if not is_told and any(isinstance(each, list) and len(each) >= size for each in lists):
                raise IncompleteListError(
                    f"an item has a list of its own ({text_of(name)}) that may be cut: the query "
                    "costs too many points, and a smaller $first is also the size of the inner "
                    "list. Use a variable of its own for the inner list, or ask for "
                    "pageInfo { hasNextPage } in the inner list"
                )
            waiting += value.items()
