"""Times in requests: ISO 8601 with a time zone, as IRIS takes them."""

from __future__ import annotations

from datetime import UTC, datetime

from .problems import violation


def time_of(field: str, text: object) -> datetime:
    """The time in UTC.

    :param field: where the text stands, for the violation.
    """
    try:
        time = datetime.fromisoformat(str(text))
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise violation(field, "must be a time in ISO 8601 with a time zone")
