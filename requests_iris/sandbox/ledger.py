"""The ledger: every request that reached the sandbox, in the order of arrival."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from requests.structures import CaseInsensitiveDict

from .server import Request


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as it arrived, and how it was answered.

    `server` is "token", "api" or "foreign"; `kind` is the grant type of a token request and the
    server's name otherwise.
    `query` is the text behind the question mark, `args` the same decoded.
    `form` holds the decoded fields of a token request, and nothing else's.
    `status` is None as long as no answer was sent, and for ever if the connection was dropped.
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
    """What the ledger keeps of a request."""
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
    """An open line of the ledger: the status of the answer is noted in it."""

    status: int | None = None


class Ledger:
    """Keeps what was seen, and how many token requests were under way at once."""

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
        return sum(
            kind in (line.server, line.kind) and status in (None, line.status) for line in self.seen
        )

    def forget(self) -> None:
        with self._lock:
            self._lines.clear()
            self._peak = self._token_requests

    @contextmanager
    def entry(self, server: str, request: Request) -> Iterator[Entry]:
        """Enters a request when it comes, and its status just before the answer leaves."""
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
