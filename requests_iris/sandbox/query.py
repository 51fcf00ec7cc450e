"""Parses GraphQL queries: operations, variables, fragments and arguments, without types.

A selection has its variables and fragments filled in, so the rest of the sandbox needs no syntax.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The deepest nesting of a query.
MAX_DEPTH = 50

_TOKEN = re.compile(
    r'(?:[\s,\ufeff]|#[^\n\r]*)*(?:(?P<block>"""(?:\\"""|[^"]|"(?!""))*""")'
    r'|(?P<text>"(?:\\.|[^"\\\n\r])*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)'
    r"|(?P<name>[A-Za-z_]\w*)|(?P<mark>\.\.\.|[{}()\[\]:=!$@|&])|(?P<end>\Z))"
)
_CONSTANTS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """The message of a GraphQL error, with the error's `extensions`."""

    def __init__(self, message: str, **extensions: object) -> None:
        super().__init__(message)
        self.extensions = extensions


@dataclass(frozen=True)
class Field:
    """A field of a selection. `key` is the name in the response. A leaf selects nothing."""

    key: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    selection: tuple[Field, ...] = ()


def parse(
    source: str, variables: Mapping[str, Any], operation: str | None = None
) -> tuple[Field, ...]:
    """The fields of a query.

    :param operation: the name of the operation, if `source` has several operations.
    :raises QueryError: for any text that is not a single query.
    """
    parser = _Parser(source)
    parser.document()
    found = [each for each in parser.operations if operation in (None, each.name)]
    if len(found) != 1:
        raise QueryError("The query must have one operation, or operationName must name one.")
    return found[0].selected(variables, parser.fragments)


@dataclass(frozen=True)
class _Variable:
    name: str


@dataclass(frozen=True)
class _Spread:
    """A fragment: by name, or in place."""

    name: str
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class _Operation:
    name: str
    defaults: Mapping[str, Any]
    parts: tuple[Field | _Spread, ...]

    def selected(
        self, variables: Mapping[str, Any], fragments: Mapping[str, Any]
    ) -> tuple[Field, ...]:
        values = {**self.defaults, **{n: v for n, v in variables.items() if n in self.defaults}}
        filling = _Filling(values, fragments)
        fields = tuple(filling.fields(self.parts))
        for name in self.defaults:
            if name not in filling.used:
                raise QueryError(f'Variable "${name}" is never used.')
        return fields


class _Filling:
    """Fills in variables and fragments."""

    def __init__(self, values: Mapping[str, Any], fragments: Mapping[str, Any]) -> None:
        self._values = values
        self._fragments = fragments
        self.used: set[str] = set()

    def fields(self, parts: Sequence[Field | _Spread], depth: int = 0) -> Iterator[Field]:
        if depth > MAX_DEPTH:
            raise QueryError("The query is nested too deeply.")
        for part in parts:
            if isinstance(part, _Spread):
                inner = part.parts or self._fragments.get(part.name)
                if inner is None:
                    raise QueryError(f'Unknown fragment "{part.name}".')
                yield from self.fields(inner, depth + 1)
            else:
                arguments = {name: self.value(each) for name, each in part.arguments.items()}
                yield Field(
                    part.key, part.name, arguments, tuple(self.fields(part.selection, depth + 1))
                )

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        if not isinstance(value, _Variable):
            return value
        if value.name not in self._values:
            raise QueryError(f'Variable "${value.name}" is not defined.')
        self.used.add(value.name)
        return self._values[value.name]


class _Parser:
    """A parser by recursive descent. The grammar: spec.graphql.org, section 2."""

    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._kind, self._word = next(self._tokens)
        self._depth = 0
        self.operations: list[_Operation] = []
        self.fragments: dict[str, tuple[Any, ...]] = {}

    def document(self) -> None:
        while self._kind != "end":
            if self._word == "{":
                self.operations.append(_Operation("", {}, self._selection()))
            elif self._word == "fragment":
                self._take()
                name = self._name()
                self._take("on")
                self._name()
                self.fragments[name] = self._selection()
            else:
                self._take("query")
                name = self._name() if self._kind == "name" else ""
                defaults = self._definitions()
                self._directives()
                self.operations.append(_Operation(name, defaults, self._selection()))

    def _take(self, expected: str | None = None) -> str:
        token = self._word
        if expected is not None and token != expected:
            raise QueryError(f'Syntax Error: Expected "{expected}", found "{token}".')
        self._kind, self._word = next(self._tokens)
        return token

    def _takes(self, token: str) -> bool:
        return self._word == token and bool(self._take())

    def _name(self) -> str:
        if self._kind != "name":
            raise QueryError(f'Syntax Error: Expected a name, found "{self._word}".')
        return self._take()

    def _definitions(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        if self._takes("("):
            while not self._takes(")"):
                self._take("$")
                name = self._name()
                self._take(":")
                self._type()
                defaults[name] = self._value() if self._takes("=") else None
                self._directives()
        return defaults

    def _type(self) -> None:
        while self._takes("["):
            pass
        self._name()
        while self._word in ("]", "!"):
            self._take()

    def _directives(self) -> None:
        while self._takes("@"):
            self._name()
            self._arguments()

    def _selection(self) -> tuple[Any, ...]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError("The query is nested too deeply.")
        self._take("{")
        parts = []
        while not self._takes("}"):
            parts.append(self._spread() if self._takes("...") else self._field())
        self._depth -= 1
        return tuple(parts)

    def _spread(self) -> _Spread:
        name = self._name() if self._kind == "name" else ""
        if name == "on":
            self._name()
        self._directives()
        return _Spread("", self._selection()) if name in ("", "on") else _Spread(name)

    def _field(self) -> Field:
        key = self._name()
        name = self._name() if self._takes(":") else key
        arguments = self._arguments()
        self._directives()
        return Field(key, name, arguments, self._selection() if self._word == "{" else ())

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if self._takes("("):
            while not self._takes(")"):
                name = self._name()
                self._take(":")
                arguments[name] = self._value()
        return arguments

    def _value(self) -> Any:
        kind, word = self._kind, self._take()
        if word == "$":
            return _Variable(self._name())
        if word == "[":
            return list(iter(lambda: self._element("]"), _END))
        if word == "{":
            return dict(iter(lambda: self._element("}"), _END))
        if kind == "name":
            return _CONSTANTS.get(word, word)
        if kind == "block":
            return word[3:-3]
        if kind in ("text", "number"):
            return json.loads(word, strict=False)
        raise QueryError(f'Syntax Error: Unexpected "{word}".')

    def _element(self, end: str) -> Any:
        if self._takes(end):
            return _END
        if end == "]":
            return self._value()
        name = self._name()
        self._take(":")
        return name, self._value()


#: The end of a list or of an object.
_END = object()


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    position = 0
    while True:
        found = _TOKEN.match(source, position)
        if found is None:
            raise QueryError(f"Syntax Error: Unexpected text at character {position}.")
        position = found.end()
        kind = found.lastgroup or "end"
        yield kind, found[kind]
        if kind == "end":
            raise QueryError("Syntax Error: The query ends too early.")
