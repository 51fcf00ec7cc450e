"""The body of a request that may be sent more than once: where it stands, and going back there."""

from __future__ import annotations

from typing import Any


def position_of(body: Any) -> int | None:
    """Where a body stands; None for one that is there whole, or that cannot tell."""
    try:
        position: int | None = None if _is_plain(body) else body.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return position


def rewound(body: Any, position: int | None) -> bool:
    """Whether the body stands at `position` of :func:`position_of` again, and can be sent anew."""
    if _is_plain(body):
        return True
    try:
        body.seek(position)
    except (AttributeError, TypeError, OSError, ValueError):
        return False
    return True


def _is_plain(body: object) -> bool:
    """Whether a body is there whole, and does not need rewinding."""
    return body is None or isinstance(body, (bytes, str, bytearray, memoryview))
