"""IRIS's error objects as data."""

from __future__ import annotations

import json

import pytest
from requests import Response

from requests_iris import IrisSession, Problem, problem_of
from requests_iris.sandbox import Sandbox


def response(status: int, body: object) -> Response:
    made = Response()
    made.status_code = status
    made._content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return made


def test_an_error_object_of_iris_is_read_as_data(iris: IrisSession, sandbox: Sandbox) -> None:
    problem = problem_of(iris.get("/api/asset/v1/assets", params={"size": 0}))
    assert problem == Problem(
        status=400,
        code="constraint_violation",
        message="The request is not valid.",
        violations=(("size", "must be greater than or equal to 1"),),
    )
    assert str(problem) == (
        "constraint_violation (The request is not valid.; size: must be greater than or equal to 1)"
    )


def test_the_status_of_a_problem_is_that_of_its_response() -> None:
    assert problem_of(response(404, {"status": 400, "code": "gone"})) == Problem(404, "gone")


def test_a_problem_without_a_message_shows_its_code() -> None:
    assert str(Problem(404, "gone")) == "gone"


@pytest.mark.parametrize(
    "other",
    [
        response(200, {"code": "fine"}),
        response(500, "<html>"),
        response(500, "[" * 100_000),
        response(500, ["code"]),
        response(500, {"error": "x"}),
        response(500, {"code": 5}),
        response(500, "null"),
    ],
)
def test_a_response_without_an_error_object_has_no_problem(other: Response) -> None:
    assert problem_of(other) is None


@pytest.mark.parametrize("violations", [None, "x", [1], {"field": "x"}])
def test_malformed_violations_are_left_out(violations: object) -> None:
    found = problem_of(response(400, {"code": "c", "violations": violations}))
    assert found == Problem(400, "c")
