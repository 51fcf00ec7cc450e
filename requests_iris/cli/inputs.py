"""Texts that an option names: in a file, or on standard input."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any

import click

from ..text import one_line
from .failures import CannotWrite
from .json_text import json_text

#: Standard input as the name of a file.
STDIN = "-"


def content_of(name: str, option: str) -> bytes:
    """The bytes of the file `name`, or of standard input.

    :param option: the option that names the file, for the error.
    :raises click.BadParameter: if the file cannot be read.
    """
    try:
        if name == STDIN:
            return _standard_input()
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the file cannot be read"
        raise click.BadParameter(f"{_called(name)}: {reason}", param_hint=option) from None


def text_of(name: str, option: str) -> str:
    """The text of the file `name` in UTF-8, or of standard input.

    :raises click.BadParameter: if the file cannot be read, is empty or is not UTF-8.
    """
    try:
        text = content_of(name, option).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{_called(name)} is not UTF-8", param_hint=option) from None
    if not text.strip():
        raise click.BadParameter(f"{_called(name)} is empty", param_hint=option)
    return text


def json_argument(value: str, option: str) -> Any:
    """The JSON in `value`: the text itself, ``@FILE``, or ``@-`` for standard input.

    JSON of a file may be UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    :raises click.BadParameter: for wrong JSON, with file, line and column. The text stays private.
    """
    if value.startswith("@"):
        return _json_of(content_of(value[1:], option), _called(value[1:]), option)
    try:
        source = os.fsencode(value)
        source.decode()
    except UnicodeError:
        raise click.BadParameter(f"{one_line(value)} is not UTF-8", param_hint=option) from None
    return _json_of(source, "the text", option, _advice(value))


def _json_of(source: bytes, name: str, option: str, advice: str = "") -> Any:
    try:
        found = json.loads(source, parse_constant=_refuse)
        json_text(found)
    except json.JSONDecodeError as error:
        told = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (UnicodeError, RecursionError):
        told = "this is not JSON"
    except CannotWrite as error:
        told = f"the JSON {error}"
    except ValueError:  # NaN, or a number with more than 4300 digits
        told = "a number that JSON cannot hold"
    else:
        return found
    raise click.BadParameter(f"{name}, {told}{advice}", param_hint=option) from None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _advice(value: str) -> str:
    """The likely mistake: the name of a file without @."""
    if value[:1] in ("{", "[") or not value:
        return ""
    return f". To read a file, write @ before its name: @{one_line(value, 50)}"


def _standard_input() -> bytes:
    if sys.stdin is None:  # the process began with `<&-`
        raise OSError(errno.EBADF, "this stream is closed")
    return sys.stdin.buffer.read()


def _called(name: str) -> str:
    return "standard input" if name == STDIN else one_line(name)
