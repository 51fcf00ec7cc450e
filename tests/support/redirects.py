"""Redirects, and the tokens in requests."""

from __future__ import annotations

import requests

from requests_iris.sandbox import Sandbox


def redirect(sandbox: Sandbox, to: str, *, via: str = "api", status: int = 302) -> str:
    """A URL of the server `via` ("api" or "foreign") with a redirect to the URL `to`."""
    base = sandbox.base_url if via == "api" else sandbox.foreign_url
    query = {"to": to, "status": status}
    return str(requests.Request("GET", f"{base}/redirect", params=query).prepare().url)


def tokens_seen(sandbox: Sandbox, server: str) -> list[str]:
    """The Authorization headers that came to a server."""
    headers = [seen.headers.get("Authorization") for seen in sandbox.seen if seen.server == server]
    return [value for value in headers if value]
