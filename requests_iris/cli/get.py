"""`requests-iris get`: one response as JSON, or a whole list into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from requests import Response
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .. import IrisSession, problem_of
from ..errors import ListError, SettingError
from ..hosts import check_url
from ..pagination import Progress
from ..text import one_line
from .entry import Command
from .failures import CannotWrite, Failure
from .json_text import for_terminal, json_text, numbered_texts
from .signals import KILLS, handling
from .streams import encoding_of, open_stdout, writing_stdout
from .writers import FORMATS, Write, is_pipe_or_device, json_lines, replacing

#: Without this header the servers send AEMP lists as XML.
ASK_FOR_JSON = {"Accept": "application/json"}


def _in_utf8(_: click.Context, param: click.Parameter, value: Any) -> Any:
    """Read an argument as UTF-8, whatever the locale is. Only names of files may have any bytes."""
    if isinstance(value, tuple):
        return tuple(_in_utf8(_, param, each) for each in value)
    try:
        return value and os.fsencode(value).decode()
    except UnicodeError:
        raise click.BadParameter(f"{one_line(value)} is not UTF-8", param=param) from None


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  requests-iris get /api/asset/v1/assets -p size=5
  requests-iris get /api/asset/v1/assets --all --max-workers 8 -o fleet.parquet
  requests-iris get /public/api/operator/operators --all | head

Exit status: 0 if all was written, or the reader of the output has closed the
pipe; 1 if something failed; 2 if an argument or a setting is wrong or missing;
130 after Ctrl-C.""",
)
@click.argument("url", metavar="PATH_OR_URL", callback=_in_utf8)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    callback=_in_utf8,
    metavar="NAME=VALUE",
    help="A parameter of the query. You can repeat this option.",
)
@click.option("--all", "whole", is_flag=True, help="Read the whole list, item by item.")
@click.option(
    "--max-workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --all: number of pages to read at the same time.",
)
@click.option(
    "--items-path",
    "items_path",
    callback=_in_utf8,
    metavar="NAMES",
    help="With --all: the member with the list, for example data.machines, if the "
    "response has an unusual form.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file; - is standard output. With --all the ending of the name selects the "
    "format: .jsonl or .ndjson, .csv, .parquet.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Write text as the server sent it: no quote before formulas in CSV, no escapes on a "
    "terminal.",
)
@click.pass_obj
def get(
    prefix: str,
    url: str,
    params: tuple[str, ...],
    whole: bool,
    max_workers: int,
    items_path: str | None,
    output: Path | None,
    raw: bool,
) -> None:
    """Read from IRIS: one response as JSON, or with --all a whole list.

    A path with one slash at the beginning belongs to TRACKUNIT_BASE_URL. A list goes to standard
    output as JSON Lines, or to a file. The file appears when the list is complete. If a list fails
    later, a pipe may have received a part of the list. Progress is shown on standard error.

    CSV: each member is a column, and the members of an object have names with dots. A spreadsheet
    runs a cell as a formula if the cell begins with =, +, -, @, a tab or a line break. These cells
    and column names get a single quote at the beginning, unless they are numbers. --raw writes no
    quotes.

    A terminal gets control characters and invisible characters as JSON escapes (\\u001b). Files
    and pipes get all text unchanged.

    A response with NaN, or with a number beyond the range of a double (1e999), is refused in every
    format, because the value is lost. The error names the item and the member.
    """
    _check_url(url)
    query = [_name_and_value(param) for param in params]
    if output == Path("-"):
        output = None
    if not whole:
        _check_options_of_one_response(max_workers, items_path, output)
    if output is None:
        open_stdout()
    with (
        handling(KILLS, lambda number, _: sys.exit(128 + number)),
        IrisSession.from_env(prefix) as iris,
    ):
        if whole:
            walk = {"max_workers": max_workers, "items_path": items_path}
            _get_list(iris, url, output, raw, params=query, **walk)
        else:
            _get_response(iris, url, output, raw, params=query)


def _check_url(url: str) -> None:
    """Refuse a URL with plain HTTP or without a host, for example a path without a slash."""
    if url.startswith("/") and not url.startswith("//"):
        return
    try:
        check_url(url, setting="a URL")
    except SettingError as error:
        raise click.BadParameter(f"{error}; a path must begin with one slash") from None


def _check_options_of_one_response(
    max_workers: int, items_path: str | None, output: Path | None
) -> None:
    """Refuse options for lists: without --all a .csv file would be one page, and not CSV."""
    if max_workers > 1 or items_path is not None:
        raise click.UsageError("--max-workers and --items-path need --all")
    if output is not None and output.suffix.lower() in FORMATS:
        raise click.UsageError(
            f"a {output.suffix} file needs --all; one response is written as JSON"
        )


def _get_response(
    iris: IrisSession, url: str, output: Path | None, raw: bool, **arguments: Any
) -> None:
    response = iris.get(url, headers=ASK_FOR_JSON, **arguments)
    if not response.ok:
        told = f"{response.status_code} {one_line(problem_of(response) or response.reason)}"
        raise Failure(f"{one_line(response.url.partition('?')[0])} answered {told}")
    if output is None:
        _print([_json_of(response, encoding_of(sys.stdout))], raw)
    else:
        text = _json_of(response)
        with replacing(output) as file:
            shown = for_terminal(text) if file.isatty() and not raw else text
            file.write(shown.encode() + b"\n")


def _json_of(response: Response, encoding: str = "utf-8") -> str:
    try:
        members = response.json()
    except (ValueError, RecursionError):
        kind = one_line(response.headers.get("Content-Type", "no type"))
        raise Failure(f"the response is not JSON, but {kind}") from None
    try:
        return json_text(members, encoding, indent=2)
    except CannotWrite as error:
        raise CannotWrite(f"The response {error}.") from None


def _get_list(
    iris: IrisSession, url: str, output: Path | None, raw: bool, **arguments: Any
) -> None:
    # before the first request: a wrong name of a file must not cost a whole list
    write = json_lines if output is None else _format_of(output)
    with _progress() as progress, _naming_options():
        items = iris.items(url, progress=progress, **arguments)
        if output is None:
            _print(numbered_texts(items, encoding_of(sys.stdout)), raw)
        else:
            with replacing(output) as file:
                write(items, file, raw=raw)


def _format_of(output: Path) -> Write:
    ending = output.suffix.lower()
    if ending not in FORMATS and not is_pipe_or_device(output):
        raise click.BadParameter(
            f"{one_line(output.name)} must end in one of {', '.join(FORMATS)}; without -o, or "
            "with -o -, the list goes to standard output",
            param_hint="-o",
        )
    return FORMATS.get(ending, json_lines)


def _print(texts: Iterable[str], raw: bool) -> None:
    """Print JSON to a terminal, a file or a pipe."""
    stdout = open_stdout()
    shown = stdout.isatty() and not raw
    for text in texts:
        line = for_terminal(text) if shown else text
        with writing_stdout():
            stdout.write(line + "\n")
    with writing_stdout():
        stdout.flush()


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


def _name_and_value(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{param!r} is not NAME=VALUE", param_hint="-p")
    return name, value
