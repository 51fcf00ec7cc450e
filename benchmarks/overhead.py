"""What one signed request costs the client, without a network.

An IrisSession with a token that lives, against the lightest way there is to send a token: a plain
requests.Session with a fixed Authorization header.
"""

from __future__ import annotations

import requests
from requests.adapters import BaseAdapter

from requests_iris import IrisSession

from .duel import Outcome, duel

URL = "https://iris.trackunit.com/api/asset/v1/assets?size=100"
#: What one signed request may cost, as a part of what a plain session's costs.
AT_MOST = 0.95


class Canned(BaseAdapter):
    """Answers at once, with the least that is a response: what is left is the session's work."""

    def send(self, request: requests.PreparedRequest, **settings: object) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.request = request
        response.url = request.url or ""
        response._content = b"{}"
        return response

    def close(self) -> None:
        """Nothing is open."""


def measure(*, rounds: int = 200, calls: int = 200) -> Outcome:
    token = {"access_token": "a-token", "expires_in": 3600}
    with IrisSession(token=token) as iris, requests.Session() as plain:
        plain.headers["Authorization"] = "Bearer a-token"
        iris.mount("https://", Canned())
        plain.mount("https://", Canned())
        signed, fixed = iris.get(URL).request, plain.get(URL).request
        if signed.headers != fixed.headers:
            raise AssertionError("the two do not send the same")
        return duel(lambda: iris.get(URL), lambda: plain.get(URL), rounds=rounds, calls=calls)
