"""Checks of arguments: the error for a wrong argument says which values are allowed.

A wrong type is a `TypeError`, a wrong value a `ValueError`. A bool is not a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ..timespans import in_utc

_Value = TypeVar("_Value")

#: The longest time that the sandbox accepts: about 30 years. Timers and dates overflow far beyond.
MAX_SECONDS = 1e9


def whole_number(name: str, value: object, *, least: int | None = None, most: int = 10**9) -> int:
    """An int from `least` to `most`."""
    if least is None:
        allowed = "a whole number"
    elif most == 10**9:
        allowed = f"a whole number, {least} or more"
    else:
        allowed = f"a whole number from {least} to {most}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}, not {value!r}.")
    if not (-most if least is None else least) <= value <= most:
        raise ValueError(f"{name} must be {allowed}, not {value!r}.")
    return value


def seconds(name: str, value: object, *, positive: bool = False) -> float:
    """An int or a float, but not NaN, and not 0 if the number must be `positive`."""
    bounds = "more than 0 and" if positive else "0 or more and"
    allowed = f"a number of seconds, {bounds} at most {MAX_SECONDS:.0f}"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}, not {value!r}.")
    if not 0 <= value <= MAX_SECONDS or (positive and value == 0):
        raise ValueError(f"{name} must be {allowed}, not {value!r}.")
    return value


def times(name: str, value: object) -> list[datetime]:
    """A list of datetimes with a time zone. The result is in UTC."""
    allowed = "a list of datetimes with a time zone"
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be {allowed}, not {value!r}.")
    return [in_utc(f"each of {name}", each) for each in value]


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return value


def text(name: str, value: object) -> str:
    """A str, even an empty str. The error names the type only, because the value may be secret."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}.")
    return value


def header_text(name: str, value: object) -> str:
    """A str for an HTTP header: a single line in Latin-1 (RFC 9110 section 5.5).

    Only line breaks and NUL are refused, because a test may want to send control characters.
    """
    line = text(name, value)
    if any(ord(character) > 0xFF or character in "\r\n\0" for character in line):
        raise ValueError(f"{name} must be one line of Latin-1 text, not {line!r}.")
    return line


def path(name: str, value: object) -> str:
    """The beginning of a request's path. The empty str is the beginning of every path."""
    beginning = text(name, value)
    if beginning[:1] not in ("", "/") or "?" in beginning:
        raise ValueError(
            f"{name} begins with a slash and ends before any query, so {beginning!r} never fits."
        )
    return beginning


def scopes(name: str, value: object) -> tuple[str, ...]:
    """A list of scopes (RFC 6749 section 3.3)."""
    allowed = "a list of scopes, such as ['asset.view']"
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be {allowed}, not {value!r}.")
    return tuple(scope(f"each of {name}", each) for each in value)


def scope(name: str, value: object) -> str:
    """A single scope: visible ASCII characters without quotes and backslashes."""
    word = text(name, value)
    if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", word):
        raise ValueError(f"{name} must be one scope, such as asset.view, not {word!r}.")
    return word


def scopes_of_paths(name: str, value: object) -> dict[str, str | None]:
    """A dict from the beginnings of paths to a scope or None."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, such as {{'/api/': 'asset.view'}}, not {value!r}.")
    return {
        path(f"each path of {name}", start): None
        if needed is None
        else scope(f"each scope of {name}", needed)
        for start, needed in value.items()
    }


def one_of(name: str, value: _Value, allowed: Sequence[_Value]) -> _Value:
    """A value from the list `allowed`."""
    if value not in allowed:
        listed = ", ".join(map(str, allowed))
        raise ValueError(f"{name} must be one of {listed}, not {value!r}.")
    return value


def instance(name: str, value: object, kind: type[_Value], example: str) -> _Value:
    """An instance of `kind`; the error shows `example`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, such as {example}, not {value!r}.")
    return value


def json_object(name: str, value: object) -> dict[str, Any]:
    """A copy of a mapping, made by way of JSON (in RFC 8259, NaN is not JSON)."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {value!r}.")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)(f"{name} must hold JSON values only: {error}") from None
    return copy
