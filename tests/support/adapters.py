"""Adapters that a test mounts, to hold a request back, to send it elsewhere, or to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter


@contextmanager
def mounted(session: requests.Session, prefix: str, adapter: HTTPAdapter) -> Iterator[None]:
    """Within the block, `adapter` carries the requests to URLs that begin with `prefix`."""
    session.mount(prefix, adapter)
    try:
        yield
    finally:
        del session.adapters[prefix]


class Elsewhere(HTTPAdapter):
    """Sends each request to `url`, whatever its own URL is."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        request = request.copy()
        request.url = self.url
        return super().send(request, *args, **kwargs)


class Before(HTTPAdapter):
    """Calls `step` before each request is sent. An exception of `step` is raised by `send`."""

    def __init__(self, step: Callable[[], object]) -> None:
        super().__init__()
        self.step = step

    def send(self, *args: Any, **kwargs: Any) -> Response:
        self.step()
        return super().send(*args, **kwargs)
