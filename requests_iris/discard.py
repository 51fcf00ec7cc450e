"""Discarding a response: the connection is used again or closed, at a bounded cost."""

from __future__ import annotations

from contextlib import suppress
from threading import Timer
from typing import Any

from requests import RequestException, Response
from urllib3.exceptions import HTTPError

#: Bytes of a discarded body that are read at most.
MAX_BYTES = 64 * 1024
#: Seconds that reading them takes at most.
MAX_SECONDS = 1.0


def discard(response: Response) -> None:
    """Ends a response that will not be returned to the caller, or only in a ``history``.

    A body of at most :data:`MAX_BYTES` that arrives within :data:`MAX_SECONDS` is read to its end,
    so that the connection can be used again. Otherwise the connection is closed, because a server
    may send for ever. ``response.content`` is then the part that was read.
    """
    if response._content is False and not response._content_consumed:
        response._content = _beginning(response)
    if response.raw is not None:  # a mock may have no connection
        response.close()
    response._content_consumed = True


def _beginning(response: Response) -> bytes:
    """The first bytes of a body, whatever the server does meanwhile."""
    pieces: list[bytes] = []
    # a timeout of the socket bounds one read, and a line of a chunk may take many
    timer = Timer(MAX_SECONDS, _stop_reading, [response.raw])
    timer.daemon = True
    with suppress(*_FAULTS):
        timer.start()
        for piece in response.iter_content(MAX_BYTES // 8):
            pieces.append(piece)
            if sum(map(len, pieces)) > MAX_BYTES:
                break
    timer.cancel()
    return b"".join(pieces)[:MAX_BYTES]


def _stop_reading(raw: Any) -> None:
    # urllib3 refuses once the connection is back in the pool, so no other request is stopped
    with suppress(*_FAULTS):
        raw.shutdown()


#: A fault of a body that nobody reads does not matter. A socket that is shut down while another
#: thread reads raises a ValueError or an AttributeError; an interpreter that ends, a RuntimeError.
_FAULTS = (RequestException, HTTPError, OSError, ValueError, AttributeError, RuntimeError)
