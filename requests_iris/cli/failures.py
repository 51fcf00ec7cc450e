"""Reasons to end a command early."""

from __future__ import annotations

import re
import sys

import click
from requests import RequestException

from ..errors import SettingError
from ..text import one_line

#: Characters of an error message at most.
LONGEST = 2000
#: Advice about arguments, which only a program can pass.
_ARGUMENTS = re.compile(r"Pass [^.]{1,200} to IrisSession or set ")


class Failure(click.ClickException):
    """The command failed: one line on standard error and exit status 1.

    :param message: any text, for example the text of a server.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message, LONGEST))

    def with_advice(self, advice: str) -> Failure:
        """The same failure, with a sentence at the end, which no long message cuts off."""
        told = one_line(self.message, LONGEST - len(advice) - 2).rstrip(".")
        return type(self)(f"{told}. {advice}")


class WrongSetting(Failure):
    """A setting is missing or cannot be right: one line on standard error and exit status 2."""

    exit_code = 2


class CannotWrite(Exception):
    """An item cannot be written to the given file, or not in the given format."""


class CannotHold(CannotWrite):
    """The format cannot hold the list. A different format can."""


class ReaderGone(Exception):
    """The reader of standard output, for example `head`, has closed the pipe."""


def failure_of(error: Exception) -> Failure:
    """The line for an error of any kind. A Failure stays as it is.

    :raises Exception: `error` itself in Python's development mode (``python -X dev``).
    """
    if isinstance(error, Failure):
        return error
    if sys.flags.dev_mode:
        raise error
    return kind_of(error)(_told(error))


def kind_of(error: Exception) -> type[Failure]:
    """The class of the failure, which decides the exit status."""
    return WrongSetting if isinstance(error, SettingError) else Failure


def for_shell(message: str) -> str:
    """The message of an error, with variables and options in place of arguments."""
    return _ARGUMENTS.sub("Set ", message).replace("items_path=", "--items-path")


def _told(error: Exception) -> str:
    name = type(error).__name__
    if isinstance(error, (RequestException, CannotWrite, ModuleNotFoundError)):
        return for_shell(str(error)) or name
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # a UnicodeError quotes the wrong text, which may be a secret
    text = "" if isinstance(error, UnicodeError) else f" ({error})"
    return (
        f"{name}{text}. This is an unexpected error in requests-iris. "
        "`python -X dev -m requests_iris` with the same arguments shows the traceback."
    )
