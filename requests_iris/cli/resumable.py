"""A list for several runs: a run continues where the last run ended (``get --all --resume``).

1. The items go into a spool beside the target, page by page, each page with its resume point.
2. When the list is complete, the spool says so, and the target is written from the spool.
3. The spool is deleted. After a kill before step 3, the next run repeats step 2 without a request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import IrisSession
from ..errors import ListError, SettingError
from ..text import one_line
from .failures import LONGEST, CannotHold, Failure, WrongSetting, failure_of
from .json_text import numbered_texts
from .progress_bar import naming_options, progress_bar
from .request import Request
from .spool import Spool, opened, spool_of
from .streams import complain
from .writers import Write, check_target, replacing


def refuse_old_spool(output: Path) -> None:
    """:raises WrongSetting: if an earlier run left a spool, so a user could continue the run."""
    spool = spool_of(output)
    if os.path.lexists(spool):
        raise WrongSetting(
            f"{_name(spool)} has the items of an earlier run that broke off. Continue the run "
            "with --resume, or delete the file to start over."
        )


def write_resumable_list(
    iris: IrisSession, request: Request, output: Path, write: Write, *, raw: bool, **walk: Any
) -> int:
    """Continue or begin a list, and write all items when complete. Return the number of items.

    :param walk: arguments of ``IrisSession.items`` beside the request.
    """
    # the message shows the name from the command line, except for a link
    check_target(Path(os.path.realpath(output)) if output.is_symlink() else output)
    identity = request.identity(iris, walk.get("items_path"))
    with opened(spool_of(output), identity) as spool, _saying_how_to_continue(spool):
        if spool.count:
            complain(f"Continuing after {spool.count} items in {_name(spool.path)}, ")
            complain(f"begun {spool.begun}.\n")
        if not spool.is_complete:
            _read_to_the_end(iris, request, spool, **walk)
        with replacing(output) as file:
            write(spool, file, raw=raw)
        spool.remove()
        return spool.count


def _read_to_the_end(iris: IrisSession, request: Request, spool: Spool, **walk: Any) -> None:
    """Read on, or read from the beginning if the list has changed since the earlier run.

    A nightly job would otherwise fail each night until a user deletes the spool.
    """
    is_continued = spool.count > 0
    try:
        _read_on(iris, request, spool, **walk)
    except (Failure, SettingError) as error:
        if not (is_continued and _is_over(error)):
            raise
        told = one_line(error, LONGEST).rstrip(".")
        complain(f"{told}. Reading the list from the beginning.\n")
        spool.begin_again()
        _read_on(iris, request, spool, **walk)


def _read_on(iris: IrisSession, request: Request, spool: Spool, **walk: Any) -> None:
    """Read the rest of the list into the spool: a record for each page."""
    with (
        progress_bar(spool.count) as progress,
        naming_options(),
        iris.items(
            request.url,
            method=request.method,
            progress=progress,
            resume=spool.resume,
            **request.arguments,
            **walk,
        ) as items,
    ):
        page: list[bytes] = []
        pages_read = 0
        for text in numbered_texts(items, first=spool.count + 1):
            page.append(text.encode())
            # before the next request: a page may cost a quarter of an hour
            if items.pages_read != pages_read:
                pages_read = items.pages_read
                spool.append(page, items.resume)
                page = []
        spool.append(page, items.resume, is_complete=True)


@contextmanager
def _saying_how_to_continue(spool: Spool) -> Iterator[None]:
    """Whatever ends the run, the last line names the spool and the next step."""
    try:
        yield
    except Exception as error:
        if not (spool.count or spool.is_complete):
            raise
        raise failure_of(error).with_advice(_advice(spool, error)) from error
    except BaseException:  # Ctrl-C, SIGTERM, SIGHUP
        if spool.count or spool.is_complete:
            complain(f"{_advice(spool, None)}\n")
        raise


def _is_over(error: Exception | None) -> bool:
    """Whether the list has changed, so that no resume point of the list is of use."""
    cause = error.__cause__ if isinstance(error, Failure) else None
    if isinstance(cause, ListError):
        return cause.resume is None
    return isinstance(error, SettingError) and error.setting == "resume"


def _is_permanent(error: Exception | None) -> bool:
    """Whether the same command fails again, unless a person changes something."""
    cause = error.__cause__ if isinstance(error, Failure) else error
    return isinstance(cause, SettingError) or getattr(cause, "retryable", True) is False


def _advice(spool: Spool, error: Exception | None) -> str:
    name, count = _name(spool.path), spool.count
    if spool.is_deleted:
        return f"{name} was deleted during the run: the next run starts from the beginning."
    if _is_over(error):
        return "Run the same command again, to read the list from the beginning."
    if spool.is_complete and isinstance(error, CannotHold):
        other = _name(spool_of(spool.path.with_name(f"{_stem(spool)}.jsonl")))
        return (
            f"{name} has the whole list of {count} items. For another format, rename this file to "
            f"{other}, for example, and run the command with this name for -o, without .partial."
        )
    kept = "the whole list" if spool.is_complete else f"{count} items"
    run = "Correct the cause, then run" if _is_permanent(error) else "Run"
    return f"{name} has {kept}. {run} the same command again, with --resume, to continue."


def _stem(spool: Spool) -> str:
    """The name of the target without its ending: `fleet` for ``fleet.csv.partial``."""
    return Path(spool.path.stem).stem


def _name(path: Path) -> str:
    return one_line(path, None)
