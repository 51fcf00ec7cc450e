"""Bodies: the body of a request before the second send, and the body of a discarded response."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from requests import RequestException, Response

#: Largest body of a discarded response, in bytes, for which the connection is kept.
DISCARD_AT_MOST = 16 * 1024


def position_of(body: Any) -> int | None:
    """The position of a file. None for a body in memory, and for a body without a position."""
    try:
        position: int | None = None if _is_in_memory(body) else body.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return position


def rewound(body: Any, position: int | None) -> bool:
    """Moves a file back to `position`. Returns whether the whole body can be sent again.

    :param position: the position before the first send, from :func:`position_of`.
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
    """Closes a response, without reading a long body to the end.

    A body of less than :data:`DISCARD_AT_MOST` bytes is read, and the connection can be used again.
    For a longer body the connection is closed. ``response.content`` has the beginning of the body.
    """
    if not response._content_consumed:
        read = bytearray()
        # the caller never asked for this body, so an error while reading the body is no error
        with suppress(RequestException, OSError):
            for chunk in response.iter_content(DISCARD_AT_MOST):
                read += chunk
                if len(read) >= DISCARD_AT_MOST:
                    response.raw.close()
                    break
        response._content, response._content_consumed = bytes(read[:DISCARD_AT_MOST]), True
    response.close()
