"""Times in requests: ISO 8601 with a time zone, as IRIS takes them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from .problems import Problem, violation

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?(?:Z|([+-]\d\d):?(\d\d))", re.ASCII
)


def time_of(field: str, text: object) -> datetime:
    """The time in UTC.

    :param field: where the text stands, for the violation.
    """
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _not_a_time(field)
    minute, second, fraction, hours, minutes = match.groups()
    zone = f"{hours}:{minutes}" if hours else "+00:00"
    micros = f"{fraction or '':0<6}"[:6]
    try:
        time = datetime.fromisoformat(f"{minute}{second or ':00'}.{micros}{zone}")
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise _not_a_time(field) from None


def _not_a_time(field: str) -> Problem:
    return violation(field, "must be a time in ISO 8601 with a time zone")
