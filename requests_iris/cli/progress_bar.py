"""The progress of a list on a terminal, and the words of the command line in a list's error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..errors import ListError
from ..pagination import Progress
from .failures import for_shell, kind_of


@contextmanager
def progress_bar(before: int = 0) -> Iterator[Progress | Literal[False]]:
    """Yield a callable which shows the progress on a terminal, or False without a terminal.

    :param before: the number of items that earlier runs have read.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    columns = TextColumn("Read"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # otherwise rich prints standard output on standard error
    with Bar(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None, completed=before)

        def show(done: int, total: int | None) -> None:
            known = None if total is None else before + total
            bar.update(task, completed=before + done, total=known)

        yield show


@contextmanager
def naming_options() -> Iterator[None]:
    """Errors of items() name arguments; a user needs the names of options and variables."""
    try:
        yield
    except ListError as error:
        raise kind_of(error)(for_shell(str(error))) from error
