"""The progress of a list: a bar on the terminal, or a callable of the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from .errors import SettingError

#: Called with the number of items read so far, and the number of all items, or None.
Progress = Callable[[int, "int | None"], object]


def progress_of(setting: bool | Progress | None) -> AbstractContextManager[Progress | None]:
    """The callable for each page: for True a bar, for False nothing.

    :raises SettingError: for anything else, and if tqdm is not installed.
    """
    if setting is True:
        return _bar(_tqdm())
    if setting is False or setting is None:
        return nullcontext()
    if callable(setting):
        return nullcontext(setting)
    raise SettingError(
        f"progress must be True, False or a callable, not {setting!r}", setting="progress"
    )


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        raise SettingError(
            'progress=True needs tqdm: pip install "requests-iris[progress]"', setting="progress"
        ) from None
    return tqdm


@contextmanager
def _bar(tqdm: Any) -> Iterator[Progress | None]:
    """A bar on standard error, if standard error is a terminal. No fault of the bar ends a list."""
    bar = _drawn(tqdm) if _is_terminal(sys.stderr) else None
    if bar is None:
        yield None
        return

    def show(done: int, total: int | None) -> None:
        with suppress(OSError, ValueError):  # the terminal may be gone, the stream closed
            bar.total = total
            bar.update(done - bar.n)

    try:
        yield show
    finally:
        with suppress(OSError, ValueError):
            bar.close()


def _drawn(tqdm: Any) -> Any:
    """A new bar, or None if the terminal is gone."""
    bar = tqdm.__new__(tqdm)
    try:
        tqdm.__init__(bar, unit=" items")
    except (OSError, ValueError):
        # tqdm before 4.70 reports a second error when Python deletes a bar without this line
        bar.disable = True
        return None
    return bar


def _is_terminal(stream: Any) -> bool:
    """Whether a bar can be drawn on `stream`. A Windows service has no standard error."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False
