"""IRIS's error objects as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from requests import Response


@dataclass(frozen=True)
class Problem:
    """What an API of IRIS says of a request that it did not do.

    :ivar status: the HTTP status.
    :ivar code: such as ``constraint_violation``: what programs branch on.
    :ivar message: for people.
    :ivar violations: pairs of a field and what is wrong with it.
    """

    status: int
    code: str
    message: str = ""
    violations: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        fields = "".join(f"; {field}: {message}" for field, message in self.violations)
        return f"{self.code} ({self.message}{fields})" if self.message or fields else self.code


def problem_of(response: Response) -> Problem | None:
    """The error object of a response; None for one that is no error, or holds no such object."""
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
        code=members["code"],
        message=str(members.get("message") or ""),
        violations=tuple(_violations(members.get("violations"))),
    )


def _violations(violations: Any) -> list[tuple[str, str]]:
    if not isinstance(violations, list):
        return []
    return [
        (str(each.get("field")), str(each.get("message")))
        for each in violations
        if isinstance(each, dict)
    ]
