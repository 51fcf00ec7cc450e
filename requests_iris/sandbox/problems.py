"""IRIS's error objects: `{"status", "code", "message"}`, and sometimes `violations`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from werkzeug import Response


class Problem(Exception):
    """The request is wrong: the response is an error object. Programs branch on `code`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        violations: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.violations = violations or {}
        self.headers = headers or {}

    @property
    def response(self) -> Response:
        members: dict[str, object] = {
            "status": self.status,
            "code": self.code,
            "message": self.message,
        }
        if self.violations:
            members["violations"] = [
                {"field": field, "message": message} for field, message in self.violations.items()
            ]
        return json_response(members, self.status, self.headers)


def violation(field: str, message: str) -> Problem:
    """A 400 for a field that breaks a constraint."""
    return Problem(
        400, "constraint_violation", "The request is not valid.", violations={field: message}
    )


def json_response(
    members: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with a JSON object as body."""
    text = json.dumps(members, ensure_ascii=False)
    return Response(text, status, headers, content_type="application/json")
