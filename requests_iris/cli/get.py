"""`requests-iris get`: one response as JSON, or a whole list into a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from .. import IrisSession
from ..text import one_line
from .entry import Command
from .export import format_of, print_list, write_list
from .json_text import json_array, json_lines
from .request import request_of
from .response import write_response
from .signals import KILLS, handling
from .streams import open_stdout
from .writers import FORMATS, is_pipe_or_device


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
  requests-iris get /public/api/eventlog/v3/asset-event/log --all \\
      --json @filter.json -o events.csv
  requests-iris get /public/api/operator/operators --all -o people.csv --resume
  requests-iris get --all --graphql query.graphql -p first=50 -o assets.json

Exit status: 0 if all was written, or the reader of the output has closed the
pipe; 1 if something failed; 2 if an argument or a setting is wrong or missing,
or FILE.partial of another run is there; 130 after Ctrl-C.""",
)
@click.argument("url", metavar="[PATH_OR_URL]", required=False, callback=_in_utf8)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    callback=_in_utf8,
    metavar="NAME=VALUE",
    help="A parameter of the query, or with --graphql a variable. You can repeat this option.",
)
@click.option(
    "--method",
    type=click.Choice(["GET", "POST"], case_sensitive=False),
    metavar="GET|POST",
    help="GET is the default. With --json the default is POST.",
)
@click.option(
    "--json",
    "body",
    metavar="JSON",
    help="The body of a POST: JSON text, @FILE, or @- for standard input.",
)
@click.option(
    "--graphql",
    "query",
    metavar="FILE",
    help="Send the GraphQL query in this file; - is standard input. PATH_OR_URL is then "
    "/api/graphql/ by default.",
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
    "format: .jsonl or .ndjson, .json, .csv, .parquet.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="With --all and -o: if a run breaks off, the same command with --resume continues the "
    "list.",
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
    url: str | None,
    params: tuple[str, ...],
    method: str | None,
    body: str | None,
    query: str | None,
    whole: bool,
    max_workers: int,
    items_path: str | None,
    output: Path | None,
    resume: bool,
    raw: bool,
) -> None:
    """Read from IRIS: one response as JSON, or with --all a whole list.

    A path with one slash at the beginning belongs to TRACKUNIT_BASE_URL. A list goes to standard
    output as JSON Lines, or to a file. The file appears when the list is complete; a line on
    standard error then has the number of items. If a list fails later, a pipe may have received a
    part of the list. Progress is shown on standard error.

    GraphQL: each -p is a variable that the query declares. A number, true, false or null belongs
    to the types Int, Float and Boolean, a JSON object to an input type, and all else is text.
    Errors in the response are an error also if the response has a part of the data.

    --resume keeps the items in FILE.partial, page by page, until the list is complete. The same
    command then continues a run that broke off by any cause, for example Ctrl-C, a kill, a full
    disk or a loss of power. Every item is written once. Use --resume from the first run on. If the
    list has changed since the earlier run, the command reads the list from the beginning.

    CSV: each member is a column, and the members of an object have names with dots. A spreadsheet
    runs a cell as a formula if the cell begins with =, +, -, @, a tab or a line break. These cells
    and column names get a single quote at the beginning, unless they are numbers. --raw writes no
    quotes.

    A terminal gets control characters and invisible characters as JSON escapes (\\u001b). Files
    and pipes get all text unchanged.

    A response with NaN, or with a number beyond the range of a double (1e999), is refused in every
    format, because the value is lost. The error names the item and the member.
    """
    request = request_of(url, method, params, body, query)
    if output == Path("-"):
        output = None
    if resume and (not whole or output is None or is_pipe_or_device(output)):
        raise click.UsageError("--resume needs --all, and -o with the name of a file")
    if not whole:
        _check_options_of_one_response(max_workers, items_path, output)
    # before the first request: a wrong name of a file must not cost a whole list
    write = format_of(output) if whole and output is not None else json_lines
    if output is None:
        open_stdout()
    with (
        handling(KILLS, lambda number, _: sys.exit(128 + number)),
        IrisSession.from_env(prefix) as iris,
    ):
        if whole:
            walk = {"max_workers": max_workers, "items_path": items_path}
            if output is None:
                print_list(iris, request, raw=raw, **walk)
            else:
                write_list(iris, request, output, write, raw=raw, resume=resume, **walk)
        else:
            write_response(iris, request, output, raw=raw)


def _check_options_of_one_response(
    max_workers: int, items_path: str | None, output: Path | None
) -> None:
    """Refuse options for lists: without --all a .csv file would be one page, and not CSV."""
    if max_workers > 1 or items_path is not None:
        raise click.UsageError("--max-workers and --items-path need --all")
    if output is not None and FORMATS.get(output.suffix.lower(), json_array) is not json_array:
        raise click.UsageError(
            f"a {output.suffix} file needs --all; one response is written as JSON"
        )
