"""Faults on demand: what goes wrong with the next requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from werkzeug import Response

from .server import Delivery, Request


class _Word:
    """A value that means something by itself, also after it was pickled."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name  # the variable of this module that holds it


#: As the value of a member in `Fault.reply` or `Fault.expires_in`: the member is left out.
OMIT: Final = _Word("OMIT")

_UNCHANGED: Final = _Word("_UNCHANGED")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way for a request to go wrong. Parts can be combined; each does nothing by default.

    An answer in place of the true one, the work is not done:
        `status` with `body` (text, bytes, or a mapping that is sent as JSON);
        `redirect`, the URL of a Location header, with `status` 302 unless another is given.
    A true answer that was changed, the work is done:
        `reply`, members laid over the JSON object of a 200, `OMIT` takes one away;
        `scope` and `expires_in`, the same for these two members of a token reply: they change
        what the reply says, not what the server holds of its token.
        A response that is not a 200 with JSON, such as a 401, does not use up the fault.
    Either with `headers` besides.
    An answer that comes badly:
        `delay`, seconds before it, after the work is done (so that a token is older when it comes);
        `drop`, the connection is closed instead, "before" or "after" the work was done;
        `trickle`, seconds between two bytes of the body;
        `truncate`, the number of bytes of the body after which the connection is closed.
    """

    status: int | None = None
    body: str | bytes | Mapping[str, object] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None
    reply: Mapping[str, object] = field(default_factory=dict)
    scope: str | None = None
    expires_in: object = _UNCHANGED
    delay: float = 0
    drop: Literal["before", "after"] | None = None
    trickle: float = 0
    truncate: int | None = None

    def __post_init__(self) -> None:
        if self.drop not in (None, "before", "after"):
            raise ValueError(f'drop is "before" or "after", not {self.drop!r}.')
        if self.body and self.status is None:
            raise ValueError("A body takes the place of the true answer, and needs a status.")
        if self.drop and self.status is not None:
            raise ValueError("Where the connection is dropped there is no status.")

    def deliver(self, work: Callable[[], Response], sleep: Callable[[float], bool]) -> Delivery:
        """Does the work, or not, and says what to send. `sleep` tells whether to go on."""
        response = self._response(work)
        if self.delay and not sleep(self.delay):
            response = None
        return Delivery(response=response, trickle=self.trickle, truncate=self.truncate)

    def cannot_change(self, response: Response) -> bool:
        """Whether the fault changes the members of a true response, and `response` has none."""
        return bool(self._changes) and not _has_members(response)

    @property
    def does_work(self) -> bool:
        """Whether the true response is used."""
        return self.drop != "before" and self.status is None and self.redirect is None

    def _response(self, work: Callable[[], Response]) -> Response | None:
        if self.drop == "before":
            return None
        response = self._instead() or self._change(work())
        response.headers.update(self.headers)
        return None if self.drop == "after" else response

    def _instead(self) -> Response | None:
        if self.redirect is not None:
            return Response(status=self.status or 302, headers={"Location": self.redirect})
        if self.status is None:
            return None
        if isinstance(self.body, Mapping):
            text = json.dumps(dict(self.body))
            return Response(text, self.status, content_type="application/json")
        return Response(self.body, self.status, content_type="text/html; charset=utf-8")

    def _change(self, response: Response) -> Response:
        if self._changes and _has_members(response):
            members: dict[str, Any] = {**json.loads(response.get_data()), **self._changes}
            kept = {name: value for name, value in members.items() if value is not OMIT}
            response.set_data(json.dumps(kept))
        return response

    @property
    def _changes(self) -> dict[str, object]:
        changes = dict(self.reply)
        if self.scope is not None:
            changes["scope"] = self.scope
        if self.expires_in is not _UNCHANGED:
            changes["expires_in"] = self.expires_in
        return changes


def _has_members(response: Response) -> bool:
    return response.status_code == 200 and response.is_json


#: What happens when no fault was ordered.
NO_FAULT: Final = Fault()


@dataclass
class _Order:
    fault: Fault
    server: str
    path: str
    times: int


class Faults:
    """The orders for faults. A request takes the oldest one that fits it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[_Order] = []

    def order(self, fault: Fault, *, server: str, path: str, times: int) -> None:
        with self._lock:
            self._orders.append(_Order(fault, server, path, times))

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def deliver(
        self,
        server: str,
        request: Request,
        work: Callable[[], Response],
        sleep: Callable[[float], bool],
    ) -> Delivery:
        """What to send, after the fault for this request, if one was ordered.

        A fault that changes a true response needs one that it can change. Otherwise it is put
        back: a token that expired a moment ago must not use it up.
        """
        order = self._take(server, request)
        if order is None:
            return NO_FAULT.deliver(work, sleep)
        if not order.fault.does_work:
            return order.fault.deliver(work, sleep)
        response = work()
        if order.fault.cannot_change(response):
            self._put_back(order)
            return NO_FAULT.deliver(lambda: response, sleep)
        return order.fault.deliver(lambda: response, sleep)

    def _take(self, server: str, request: Request) -> _Order | None:
        """The order for this request, of which one time is used up."""
        with self._lock:
            for order in self._orders:
                if order.server == server and request.path.startswith(order.path):
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                    return order
        return None

    def _put_back(self, order: _Order) -> None:
        with self._lock:
            order.times += 1
            if not any(each is order for each in self._orders):
                self._orders.insert(0, order)
