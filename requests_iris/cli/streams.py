"""The standard streams of the process, open or closed, with or without a reader."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from .failures import CannotWrite, ReaderGone


class ClosedOutput(io.TextIOBase):
    """Standard output of a process which was started with ``>&-``."""

    def write(self, text: str) -> int:  # noqa: ARG002
        raise OSError(errno.EBADF, "standard output is closed")


@contextmanager
def usable_streams() -> Iterator[None]:
    """Replace closed streams for the time of the block.

    Python sets a closed stream to None. Most programs then fail with an AttributeError, or lose
    output silently. Inside the block, writing to a closed standard output raises an OSError, and
    writing to a closed standard error does nothing.

    Open streams are not replaced, so a program may run a command in a thread.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = before[0] or ClosedOutput()
        sys.stderr = before[1] or nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def occupy_descriptors() -> None:
    """Open closed descriptors from 0 to 2, so no file or connection gets the numbers 0 to 2.

    Otherwise a library could write error messages into a connection with the number 2.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest free number


def open_stdout() -> TextIO:
    """:raises CannotWrite: if standard output was closed when the process began."""
    if sys.stdout is None or isinstance(sys.stdout, ClosedOutput):
        raise CannotWrite("Standard output is closed. Write to a file with -o.")
    return sys.stdout


def encoding_of(stream: object) -> str:
    """The encoding of a stream. A StringIO has no encoding and holds every text."""
    return getattr(stream, "encoding", None) or "utf-8"


def say(text: str) -> None:
    """Write a line to standard output at once, with escapes for characters beyond the encoding.

    :raises ReaderGone: if the reader has closed the pipe.
    :raises CannotWrite: if the line cannot be written for any further reason.
    """
    encoding = encoding_of(sys.stdout)
    line = text.encode(encoding, "backslashreplace").decode(encoding)
    with writing_stdout():
        print(line, flush=True)


@contextmanager
def writing_stdout() -> Iterator[None]:
    """The block does nothing but write to standard output.

    :raises ReaderGone: if the reader has closed the pipe.
    :raises CannotWrite: if the text cannot be written for any further reason.
    """
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise CannotWrite(f"Standard output cannot be written: {error.strerror}.") from None


def complain(text: str) -> None:
    """Write to standard error, and ignore a closed or full standard error."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def flush_stdout() -> str | None:
    """Flush standard output. Return the reason of a failure; a closed pipe is not a failure."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        abandon(sys.stdout)
    except (OSError, ValueError) as error:
        abandon(sys.stdout)
        return getattr(error, "strerror", None) or "standard output is closed"
    return None


def abandon(stream: TextIO) -> None:
    """Drop the text in the buffer of `stream`. Python would write the text again at exit, and fail.

    See the note on SIGPIPE in the manual of Python's module signal.
    """
    with suppress(OSError, ValueError, AttributeError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
