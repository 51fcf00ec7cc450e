"""A whole list, on standard output or in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .. import IrisSession
from ..errors import ListError
from ..pagination import Progress
from ..text import one_line
from .failures import Failure
from .json_text import Item, json_lines, numbered_texts
from .output import print_texts
from .request import Request
from .streams import complain, encoding_of
from .writers import FORMATS, Write, is_pipe_or_device, replacing


class Counted:
    """Items of an iterator, counted.

    :ivar count: the number of items so far.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.count += 1
            yield item


def format_of(output: Path) -> Write:
    """The format for the ending of a name.

    :raises click.BadParameter: if the ending names no format.
    """
    ending = output.suffix.lower()
    if ending not in FORMATS and not is_pipe_or_device(output):
        raise click.BadParameter(
            f"{one_line(output.name)} must end in one of {', '.join(FORMATS)}; without -o, or "
            "with -o -, the list goes to standard output",
            param_hint="-o",
        )
    return FORMATS.get(ending, json_lines)


def write_list(
    iris: IrisSession,
    request: Request,
    output: Path | None,
    write: Write,
    *,
    raw: bool,
    **walk: Any,
) -> None:
    """Read a list, and write all items.

    :param output: the file; None is standard output.
    :param write: the format of the file.
    :param raw: whether text is written as the server sent it.
    :param walk: arguments of ``IrisSession.items`` beside the request.
    """
    with _progress() as progress, _naming_options():
        items = Counted(
            iris.items(
                request.url,
                method=request.method,
                progress=progress,
                **request.arguments,
                **walk,
            )
        )
        if output is None:
            print_texts(numbered_texts(items, encoding_of(sys.stdout)), raw=raw)
        else:
            with replacing(output) as file:
                write(items, file, raw=raw)
    if output is not None and not is_pipe_or_device(output):
        tell_count(items.count, output)


def tell_count(count: int, output: Path) -> None:
    """Say on standard error how many items are in the file, so 0 items are seen, too."""
    complain(f"{count} {'item' if count == 1 else 'items'} in {one_line(output, None)}\n")


@contextmanager
def _progress() -> Iterator[Progress | Literal[False]]:
    """Yield a callable which shows the progress on a terminal, or False without a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    columns = TextColumn("Read"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # otherwise rich prints standard output on standard error
    with Bar(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _naming_options() -> Iterator[None]:
    """A NotAListError names the argument of items(); a user needs the name of the option."""
    try:
        yield
    except ListError as error:
        raise Failure(str(error).replace("items_path=", "--items-path")) from error
