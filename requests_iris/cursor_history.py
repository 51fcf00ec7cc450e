"""The cursors of a list so far, in constant memory."""

from __future__ import annotations

from collections import deque

#: Number of cursors for the exact comparison.
EXACT = 1000


class CursorHistory:
    """Notices a circle of pages.

    The last 1,000 cursors are compared exactly, so a circle of up to 1,000 pages is noticed at the
    first repeated cursor. For longer circles one more cursor is kept, at page 1, 2, 4, 8 and so on
    (Brent's algorithm): a long circle is noticed after at most three rounds. Cursors are compared
    as text in a URL, never by hash.

    Not shared between threads: only the thread of the iteration adds cursors.
    """

    def __init__(self) -> None:
        self._recent: set[str] = set()
        self._order: deque[str] = deque()
        self._kept: str | None = None
        self._since_kept, self._power = 0, 1

    def has_seen(self, cursor: str | int) -> bool:
        """Whether `cursor` came before. Adds `cursor` to the history."""
        text = str(cursor)
        if text in self._recent or text == self._kept:
            return True
        self._remember(text)
        return False

    def _remember(self, text: str) -> None:
        self._recent.add(text)
        self._order.append(text)
        if len(self._order) > EXACT:
            self._recent.discard(self._order.popleft())
        self._since_kept += 1
        if self._since_kept == self._power:
            self._kept, self._since_kept, self._power = text, 0, 2 * self._power
