"""Texts on standard output, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from .json_text import for_terminal
from .streams import open_stdout, writing_stdout


def print_texts(texts: Iterable[str], *, raw: bool) -> None:
    """Print JSON to a terminal, a file or a pipe.

    :param raw: whether a terminal gets control characters without escapes.
    """
    stdout = open_stdout()
    shown = stdout.isatty() and not raw
    for text in texts:
        line = for_terminal(text) if shown else text
        with writing_stdout():
            stdout.write(line + "\n")
    with writing_stdout():
        stdout.flush()
