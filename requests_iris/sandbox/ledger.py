"""The ledger: every request to the sandbox, in the order of arrival."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from requests.structures import CaseInsensitiveDict

from . import checks
from .authorization import GRANTS
from .server import Request

#: The names of the three servers, for `Sandbox.inject` and `Sandbox.count`.
SERVERS = ("token", "api", "foreign")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request on arrival, and the status of the response.

    server: "token", "api" or "foreign".
    kind: The grant type of a token request, or the server of any other request.
    query: The text after the question mark, still encoded; `args` is the decoded query.
    form: The decoded fields of a token request, otherwise empty.
    status: None until the response is sent, and for ever if the connection was dropped.
    """

    server: str
    kind: str
    method: str
    path: str
    query: str
    args: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    connection_id: int
    status: int | None = None


def seen(server: str, request: Request) -> Seen:
    """The part of a request that the ledger keeps."""
    form = request.form if server == "token" else {}
    return Seen(
        server=server,
        kind=form.get("grant_type") or server,
        method=request.method,
        path=request.path,
        query=request.query,
        args=MappingProxyType(dict(request.args.items())),
        headers=CaseInsensitiveDict(request.headers.items()),
        body=request.body,
        form=MappingProxyType(form),
        connection_id=request.connection_id,
    )


@dataclass
class Entry:
    """An open line of the ledger, for the status of the response."""

    status: int | None = None


class Ledger:
    """Keeps every request, and the largest number of token requests at once. A lock guards both."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._lines: dict[int, Seen] = {}
        self._token_requests = 0
        self._peak = 0

    @property
    def seen(self) -> tuple[Seen, ...]:
        with self._lock:
            return tuple(self._lines.values())

    @property
    def max_concurrent_token_requests(self) -> int:
        return self._peak

    def count(self, kind: str, status: int | None = None) -> int:
        checks.one_of("kind", kind, (*SERVERS, *GRANTS))
        if status is not None:
            checks.whole_number("status", status, least=100, most=999)
        return sum(
            kind in (line.server, line.kind) and status in (None, line.status) for line in self.seen
        )

    def forget(self) -> None:
        with self._lock:
            self._lines.clear()
            self._peak = self._token_requests

    @contextmanager
    def entry(self, server: str, request: Request) -> Iterator[Entry]:
        """Enter a request on arrival, and its status just before the response is sent."""
        number = self._begin(seen(server, request))
        entry = Entry()
        try:
            yield entry
        finally:
            self._end(number, server, entry.status)

    def _begin(self, line: Seen) -> int:
        with self._lock:
            number = next(self._numbers)
            self._lines[number] = line
            self._token_requests += line.server == "token"
            self._peak = max(self._peak, self._token_requests)
            return number

    def _end(self, number: int, server: str, status: int | None) -> None:
        with self._lock:
            self._token_requests -= server == "token"
            if number in self._lines:  # not forgotten meanwhile
                self._lines[number] = replace(self._lines[number], status=status)
