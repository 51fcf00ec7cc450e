"""Reasons to end a command early."""

from __future__ import annotations

import click

from ..text import one_line

#: Characters of an error message at most.
LONGEST = 2000


class Failure(click.ClickException):
    """The command failed: one line on standard error and exit status 1.

    :param message: any text, for example the text of a server.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message, LONGEST))


class WrongSetting(Failure):
    """A setting is missing or cannot be right: one line on standard error and exit status 2."""

    exit_code = 2


class CannotWrite(Exception):
    """An item cannot be written to the given file, or not in the given format."""


class ReaderGone(Exception):
    """The reader of standard output, for example `head`, has closed the pipe."""
