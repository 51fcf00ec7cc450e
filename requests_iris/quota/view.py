"""The view of a session on its quota: ``iris.quota``."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from .quota import Quota, QuotaEntry, QuotaState


class QuotaView:
    """The remaining slots of a session's user. A view sends nothing, and takes no slot.

    Threads may share a view, because a view keeps no state.
    """

    __slots__ = ("_clock", "_counted", "_owner", "_quota")

    def __init__(
        self, quota: Quota, owner: str, clock: Clock, counted: Callable[[str], str | None]
    ) -> None:
        self._quota = quota
        self._owner = owner
        self._clock = clock
        self._counted = counted

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._quota!r}>"

    def state(self, url: str, method: str = "GET") -> QuotaState | None:
        """The remaining slots for a request, by the rule with the longest wait.

        :param url: a URL with one slash at the start is joined to the session's ``base_url``.
        :param method: the HTTP method of the request.
        :return: None if no rule limits the request, or if the host is not an allowed host.
        """
        whole = self._counted(url)
        if whole is None:
            return None
        return self._quota.state(self._owner, whole, method, clock=self._clock)

    def entries(self) -> list[QuotaEntry]:
        """Every rate limit with a slot in use by the user."""
        return self._quota.entries(self._owner, clock=self._clock)
