"""Which cursors a list has sent, in constant memory."""

from __future__ import annotations

from collections import deque

#: Cursors that are remembered exactly.
EXACT = 1000


class CursorHistory:
    """Notices that a list goes in a circle.

    The last 1,000 cursors are compared exactly: a circle of up to 1,000 pages is noticed at the
    first cursor that comes again. For a longer circle one more cursor is kept, the one that came
    when the count of pages last was a power of two (Brent's algorithm): the circle is noticed after
    at most three rounds. Cursors are compared as the text that travels in a URL, never by hash.

    Only the thread that iterates over the list uses it.
    """

    def __init__(self) -> None:
        self._recent: set[str] = set()
        self._order: deque[str] = deque()
        self._kept: str | None = None
        self._since_kept, self._power = 0, 1

    def has_seen(self, cursor: str | int) -> bool:
        """Whether `cursor` came before. It counts as seen from now on."""
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
