"""The formats that a list is written in: JSON Lines, CSV, Parquet; element by element.

CSV and Parquet need to know all columns first, which nobody knows before the last element has
come. So for these two the elements go through a temporary file, and memory stays flat.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

#: One element of a list; nearly always a JSON object.
Element = Any
Write = Callable[[Iterable[Element], IO[bytes]], None]

#: Rows that are held in memory at once.
BATCH = 10_000


class CannotWrite(Exception):
    """What was read cannot be written where, or in the format, that was asked for."""


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` when the block ends well, and is gone if not.

    As with open(), a link is followed, a file that was there keeps its mode, and one that may not
    be written to is refused. A pipe or a device is written to.
    """
    with target.open("wb") if is_pipe_or_device(target) else _new_file_for(target) as file:
        yield file


def is_pipe_or_device(target: Path) -> bool:
    """What is not to be replaced: the machine would miss its /dev/null."""
    return target.exists() and not target.is_file()


@contextmanager
def _new_file_for(target: Path) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(target))  # not before: /dev/stdout leads to no path
    descriptor, name = _file_beside(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode_of(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _file_beside(target: Path) -> tuple[int, str]:
    if not target.parent.is_dir():
        raise CannotWrite(f"there is no directory {target.parent}")
    try:
        with suppress(FileNotFoundError):
            os.close(os.open(target, os.O_WRONLY))  # asks the system, and changes nothing
        # of a long name the beginning, to leave room for what comes after it
        return tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    except OSError as error:  # without its own text, which names a file that nobody has asked for
        raise CannotWrite(f"{target} cannot be written: {error.strerror}") from error


def json_text(element: Element, encoding: str = "utf-8", **layout: Any) -> str:
    """JSON; in ASCII if `encoding` cannot hold it, such as half of a surrogate pair."""
    text = json.dumps(element, ensure_ascii=False, **layout)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(element, **layout)
    return text


def json_lines(elements: Iterable[Element], file: IO[bytes]) -> None:
    for element in elements:
        file.write(json_text(element).encode() + b"\n")


def comma_separated(elements: Iterable[Element], file: IO[bytes]) -> None:
    """A column for each member; what is nested has a dotted name, and a list is JSON."""
    columns: dict[str, None] = {}  # an ordered set

    def noted() -> Iterator[Element]:
        for element in elements:
            columns.update(dict.fromkeys(_flat(element)))
            yield element

    with _spooled(noted()) as again:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        rows = csv.DictWriter(text, list(columns))
        if columns:
            rows.writeheader()
        rows.writerows(map(_flat, again()))
        text.detach()  # `file` is the caller's to close


def parquet(elements: Iterable[Element], file: IO[bytes]) -> None:
    """A column for each member of an element; one whose values have no common type is JSON."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise CannotWrite('Parquet needs pyarrow: pip install "requests-iris[parquet]"') from None
    from .columns import Columns

    with _spooled(map(_as_row, elements)) as again:
        columns = Columns()
        try:
            for rows in _batches(again()):
                columns.learn(rows)
            with pyarrow.parquet.ParquetWriter(file, columns.schema) as writer:
                for rows in _batches(again()):
                    writer.write_table(columns.table(rows))
        # such as 2**60 in a column that has 0.5, too; or half of a surrogate pair
        except (pyarrow.ArrowException, UnicodeEncodeError) as error:
            raise CannotWrite(f"Parquet cannot hold this list, .jsonl can: {error}") from error


#: By the ending of a file's name.
FORMATS: dict[str, Write] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": comma_separated,
    ".parquet": parquet,
}


@contextmanager
def _spooled(elements: Iterable[Element]) -> Iterator[Callable[[], Iterator[Element]]]:
    """Puts elements into a temporary file; what it yields reads them again, from the first."""
    with tempfile.TemporaryFile() as spool:
        json_lines(elements, spool)

        def again() -> Iterator[Element]:
            spool.seek(0)
            return map(json.loads, spool)

        yield again


def _batches(rows: Iterator[Element]) -> Iterator[list[Element]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _flat(element: Element) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, cell in _cells(_as_row(element)):
        if name in row:
            raise CannotWrite(
                f"CSV cannot hold this list, .jsonl can: an element has two values for {name!r}"
            )
        row[name] = cell
    return row


def _cells(members: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        if isinstance(value, dict) and value:
            yield from _cells(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_row(element: Element) -> dict[str, Any]:
    """An element that is no object, such as a bare id, is a row of one column."""
    return element if isinstance(element, dict) else {"value": element}


def _mode_of(target: Path) -> int:
    """That of a file that is there; else as open() would make it."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0o077)  # there is no way to read it without setting it
    os.umask(umask)
    return umask
