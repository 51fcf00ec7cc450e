"""Objects that a forked child must reset: locks, connections, other state of the parent process.

A lock that another thread holds at the moment of the fork stays locked in the child for ever, and
a connection that parent and child share delivers each response to either of them.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object with state that belongs to one process."""

    def reset_after_fork(self) -> None:
        """Called in the child, in its only thread, before any other code runs."""


# By id, because a subclass may define an equality of its own. CPython makes each change of this
# dictionary in one step, so threads need no lock.
_registered: weakref.WeakValueDictionary[int, Forkable] = weakref.WeakValueDictionary()


def register(item: Forkable) -> None:
    """Resets `item` in each forked child, for as long as somebody else keeps `item` alive."""
    _registered[id(item)] = item


def _reset_all() -> None:
    for item in list(_registered.values()):
        item.reset_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_reset_all)
