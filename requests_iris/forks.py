"""The registry of objects to reset in a forked child: locks, connections, other state.

If a thread of the parent holds a lock during the fork, the lock stays locked in the child for ever.
If parent and child share a connection, either process may read a response meant for the other.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object whose state belongs to a single process."""

    def reset_after_fork(self) -> None:
        """Called in the only thread of the child, before any other code."""


# By id, because a subclass may define its own equality. Threads need no lock: CPython changes the
# dictionary in a single step.
_registered: weakref.WeakValueDictionary[int, Forkable] = weakref.WeakValueDictionary()


def register(item: Forkable) -> None:
    """Resets `item` in each forked child. The registry does not keep `item` alive."""
    _registered[id(item)] = item


def _reset_all() -> None:
    for item in list(_registered.values()):
        item.reset_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_reset_all)
