"""The registry of objects to reset in a forked child, and of locks to hold during a fork.

If a thread of the parent holds a lock during the fork, the lock stays locked in the child for ever.
If parent and child share a connection, either process may read a response meant for the other.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object whose state belongs to a single process."""

    def reset_after_fork(self) -> None:
        """Called in the only thread of the child, before any other code."""


# By id, because a subclass may redefine equality. Threads need no lock: CPython changes the
# dictionary in a single step.
_registered: weakref.WeakValueDictionary[int, Forkable] = weakref.WeakValueDictionary()


def register(item: Forkable) -> None:
    """Resets `item` in each forked child. The registry does not keep `item` alive."""
    _registered[id(item)] = item


#: Seconds to wait for a lock before a fork. A thread may hang, and must not stop the fork.
HELD_WITHIN = 5.0
_locks: list[threading.Lock] = []
_held: list[threading.Lock] = []


def hold(lock: threading.Lock) -> None:
    """Holds `lock` during each fork, so that no other thread is inside.

    For a library in C with locks of its own, which a child cannot reset. Kept for ever.
    """
    _locks.append(lock)


def _hold_all() -> None:
    # If two threads fork at once, the second thread waits here for the locks.
    _held[:] = [lock for lock in _locks if lock.acquire(timeout=HELD_WITHIN)]


def _release_all() -> None:
    while _held:
        _held.pop().release()


def _reset_all() -> None:
    _release_all()
    for item in list(_registered.values()):
        item.reset_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_reset_all)
