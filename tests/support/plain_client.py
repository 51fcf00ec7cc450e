"""A client for the tests of the sandbox: plain requests, without our own code."""

from __future__ import annotations

import base64

import requests

from requests_iris.sandbox import Sandbox


class PlainClient(requests.Session):
    """A Session that trusts the sandbox, and joins a path to the URL of the API."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = sandbox.ca_file
        self.sandbox = sandbox

    def request(self, method, url, **kwargs) -> requests.Response:
        url = self.sandbox.base_url + url if url.startswith("/") else url
        return super().request(method, url, **{"timeout": 10, **kwargs})

    def ask(self, *, basic: str | None = None, **form: str) -> requests.Response:
        """Send a token request. `basic` is id:secret, by default the right credentials."""
        settings = self.sandbox.settings
        if basic is None:
            basic = f"{settings['client_id']}:{settings['client_secret']}"
        header = "Basic " + base64.b64encode(basic.encode()).decode()
        return self.post(self.sandbox.token_url, data=form, headers={"Authorization": header})

    def ask_by_password(self, **changes: str) -> requests.Response:
        settings = self.sandbox.settings
        form = {
            "grant_type": "password",
            "username": settings["username"],
            "password": settings["password"],
            "scope": "api offline_access",
        }
        return self.ask(**{**form, **changes})

    def ask_by_refresh_token(self, refresh_token: str, **changes: str) -> requests.Response:
        return self.ask(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def sign_in(self, **changes: str) -> dict:
        """Get a token, and sign every later request."""
        token = self.ask_by_password(**changes).json()
        self.headers["Authorization"] = f"Bearer {token['access_token']}"
        return token
