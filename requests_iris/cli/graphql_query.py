"""A GraphQL query in a file, with values for its variables from the command line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from ..graphql import Query
from .inputs import json_argument, text_of

#: Where IRIS has GraphQL. The slash at the end matters.
ENDPOINT = "/api/graphql/"
#: The option of a variable's value.
OPTION = "-p"

#: A declaration `$first: Int! = 10`. A use `first: $first` has no colon after the name.
_DECLARATION = re.compile(r"\$ ?(\w+) ?: ?([\[\]!\w ]+)")
_INT = re.compile(r"-?[0-9]{1,1000}")
_FLOAT = re.compile(r"-?[0-9]{1,1000}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Variable:
    """A variable that a query declares.

    :ivar kind: the type, without ``!`` and brackets: ``Int``, ``String``, ``AssetFilter``.
    :ivar is_list: whether the type is a list.
    """

    name: str
    kind: str
    is_list: bool

    def of(self, texts: list[str]) -> Any:
        """The JSON value for texts of the command line.

        :raises click.BadParameter: for a text that the type excludes, or a second text.
        """
        if len(texts) == 1 and (texts[0] == "null" and self.kind not in _TEXTS):
            return None
        if self.is_list:
            if len(texts) == 1 and texts[0].startswith("["):
                return json_argument(texts[0], f"{OPTION} {self.name}")
            return [self._value(text) for text in texts]
        if len(texts) > 1:
            raise click.BadParameter(
                f"{self.name} has {len(texts)} values, and ${self.name} is not a list",
                param_hint=OPTION,
            )
        return self._value(texts[0])

    def _value(self, text: str) -> Any:
        read = _READERS.get(self.kind)
        if read is None:
            return text if self.kind in _TEXTS else self._of_further_type(text)
        value = read(text)
        if value is None:
            raise click.BadParameter(
                f"{self.name}={text!r}: ${self.name} is of the type {self.kind}", param_hint=OPTION
            )
        return value

    def _of_further_type(self, text: str) -> Any:
        """An input type is a JSON object. Enumerations and further scalars are text."""
        if text.startswith(("{", "[")):
            return json_argument(text, f"{OPTION} {self.name}")
        return text


def graphql_body(name: str, params: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The body of a request with the query in the file `name`.

    :param params: names and texts of variables. A name may come twice for a list.
    :raises click.BadParameter: if the file cannot be read, or the query declares no such variable.
    """
    query = text_of(name.removeprefix("@"), "--graphql")
    declared = variables_in(query)
    texts: dict[str, list[str]] = {}
    for variable, text in params:
        if variable not in declared:
            raise click.BadParameter(_unknown(variable, declared), param_hint=OPTION)
        texts.setdefault(variable, []).append(text)
    return {
        "query": query,
        "variables": {variable: declared[variable].of(given) for variable, given in texts.items()},
    }


def variables_in(query: str) -> dict[str, Variable]:
    """The variables that the text of a query declares, by name."""
    found = {}
    for name, kind in _DECLARATION.findall(Query.of(query).text):
        (base, *_) = re.findall(r"\w+", kind) or [""]
        found[name] = Variable(name, base, "[" in kind)
    return found


def _unknown(name: str, declared: dict[str, Variable]) -> str:
    known = ", ".join(f"${each}" for each in declared) or "no variable"
    return f"the query does not declare ${name}. The query declares {known}"


def _int(text: str) -> int | None:
    return int(text) if _INT.fullmatch(text) else None


def _float(text: str) -> float | None:
    number = json.loads(text) if _FLOAT.fullmatch(text) and _is_json(text) else None
    return number if number is not None and math.isfinite(number) else None


def _is_json(text: str) -> bool:
    """Whether a number has no 0 before its digits, which JSON excludes."""
    return re.match(r"-?0[0-9]", text) is None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


_READERS: dict[str, Callable[[str], Any]] = {"Int": _int, "Float": _float, "Boolean": _boolean}
#: Types whose values are text in JSON, also the text `null`.
_TEXTS = frozenset(("String", "ID"))
