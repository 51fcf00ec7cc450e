"""Bodies: whether the body of a request can be sent again, and how a response is discarded."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from requests import RequestException, Response

#: Bytes of a discarded response that are read at most, so that its connection can be used again.
DISCARD_AT_MOST = 16 * 1024


def position_of(body: Any) -> int | None:
    """The position of a file; None for a body in memory, or a body without a position."""
    try:
        position: int | None = None if _is_in_memory(body) else body.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return position


def rewound(body: Any, position: int | None) -> bool:
    """Moves a file back to `position`, and returns whether the whole body can be sent again.

    :param position: from :func:`position_of`, taken before the body was sent.
    """
    if _is_in_memory(body):
        return True
    try:
        body.seek(position)
    except (AttributeError, TypeError, OSError, ValueError):
        return False
    return True


def _is_in_memory(body: object) -> bool:
    return body is None or isinstance(body, (bytes, str, bytearray, memoryview))


def discard(response: Response) -> None:
    """Closes a response that the caller will not read, without waiting for the end of a long body.

    A body of up to :data:`DISCARD_AT_MOST` bytes is read, so that the connection can be used again.
    If the body is longer, the connection is closed. The response keeps the bytes that were read.
    """
    if not response._content_consumed:
        read = bytearray()
        # nobody needs this body, so nobody needs to know that it broke off
        with suppress(RequestException, OSError):
            for chunk in response.iter_content(DISCARD_AT_MOST):
                read += chunk
                if len(read) >= DISCARD_AT_MOST:
                    response.raw.close()
                    break
        response._content, response._content_consumed = bytes(read[:DISCARD_AT_MOST]), True
    response.close()
