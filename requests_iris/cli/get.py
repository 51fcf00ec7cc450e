"""`requests-iris get`: one reply as JSON, or a whole list into a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .. import IrisSession, problem_of
from ..errors import SettingError
from ..hosts import check_url
from ..pagination import Progress
from .writers import (
    FORMATS,
    CannotWrite,
    Write,
    is_pipe_or_device,
    json_lines,
    json_text,
    replacing,
)

#: What an AEMP list must be asked for, which answers with XML otherwise.
ASK_FOR_JSON = {"Accept": "application/json"}
#: What ends a run from outside: a kill, and a terminal that is closed, which Windows does not tell.
KILLS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@click.command(
    epilog="""\b
Examples:
  requests-iris get /api/asset/v1/assets -p size=5
  requests-iris get /api/asset/v1/assets --all --max-workers 8 -o fleet.parquet
  requests-iris get /public/api/operator/operators --all | head"""
)
@click.argument("url", metavar="PATH_OR_URL")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="For the query; repeatable.",
)
@click.option("--all", "whole", is_flag=True, help="The whole list, element by element.")
@click.option(
    "--max-workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Pages to read at once, with --all.",
)
@click.option(
    "--items-path",
    "items_path",
    help="Where the list is in an odd reply, with --all; names with dots.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write to, or - for standard output; with --all its ending says the format: "
    ".jsonl or .ndjson, .csv, .parquet.",
)
def get(
    url: str,
    params: tuple[str, ...],
    whole: bool,
    max_workers: int,
    items_path: str | None,
    output: Path | None,
) -> None:
    """Read from IRIS: one reply as JSON, or with --all a whole list.

    A path that begins with one slash belongs to TRACKUNIT_BASE_URL. A list goes to standard output
    as JSON Lines, or to a file. A file is there when the list is whole, and not before; a pipe may
    have got a part of a list when it breaks off. Progress is shown on standard error.
    """
    _check_url(url)
    query = [_name_and_value(param) for param in params]
    if output == Path("-"):
        output = None
    if not whole:
        _check_options_of_one_reply(max_workers, items_path, output)
    with _a_kill_ends_as_ctrl_c_does(), _told_in_one_line(), IrisSession() as iris:
        if whole:
            _get_list(
                iris, url, output, params=query, max_workers=max_workers, items_path=items_path
            )
        else:
            _get_reply(iris, url, output, params=query)


def _check_url(url: str) -> None:
    """Refuses what would travel in clear, or nowhere, such as a path without its slash."""
    if url.startswith("/") and not url.startswith("//"):
        return
    try:
        check_url(url, setting="a URL")
    except SettingError as error:
        raise click.BadParameter(f"{error}; a path must begin with one slash") from None


def _check_options_of_one_reply(
    max_workers: int, items_path: str | None, output: Path | None
) -> None:
    """Refuses what is for lists: without --all a .csv would be one page, and no CSV."""
    if max_workers > 1 or items_path is not None:
        raise click.UsageError("--max-workers and --items-path need --all")
    if output is not None and output.suffix.lower() in FORMATS:
        raise click.UsageError(f"a {output.suffix} file needs --all; one reply is written as JSON")


def _get_reply(iris: IrisSession, url: str, output: Path | None, **arguments: Any) -> None:
    response = iris.get(url, headers=ASK_FOR_JSON, **arguments)
    problem = problem_of(response)
    if not response.ok:
        told = f"{response.status_code} {problem or response.reason}"
        raise click.ClickException(f"{response.url.partition('?')[0]} answered {told}")
    try:
        members = response.json()
    except (ValueError, RecursionError):
        kind = response.headers.get("Content-Type", "no type")
        raise click.ClickException(f"the reply is no JSON, but {kind}") from None
    if output is None:
        _print([members], indent=2)
    else:
        with replacing(output) as file:
            file.write(json_text(members, indent=2).encode() + b"\n")


def _get_list(iris: IrisSession, url: str, output: Path | None, **arguments: Any) -> None:
    # before the first request: a list that was read must not be lost to a name
    write = json_lines if output is None else _format_of(output)
    with _progress() as progress:
        elements = iris.items(url, progress=progress, **arguments)
        if output is None:
            _print(elements)
        else:
            with replacing(output) as file:
                write(elements, file)


def _format_of(output: Path) -> Write:
    ending = output.suffix.lower()
    if ending not in FORMATS and not is_pipe_or_device(output):
        raise click.BadParameter(
            f"{output.name!r} must end in one of {', '.join(FORMATS)}; without -o, or with -o -, "
            "the list goes to standard output",
            param_hint="-o",
        )
    return FORMATS.get(ending, json_lines)


def _print(elements: Iterable[Any], **layout: Any) -> None:
    """Prints to a pipe that may close, as `head` does when it has seen enough."""
    encoding = sys.stdout.encoding or "utf-8"  # a StringIO has none
    try:
        for element in elements:
            sys.stdout.write(json_text(element, encoding, **layout) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # what is still buffered must not fail at exit (see the note on SIGPIPE in Python's manual)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _progress() -> Iterator[Progress | Literal[False]]:
    """What is told of each page, if there is a terminal to show it on; else False."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    columns = TextColumn("Read"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # rich would print what goes to standard output above its bar, on standard error
    with Bar(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _a_kill_ends_as_ctrl_c_does() -> Iterator[None]:
    """It leaves no half file behind."""
    before = {
        number: signal.signal(number, lambda number, _: sys.exit(128 + number))
        for number in KILLS
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup asks for
    }
    try:
        yield
    finally:  # for who calls this inside of a program of his own, which may fork
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    # a RequestException is an OSError; the last one: a token store may need an extra
    except (CannotWrite, OSError, ModuleNotFoundError) as error:
        # a NotAListError speaks of the argument of items()
        raise click.ClickException(
            str(error).replace("with items_path=", "with --items-path")
        ) from error


def _name_and_value(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{param!r} is not NAME=VALUE", param_hint="-p")
    return name, value
