"""Which requests are retried, and after how long. A ``Retry`` of urllib3 is the policy.

A policy of the user is called as urllib3 calls it: ``is_retry``, then ``increment(method, url,
response=… | error=…, _pool=…)``, then a pause.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from requests import RequestException, Response
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    ProtocolError,
    ProxyError,
    SSLError,
)
from urllib3.util import Retry

from .clock import Clock
from .errors import SettingError
from .quota.rules import RateLimit, Target, matching

#: Returns the URL and the pool that urllib3 passes to a policy. The URL is a path and query, or the
#: whole URL for a forwarding proxy. Called only if a retry is possible.
PolicyTarget = Callable[[], tuple[str, Any]]

#: Whether the caller of this thread handles a response, for example waits as long as the body says.
#: A retry by the policy would come earlier, and perhaps cost points. The function is called only
#: before a retry. None: the policy decides alone.
handled_by_caller: ContextVar[Callable[[Response], bool] | None] = ContextVar(
    "requests_iris_handled_by_caller", default=None
)


class SteadyRetry(Retry):
    """A Retry with a pause before the first retry.

    urllib3's ``Retry`` sends the first retry at once. A busy server hardly accepts a request a
    millisecond later.
    """

    def get_backoff_time(self) -> float:
        """Seconds before the next retry, twice as many each time, plus jitter."""
        jitter = random.uniform(0, self.backoff_jitter)  # noqa: S311
        pause = self.backoff_factor * 2.0 ** (len(self.history) - 1) + jitter
        return min(self.backoff_max, pause)


#: Four retries, after 0.5, 1, 2 and 4 seconds, each with a random addition of at most 0.5 seconds.
#: If the server sends ``Retry-After``, a retry follows after that time, at most two minutes.
DEFAULT_RETRY = SteadyRetry(
    total=4,
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=120,
)


def retry_of(setting: Retry | int | None) -> Retry:
    """The policy for the setting ``retry``.

    :param setting: a policy; the number of retries; 0 or False for no retries; None or True for
        :data:`DEFAULT_RETRY`.
    :raises SettingError: for any other value.
    """
    if setting is None or setting is True:
        return DEFAULT_RETRY
    if isinstance(setting, Retry):
        return setting
    if isinstance(setting, int) and setting >= 0:
        return DEFAULT_RETRY.new(total=setting)
    raise SettingError(
        f"retry={setting!r} is not possible. Pass the number of retries, 0 for no retries, "
        "or a urllib3 Retry.",
        setting="retry",
    )


@dataclass(frozen=True)
class NextTry:
    """The decision to retry a request.

    :ivar reason: the fault, for the log.
    :ivar retries: the rest of the policy.
    :ivar response: urllib3's response, or None after an error.
    :ivar wait: seconds until the retry, or None if the policy pauses by its own method.
    """

    reason: str
    retries: Retry
    response: Any
    wait: float | None

    def after(self, waited: float) -> NextTry:
        """The same decision after a wait of `waited` seconds, which shortens the pause."""
        if not waited or self.wait is None:
            return self
        return replace(self, wait=max(0, self.wait - waited))

    def pause(self, clock: Clock) -> None:
        """Waits on `clock`, or lets the policy wait as urllib3 does."""
        if self.wait is not None:
            clock.sleep(self.wait)
        elif self.response is None:
            self.retries.sleep()
        else:
            self.retries.sleep(self.response)


def after_response(
    retries: Retry, method: str, response: Response, target: PolicyTarget, *, window: float = 0
) -> NextTry | None:
    """The retry after a response, or None if the caller gets the response.

    A ``Retry-After`` longer than ``backoff_max`` ends the retries, unless the policy pauses by its
    own method.

    :param window: seconds of the longest rate limit for the request, or 0. If the window is longer
        than ``backoff_max``, every attempt may use up a slot: a 429 then is retried only once, and
        only after a ``Retry-After`` of at most ``backoff_max``.
    """
    status, asks = response.status_code, bool(response.headers.get("Retry-After"))
    if not retries.is_retry(method, status, asks):
        return None
    is_handled = handled_by_caller.get()
    if is_handled is not None and is_handled(response):
        return None
    if status == 429 and window > retries.backoff_max and not _is_invited(response, retries):
        return None
    wait = None
    if not _replaces(retries, "sleep", "sleep_for_retry"):
        wait = _asked(response, retries)
        if wait is not None and wait > retries.backoff_max:
            return None
    reason = f"got status {status}"
    return _next_try(reason, retries, method, target, wait=wait, response=response.raw)


def _is_invited(response: Response, retries: Retry) -> bool:
    """Whether a 429 is the first, and the server asks for a retry within ``backoff_max``."""
    wait = _asked(response, retries)
    is_first = all(each.status != 429 for each in retries.history)
    return is_first and wait is not None and wait <= retries.backoff_max


def _asked(response: Response, retries: Retry) -> float | None:
    """Seconds of the server's ``Retry-After``, if the policy respects the header."""
    if not retries.respect_retry_after_header:
        return None
    # a mock may have no urllib3 response
    return retry_after(response if response.raw is None else response.raw, retries)


def after_error(
    retries: Retry, method: str, error: RequestException, target: PolicyTarget
) -> NextTry | None:
    """The retry after an error, or None if the caller gets the error.

    A request is retried if no connection could be opened or the connection was dropped. A read
    timeout is not retried, because the caller set the limit and the server may still be working.
    """
    fault = _fault_of_connection(error)
    if fault is None:
        return None
    reason = f"failed with {type(error).__name__} ({type(_original(fault)).__name__})"
    stack = error.__traceback__
    return _next_try(reason, retries, method, target, error=fault, _stacktrace=stack)


def longest_window(limits: Iterable[RateLimit], method: str, url: str) -> float:
    """Seconds of the longest window among the `limits` of a request, or 0 without a limit."""
    found = matching(limits, method, Target.of(url))
    return max((limit.window for limit, _ in found), default=0.0)


def retry_after(response: Any, retries: Retry = DEFAULT_RETRY) -> float | None:
    """Seconds of ``Retry-After`` (RFC 9110 section 10.2.3), or None. `retries` reads the header."""
    try:
        return retries.get_retry_after(response)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _next_try(
    reason: str,
    retries: Retry,
    method: str,
    target: PolicyTarget,
    *,
    wait: float | None = None,
    **outcome: Any,
) -> NextTry | None:
    url, pool = target()
    try:
        retries = retries.increment(method, url, **outcome, _pool=pool)
    except HTTPError:  # urllib3's way to refuse a retry: by the method, or after the last retry
        return None
    response = outcome.get("response")
    return NextTry(reason, retries, response, _wait(retries, wait))


def _wait(retries: Retry, asked: float | None) -> float | None:
    """Seconds of the pause. `asked` is the server's ``Retry-After``, or None.

    The result is None if the policy pauses by its own method.
    """
    if _replaces(retries, "sleep", "sleep_for_retry", "_sleep_backoff"):
        return None
    if asked:  # with a random addition, because many threads may have got the same time
        return asked + random.uniform(0, retries.backoff_jitter)  # noqa: S311
    try:
        return max(0, retries.get_backoff_time())
    except OverflowError:  # after a thousand doublings
        return retries.backoff_max


def _replaces(retries: Retry, *names: str) -> bool:
    """Whether a policy, or a program that patched urllib3, replaces a method of ``Retry``."""
    methods = [getattr(retries, name) for name in names]
    return any(getattr(each, "__module__", None) != Retry.__module__ for each in methods)


def _fault_of_connection(error: RequestException) -> HTTPError | None:
    """urllib3's error inside an error of requests, if the connection failed or was dropped.

    After a ``ConnectTimeoutError`` the server got nothing. After a ``ProtocolError`` the server may
    have got the request.
    """
    cause: Any = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    original = _original(cause)
    if isinstance(cause, HTTPError) and isinstance(original, ConnectTimeoutError):
        return cause
    if isinstance(original, SSLError) and isinstance(original.args[0], _DROPPED_TLS):
        return ProtocolError(original)
    return original if isinstance(original, ProtocolError) else None


def _original(error: Any) -> Any:
    return error.original_error if isinstance(error, ProxyError) else error


_DROPPED_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
