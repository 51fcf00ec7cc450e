"""Discards a response within fixed limits of time and memory."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Timer
from typing import Any

from requests import RequestException, Response
from urllib3.exceptions import HTTPError

#: Largest part of a discarded body that is read, in bytes.
MAX_BYTES = 64 * 1024
#: Longest time for reading a discarded body, in seconds.
MAX_SECONDS = 1.0


def discard(response: Response) -> None:
    """Finishes a response that the caller does not get, or gets only in ``history``.

    If a body of at most :data:`MAX_BYTES` arrives within :data:`MAX_SECONDS`, the body is read to
    the end and the connection can be used again. Otherwise the connection is closed, because the
    server may send for ever, and ``response.content`` is the part of the body that was read.
    """
    if response._content is False and not response._content_consumed:
        response._content = _beginning(response)
    if response.raw is not None:  # a mock may have no connection
        response.close()
    response._content_consumed = True


def _beginning(response: Response) -> bytes:
    """The first bytes of a body, within the limits even if the server never finishes."""
    content = bytearray()
    ends = time.monotonic() + MAX_SECONDS
    # the timeout of a socket limits one read, but a slow line can take thousands of reads
    timer = Timer(MAX_SECONDS, _stop_reading, [response.raw])
    timer.daemon = True
    with suppress(*_FAULTS):
        timer.start()
        for piece in response.iter_content(MAX_BYTES // 8):
            content += piece
            # the time, because pieces of one byte that have arrived already need no socket
            if len(content) > MAX_BYTES or time.monotonic() > ends:
                break
    timer.cancel()
    return bytes(content[:MAX_BYTES])


def _stop_reading(raw: Any) -> None:
    # urllib3 refuses if the connection is back in the pool, so the next request is safe
    with suppress(*_FAULTS):
        raw.shutdown()


#: Faults of a discarded body do not matter. If a socket is shut down during a read, the read raises
#: a ValueError or an AttributeError. When the interpreter exits, no thread can start: RuntimeError.
_FAULTS = (RequestException, HTTPError, OSError, ValueError, AttributeError, RuntimeError)
