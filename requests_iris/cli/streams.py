"""The standard streams of the process, in whatever state the shell has left them."""

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
    """Standard output of a process that was started without one, as by ``>&-``."""

    def write(self, text: str) -> int:  # noqa: ARG002
        raise OSError(errno.EBADF, "standard output is closed")


@contextmanager
def usable_streams() -> Iterator[None]:
    """Replace closed streams for the time of the block.

    Python sets a closed stream to None. Most programs then fail with an AttributeError, or lose
    their output without a word. Here, writing to a closed standard output is an OSError, and
    nobody reads what goes to a closed standard error.

    Only streams that are None are replaced, so a program that calls the command line in one of its
    threads keeps its own streams.
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
    """Open closed descriptors 0 to 2, so that no file or connection gets their numbers.

    Otherwise a library that writes to descriptor 2 would write into that file or connection.
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
    """Write a line to standard output at once; characters that it cannot encode are escaped.

    :raises ReaderGone: if the reader of the pipe has closed it.
    :raises CannotWrite: if the line cannot be written for another reason.
    """
    encoding = encoding_of(sys.stdout)
    line = text.encode(encoding, "backslashreplace").decode(encoding)
    with writing_stdout():
        print(line, flush=True)


@contextmanager
def writing_stdout() -> Iterator[None]:
    """The block does nothing but write to standard output.

    :raises ReaderGone: if the reader of the pipe has closed it.
    :raises CannotWrite: if the text cannot be written for another reason.
    """
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise CannotWrite(f"Standard output cannot be written: {error.strerror}.") from None


def complain(text: str) -> None:
    """Write to standard error, if anybody can read it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def flush_stdout() -> str | None:
    """Write what standard output still holds. Return the reason if that fails for no reader."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        abandon(sys.stdout)
    except (OSError, ValueError) as error:
        abandon(sys.stdout)
        return getattr(error, "strerror", None) or "it is closed"
    return None


def abandon(stream: TextIO) -> None:
    """Drop what `stream` holds, which Python would try to write once more when it ends.

    See the note on SIGPIPE in the manual of Python's module signal.
    """
    with suppress(OSError, ValueError, AttributeError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
