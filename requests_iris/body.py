"""Request bodies: the position before the first send, and the way back."""

from __future__ import annotations

from typing import Any


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
