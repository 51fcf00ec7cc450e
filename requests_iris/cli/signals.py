"""Signals that end a command from outside."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

#: A kill, and a terminal that is closed. Windows has no signal for the latter.
KILLS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def in_main_thread() -> bool:
    """Python delivers signals to the main thread only, and only that thread may set handlers."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def handling(numbers: Iterable[int], handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Call `handler` for these signals during the block, then restore the former handlers.

    A signal that is ignored stays ignored, as nohup wants. In another thread nothing changes.
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
            # None is a handler that was not set from Python, and cannot be set again
            signal.signal(number, signal.SIG_DFL if former is None else former)
