"""When a request is sent again, and after how long: urllib3's Retry describes it."""

from __future__ import annotations

import random
import ssl
from dataclasses import dataclass
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

from .errors import SettingError


class SteadyRetry(Retry):
    """A Retry that waits before the first repetition too, where urllib3's waits from the second on.

    A limit or a server that has just said no will hardly say yes a millisecond later.
    """

    def get_backoff_time(self) -> float:
        jitter = random.uniform(0, self.backoff_jitter)  # noqa: S311
        pause = self.backoff_factor * 2.0 ** (len(self.history) - 1) + jitter
        return min(self.backoff_max, pause)


#: Four repetitions, after 0.5, 1, 2 and 4 seconds with up to 0.5 more by chance each, or when the
#: server says, if that is within two minutes.
DEFAULT_RETRY = SteadyRetry(
    total=4,
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.5,
    backoff_jitter=0.5,
    backoff_max=120,
)


@dataclass(frozen=True)
class Again:
    """The decision to send a request once more: why, after how many seconds, and what is left."""

    reason: str
    wait: float
    retries: Retry


def retry_of(setting: Retry | int | None) -> Retry:
    """The policy that a setting means: a number is that of repetitions, 0 and False are none.

    None and True mean the default.

    :raises SettingError: for anything else.
    """
    if setting is None or setting is True:
        return DEFAULT_RETRY
    if isinstance(setting, Retry):
        return setting
    if isinstance(setting, int) and setting >= 0:
        return DEFAULT_RETRY.new(total=setting)
    raise SettingError(
        f"retry must be a number of repetitions, 0 for none, or a urllib3 Retry, not {setting!r}",
        setting="retry",
    )


def after_response(retries: Retry, method: str, response: Response) -> Again | None:
    """Whether to send again after this answer. A Retry-After beyond ``backoff_max`` ends it."""
    status = response.status_code
    if not retries.is_retry(method, status, "Retry-After" in response.headers):
        return None
    answer = response.raw or response  # a policy expects urllib3's
    wait = retry_after(answer, retries) if retries.respect_retry_after_header else None
    if wait is not None and wait > retries.backoff_max:
        return None
    return _again(f"answered {status}", retries, method, wait=wait, response=response.raw)


def after_error(retries: Retry, method: str, error: RequestException) -> Again | None:
    """Whether to send again after this error: if there was no connection, or it was dropped.

    A read timeout is none of these: it is the caller's own limit, and the server may be at work.
    """
    cause = _fault_of_connection(error)
    if cause is None:
        return None
    reason = f"failed with {type(error).__name__} ({type(cause).__name__})"
    return _again(reason, retries, method, error=cause)


def retry_after(response: Any, retries: Retry = DEFAULT_RETRY) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3, both forms) in seconds, as `retries` reads it."""
    try:
        return retries.get_retry_after(response)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _again(
    reason: str, retries: Retry, method: str, *, wait: float | None = None, **outcome: Any
) -> Again | None:
    try:
        retries = retries.increment(method, **outcome)
    except HTTPError:  # urllib3's way to say: not by this method, or not so often
        return None
    if not wait:
        wait = _backoff(retries)
    else:  # threads that were told the same time do not all come at that time
        wait += random.uniform(0, retries.backoff_jitter)  # noqa: S311
    return Again(reason, wait, retries)


def _backoff(retries: Retry) -> float:
    try:
        return retries.get_backoff_time()
    except OverflowError:  # after a thousand repetitions, each with twice the pause
        return retries.backoff_max


def _fault_of_connection(error: RequestException) -> HTTPError | None:
    """urllib3's error inside requests', in the two kinds that Retry tells apart.

    A ConnectTimeoutError is for it whatever happens before anything was sent.
    """
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, ProxyError):
        cause = cause.original_error
    if isinstance(cause, SSLError) and isinstance(cause.args[0], _DROPPED_TLS):
        cause = ProtocolError(cause)
    return cause if isinstance(cause, (ConnectTimeoutError, ProtocolError)) else None


_DROPPED_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
