"""Signals from outside, which end a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

#: A kill, and a closed terminal. Windows has no signal for a closed terminal.
KILLS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def in_main_thread() -> bool:
    """Only the main thread receives signals and may set handlers (Python's module signal)."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def handling(numbers: Iterable[int], handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Call `handler` for the signals during the block, then restore the former handlers.

    An ignored signal stays ignored, because nohup ignores SIGHUP for a command. Outside the main
    thread nothing changes.
    """
    before = {}
    if in_main_thread():
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            # None stands for a handler from outside Python, which Python cannot set again
            signal.signal(number, signal.SIG_DFL if former is None else former)
