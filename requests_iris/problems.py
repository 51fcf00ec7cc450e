"""IRIS's error objects as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from requests import Response

from .text import one_line


@dataclass(frozen=True)
class Problem:
    """The error object of a response of IRIS. All text is printable and on one line.

    :ivar status: the HTTP status.
    :ivar code: the kind of the error for programs, for example ``constraint_violation``.
    :ivar message: the server's explanation for a person.
    :ivar violations: pairs of a field and the server's complaint about the field.
    """

    status: int
    code: str
    message: str = ""
    violations: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        fields = "".join(f"; {field}: {message}" for field, message in self.violations)
        return f"{self.code} ({self.message}{fields})" if self.message or fields else self.code


def problem_of(response: Response) -> Problem | None:
    """The error object of a response.

    :returns: None if the status is below 400, or the body contains no error object.
    """
    if response.ok:
        return None
    try:
        members = response.json()
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or not isinstance(members.get("code"), str):
        return None
    return Problem(
        status=response.status_code,
        code=one_line(members["code"]),
        message=_text(members.get("message") or ""),
        violations=tuple(_violations(members.get("violations"))),
    )


def _violations(violations: Any) -> list[tuple[str, str]]:
    if not isinstance(violations, list):
        return []
    return [
        (_text(each.get("field")), _text(each.get("message")))
        for each in violations
        if isinstance(each, dict)
    ]


def _text(value: Any) -> str:
    try:
        return one_line(value)
    except RecursionError:  # an object nested hundreds of levels deep
        return type(value).__name__
