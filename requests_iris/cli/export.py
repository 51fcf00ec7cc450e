"""A whole list, on standard output or in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .. import IrisSession
from ..text import one_line
from .json_text import Item, json_lines, numbered_texts
from .output import print_texts
from .progress_bar import naming_options, progress_bar
from .request import Request
from .resumable import refuse_old_spool, write_resumable_list
from .streams import complain, encoding_of
from .writers import FORMATS, Write, is_pipe_or_device, replacing


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


def print_list(iris: IrisSession, request: Request, *, raw: bool, **walk: Any) -> None:
    """Read a list, and print all items as JSON Lines.

    :param raw: whether a terminal gets control characters without escapes.
    :param walk: arguments of ``IrisSession.items`` beside the request.
    """
    with _items_of(iris, request, walk) as items:
        print_texts(numbered_texts(items, encoding_of(sys.stdout)), raw=raw)


def write_list(
    iris: IrisSession,
    request: Request,
    output: Path,
    write: Write,
    *,
    raw: bool,
    resume: bool,
    **walk: Any,
) -> None:
    """Read a list, write all items to a file, and tell the number of items.

    :param write: the format of the file.
    :param raw: whether text is written as the server sent it.
    :param resume: whether to continue an earlier run, and to let a later run continue this run.
    :param walk: arguments of ``IrisSession.items`` beside the request.
    """
    if is_pipe_or_device(output):
        with _items_of(iris, request, walk) as items, replacing(output) as file:
            write(items, file, raw=raw)
        return
    if resume:
        count = write_resumable_list(iris, request, output, write, raw=raw, **walk)
    else:
        refuse_old_spool(output)
        with _items_of(iris, request, walk) as items, replacing(output) as file:
            counted = _Counted(items)
            write(counted, file, raw=raw)
        count = counted.count
    complain(f"{count} {'item' if count == 1 else 'items'} in {one_line(output, None)}\n")


class _Counted:
    """Items with their number so far."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.count += 1
            yield item


@contextmanager
def _items_of(
    iris: IrisSession, request: Request, walk: dict[str, Any]
) -> Iterator[Iterator[Item]]:
    with (
        progress_bar() as progress,
        naming_options(),
        iris.items(
            request.url, method=request.method, progress=progress, **request.arguments, **walk
        ) as items,
    ):
        yield items
