"""For type checkers only, which `tox -e types` runs: an IrisSession where a Session is expected."""

from __future__ import annotations

import requests
from requests.auth import AuthBase

from requests_iris import IrisError, IrisSession


def reads(session: requests.Session) -> int:
    response: requests.Response = session.get("https://iris.trackunit.com/x", timeout=5)
    return response.status_code


def replaced() -> int:
    with IrisSession(scope="api", allowed_hosts=["example.org"]) as iris:
        sessions: list[requests.Session] = [iris, requests.Session()]
        auth: AuthBase = iris.bearer
        requests.get("https://iris.trackunit.com/x", auth=auth, timeout=5)
        response: requests.Response = iris.post("/x", json={"a": 1}, headers={"b": "c"})
        token: dict[str, object] = iris.token
        return sum(map(reads, sessions)) + len(token) + response.status_code


def caught(error: requests.RequestException) -> bool:
    return isinstance(error, IrisError) and error.retryable
