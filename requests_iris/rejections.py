"""Remembers final 401s: an API rejected even a brand-new token.

If an API does not accept a user or a kind of token, the API answers 401 and not 403. Without a
memory, each request to such an API would cost a token request and a resend.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from urllib.parse import urlsplit

from .clock import Clock
from .secret import Bearer

log = logging.getLogger("requests_iris")

#: Seconds for which the 401s of a kind of path are final.
FINAL_FOR = 60.0
#: Renewals in vain within FINAL_FOR seconds, over all paths. After so many, every 401 is final.
RENEWALS_IN_VAIN = 10
#: Largest number of remembered kinds of path.
KINDS = 256

_VERSION = re.compile(r"v[0-9]+", re.IGNORECASE)


class Rejections:
    """The kinds of path with final 401s.

    Threads may share a Rejections object: a lock covers each change.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By kind of path: the end of the time with final 401s, on the monotonic clock.
        self._final_until: dict[str, float] = {}
        self._in_vain: deque[tuple[float, Bearer]] = deque(maxlen=RENEWALS_IN_VAIN)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._final_until)

    def are_final(self, url: str) -> bool:
        """Whether a 401 from `url` is final: returned to the caller without a renewal."""
        now = self._clock.monotonic()
        with self._lock:
            if now < self._final_until.get(kind_of(url), now):
                return True
            return len(self._in_vain) == RENEWALS_IN_VAIN and now < self._in_vain[0][0] + FINAL_FOR

    def add(self, url: str, bearer: Bearer, grant: str) -> None:
        """Records that `url` rejected the brand-new `bearer`."""
        kind, now = kind_of(url), self._clock.monotonic()
        with self._lock:
            if all(bearer != known for _, known in self._in_vain):  # many threads share a renewal
                self._in_vain.append((now, bearer))
            is_news = self._final_until.pop(kind, -1.0) <= now
            self._final_until[kind] = now + FINAL_FOR
            while len(self._final_until) > KINDS:
                del self._final_until[next(iter(self._final_until))]
        if is_news:
            log.warning(
                "%s rejects even a new token of the %s grant. For %.0f s, 401s from there are "
                "returned without a renewal. Check the rights of this user or API key.",
                *(kind, grant, FINAL_FOR),
            )

    def forget(self, url: str) -> None:
        """Records that `url` has accepted a token. The next 401 leads to a renewal again."""
        with self._lock:
            self._final_until.pop(kind_of(url), None)


def kind_of(url: str) -> str:
    """Host and path of `url` without segments with a digit, such as an id.

    A version such as ``v1`` is kept. All assets have the same kind of path.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    segments = parts.path.split("/")
    kept = (each for each in segments if _VERSION.fullmatch(each) or not _has_digit(each))
    return parts.netloc.rpartition("@")[2].lower() + "/".join(kept)


def _has_digit(text: str) -> bool:
    return any(each.isdigit() for each in text)
