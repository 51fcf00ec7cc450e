"""Sees the tokens that leave this process by HTTP."""

from __future__ import annotations

import http.client
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any


class Watch:
    """Counts the requests that carry a token, by origin.

    The watcher replaces the last function of Python that all HTTP clients here share. At that
    point a request is bytes, and not yet encrypted. The watcher sees every byte of every request
    to any server or proxy.
    """

    def __init__(self, tokens: Callable[[], Iterable[str]]) -> None:
        self.sent: Counter[str] = Counter()
        self._tokens = tokens

    def start(self) -> None:
        send = http.client.HTTPConnection.send

        def watched_send(connection: http.client.HTTPConnection, data: Any) -> None:
            send(connection, data)
            if isinstance(data, bytes) and any(token.encode() in data for token in self._tokens()):
                self.sent[_origin(connection)] += 1

        http.client.HTTPConnection.send = watched_send  # type: ignore[method-assign]


def _origin(connection: http.client.HTTPConnection) -> str:
    scheme = "https" if isinstance(connection.sock, ssl.SSLSocket) else "http"
    return f"{scheme}://{connection.host}:{connection.port}"
