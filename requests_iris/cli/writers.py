"""The formats of a list: JSON Lines, JSON, CSV, Parquet. Each is written item by item.

CSV and Parquet files begin with all columns, and all columns are known only after the last item.
Therefore the items go through a temporary file, and memory stays flat.
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
from typing import IO, Protocol

from .cells import cells_of, quoted, row_of
from .failures import CannotHold, CannotWrite
from .json_text import Item, json_array, json_lines, json_text

__all__ = ["FORMATS", "CannotWrite", "Write", "is_pipe_or_device", "json_lines", "json_text"]
__all__ += ["replacing"]

#: Rows in memory at the same time.
BATCH = 10_000


class Write(Protocol):
    """Writes items to a file; `raw` leaves out the protection of terminals and spreadsheets."""

    def __call__(
        self, items: Iterable[Item], file: IO[bytes], *, raw: bool = False
    ) -> None: ...  # pragma: no cover


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Yield a new file, which replaces `target` if the block succeeds and is deleted if not.

    As with open(), a link is followed, an existing file keeps the mode, and a read-only file is
    refused. A pipe or a device is not replaced but written to.

    :raises CannotWrite: if the directory is missing, or the file is read-only.
    """
    with target.open("wb") if is_pipe_or_device(target) else _new_file_for(target) as file:
        yield file


def is_pipe_or_device(target: Path) -> bool:
    """Whether `target` must not be replaced: the machine needs /dev/null."""
    return target.exists() and not target.is_file()


@contextmanager
def _new_file_for(target: Path) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(target))  # for regular files only: /dev/stdout leads to no path
    descriptor, name = _file_beside(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode_of(target))
        os.replace(name, target)
        sync_directory(target.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def sync_directory(directory: Path) -> None:
    """Put the names of the files in a directory on the disk. Windows and some disks cannot."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_target(target: Path) -> None:
    """Ask the system whether `target` may be written, and change nothing.

    :raises CannotWrite: if the directory is missing, or the file is read-only.
    """
    if not target.parent.is_dir():
        raise CannotWrite(f"there is no directory {target.parent}")
    try:
        with suppress(FileNotFoundError):
            os.close(os.open(target, os.O_WRONLY))
    except OSError as error:
        raise CannotWrite(f"{target} cannot be written: {error.strerror}") from error


def _file_beside(target: Path) -> tuple[int, str]:
    check_target(target)
    try:
        # only the beginning of a long name, because mkstemp() adds characters to the name
        return tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    except OSError as error:  # not the text of the error, which names the file beside the target
        raise CannotWrite(f"{target} cannot be written: {error.strerror}") from error


def comma_separated(items: Iterable[Item], file: IO[bytes], *, raw: bool = False) -> None:
    """Write a column for each member. An object has dotted names, and a list is JSON.

    :param raw: whether formulas get no quote.
    """
    columns: dict[str, None] = {}  # an ordered set
    safe = str if raw else quoted

    def note(item: Item) -> None:
        columns.update(dict.fromkeys(cells_of(item)))

    with _spooled(items, note) as read:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        rows = csv.writer(text)
        if columns:
            rows.writerow(map(safe, columns))
        for cells in map(cells_of, read()):
            rows.writerow([safe(cells.get(name, "")) for name in columns])
        text.detach()  # the caller closes `file`


def parquet(items: Iterable[Item], file: IO[bytes], *, raw: bool = False) -> None:  # noqa: ARG001
    """Write a column for each member of an item. Values without a common type become JSON text."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise CannotWrite('Parquet needs pyarrow: pip install "requests-iris[parquet]"') from None
    from .columns import Columns

    with _spooled(items) as read:
        columns = Columns()
        try:
            for rows in _batches(map(row_of, read())):
                columns.learn(rows)
            with pyarrow.parquet.ParquetWriter(file, columns.schema) as writer:
                for rows in _batches(map(row_of, read())):
                    writer.write_table(columns.table(rows))
        # for example 2**60 in a column with 0.5; or half of a surrogate pair
        except (pyarrow.ArrowException, UnicodeEncodeError) as error:
            raise CannotHold(f"Parquet cannot hold this list, .jsonl can: {error}") from error


#: By the ending of a file's name.
FORMATS: dict[str, Write] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_array,
    ".csv": comma_separated,
    ".parquet": parquet,
}


@contextmanager
def _spooled(
    items: Iterable[Item], note: Callable[[Item], object] = bool
) -> Iterator[Callable[[], Iterator[Item]]]:
    """Yield a function which reads all items, after a temporary file has all items.

    :param items: an object with a true `can_be_read_again` needs no temporary file.
    :param note: called once for each item.
    """
    if getattr(items, "can_be_read_again", False):
        for item in items:
            note(item)
        yield lambda: iter(items)
        return

    def noted() -> Iterator[Item]:
        for item in items:
            yield item
            note(item)  # after json_lines() has written the item, or has refused the item

    with tempfile.TemporaryFile() as spool:
        json_lines(noted(), spool)

        def read() -> Iterator[Item]:
            spool.seek(0)
            return map(json.loads, spool)

        yield read


def _batches(rows: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _mode_of(target: Path) -> int:
    """The mode of an existing file, else the mode of a file from open()."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0o077)  # a process can read the umask only by setting the umask
    os.umask(umask)
    return umask
