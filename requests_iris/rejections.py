"""401s that a new token cannot cure.

An API that does not accept a user, or a kind of token, answers 401 and not 403. Without a memory,
each request to such an API would cost a token request and a resend.
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
#: Renewals in vain within that time, over all kinds of path, after which every 401 is final.
RENEWALS_IN_VAIN = 10
#: Kinds of path that are remembered at most.
KINDS = 256

_VERSION = re.compile(r"v[0-9]+", re.IGNORECASE)


class Rejections:
    """Remembers which kinds of path reject even a new token.

    Threads may share it: a lock covers each change, and `__bool__` reads one attribute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By kind of path: until when its 401s are final, on the monotonic clock.
        self._final_until: dict[str, float] = {}
        self._in_vain: deque[tuple[float, Bearer]] = deque(maxlen=RENEWALS_IN_VAIN)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._final_until)

    def are_final(self, url: str) -> bool:
        """Whether a 401 from `url` is final now, so that no token is renewed for it."""
        now = self._clock.monotonic()
        with self._lock:
            if now < self._final_until.get(kind_of(url), now):
                return True
            return len(self._in_vain) == RENEWALS_IN_VAIN and now < self._in_vain[0][0] + FINAL_FOR

    def add(self, url: str, bearer: Bearer, grant: str) -> None:
        """Records that `url` rejected `bearer`, which was brand-new."""
        kind, now = kind_of(url), self._clock.monotonic()
        with self._lock:
            if all(bearer != known for _, known in self._in_vain):  # one renewal, many threads
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
        """Records that `url` has accepted a token: the next 401 leads to a renewal again."""
        with self._lock:
            self._final_until.pop(kind_of(url), None)


def kind_of(url: str) -> str:
    """Host and path of `url` without the segments that contain a digit, such as an id.

    A version such as ``v1`` is kept. So all assets have the same kind of path.
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
