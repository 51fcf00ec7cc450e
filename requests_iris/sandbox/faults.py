"""Faults on demand: what goes wrong with the next requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final, Literal

from werkzeug import Response

from . import checks
from .server import Delivery, Request


class _Word:
    """A named constant, which stays the same object after pickling."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name  # pickle finds the constant under this name in this module


#: As the value of a member in `Fault.reply` or `Fault.expires_in`: leave the member out.
OMIT: Final = _Word("OMIT")

_UNCHANGED: Final = _Word("_UNCHANGED")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way for a request to go wrong. Parts can be combined. Without parts nothing goes wrong.

    A response that replaces the true response (the sandbox does not do the work):

    * ``status``: (int) The status, from 200 to 999.
    * ``body``: (str, bytes, or a dict that is sent as JSON) The body. Needs `status`.
    * ``redirect``: (str) The URL for a Location header. The status is 302 by default.

    A change of the true response (the sandbox does the work first):

    * ``reply``: (dict) Members to replace in the response's JSON object. `OMIT` as a value leaves a
      member out.
    * ``scope``, ``expires_in``: Two members of a token response. The authorization server itself
      keeps the true scope and lifetime.

    A change waits for a response with the status 200 and a JSON object. Before that, the sandbox
    sends each response unchanged, such as a 401, and keeps the fault.

    Headers for a replaced, changed or true response:

    * ``headers``: (dict) More headers.

    A response that travels badly:

    * ``delay``: (seconds) A pause after the work and before the response: a token arrives late.
    * ``trickle``: (seconds) A pause between every two bytes of the body.
    * ``truncate``: (int) Close the connection after this number of bytes of the body. A negative
      number counts from the end.

    No response:

    * ``drop``: ("before" or "after") Close the connection, before or after the work. Only `delay`
      can be added.

    `delay` and `trickle` take real time, whatever the sandbox's clock says.

    :raises TypeError: for a wrong type.
    :raises ValueError: for an impossible number, or two parts that exclude each other. The message
        says which values are allowed.
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
        for name, check in _CHECKS.items():
            if name not in _OPTIONAL or getattr(self, name) is not None:
                check(name, getattr(self, name))
        replaced = self.status is not None or self.redirect is not None
        if self.body and not replaced:
            raise ValueError("body replaces the true response: pass a status, too.")
        if self._changes and replaced:
            raise ValueError(
                "status and redirect replace the true response, so reply, scope and expires_in "
                "have nothing to change. Pass the changed response as body."
            )
        excess = [name for name in _EXCLUDED_BY_DROP if getattr(self, name) != _DEFAULTS[name]]
        if self.drop and excess:
            raise ValueError(
                "drop closes the connection without a response: "
                f"only delay can be added, not {', '.join(excess)}."
            )

    @property
    def changes(self) -> bool:
        """Whether this fault changes the members of a true response."""
        return bool(self._changes)

    def can_change(self, response: Response) -> bool:
        return response.status_code == 200 and response.is_json

    def deliver(self, work: Callable[[], Response], sleep: Callable[[float], bool]) -> Delivery:
        """Do the work, or not, and say what to send.

        `sleep` returns False if the sandbox closes meanwhile; then the connection ends.
        """
        response = self._response(work)
        if self.delay and not sleep(self.delay):
            response = None
        return Delivery(response=response, trickle=self.trickle, truncate=self.truncate)

    def _response(self, work: Callable[[], Response]) -> Response | None:
        if self.drop == "before":
            return None
        response = self._instead() or self._change(work())
        response.headers.update(self.headers)
        return None if self.drop == "after" else response

    def _instead(self) -> Response | None:
        if self.status is None and self.redirect is None:
            return None
        status = self.status or 302
        if isinstance(self.body, Mapping):
            text = json.dumps(dict(self.body))
            response = Response(text, status, content_type="application/json")
        else:
            response = Response(self.body, status, content_type="text/html; charset=utf-8")
        if self.redirect is not None:
            response.headers["Location"] = self.redirect
        return response

    def _change(self, response: Response) -> Response:
        if self._changes and self.can_change(response):
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


def _check_body(name: str, body: object) -> None:
    if isinstance(body, Mapping):
        for member, value in body.items():
            _check_json(f"{name}[{member!r}]", value)
    elif not isinstance(body, (str, bytes)):
        raise TypeError(f"{name} must be a str, bytes or a dict, not {body!r}.")


def _check_members(name: str, members: object) -> None:
    if not isinstance(members, Mapping):
        raise TypeError(f"{name} must be a dict, not {members!r}.")
    for member, value in members.items():
        checks.text(f"a name in {name}", member)
        _check_member(f"{name}[{member!r}]", value)


def _check_member(name: str, value: object) -> None:
    if not isinstance(value, _Word):
        _check_json(name, value)


def _check_json(name: str, value: object) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a JSON value: {error}.") from None


def _check_headers(name: str, headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError(f"{name} must be a dict, not {headers!r}.")
    for header, value in headers.items():
        if not checks.header_text(f"a name in {name}", header) or set(header) & set(" :"):
            raise ValueError(f"a name in {name} must be a header's name, not {header!r}.")
        checks.header_text(f"{name}[{header!r}]", value)


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "status": lambda name, status: checks.whole_number(name, status, least=200, most=999),
    "body": _check_body,
    "headers": _check_headers,
    "redirect": checks.header_text,
    "reply": _check_members,
    "scope": checks.text,
    "expires_in": _check_member,
    "delay": checks.seconds,
    "drop": lambda name, drop: checks.one_of(name, drop, ("before", "after")),
    "trickle": checks.seconds,
    "truncate": checks.whole_number,
}
_OPTIONAL = {"status", "redirect", "scope", "drop", "truncate"}
_DEFAULTS = {part.name: {} if part.default is MISSING else part.default for part in fields(Fault)}
_EXCLUDED_BY_DROP = [name for name in _DEFAULTS if name not in ("drop", "delay")]


@dataclass(eq=False)
class _Order:
    """A fault for the next `times` fitting requests, after the first `after` requests."""

    fault: Fault
    server: str
    path: str
    times: int
    after: int

    def fits(self, server: str, request: Request) -> bool:
        return self.server == server and request.path.startswith(self.path)


class Faults:
    """The orders for faults, the oldest first. A lock guards them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[_Order] = []

    def order(self, fault: Fault, *, server: str, path: str, times: int, after: int) -> None:
        with self._lock:
            self._orders.append(_Order(fault, server, path, times, after))

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
        """The response to a request, with the oldest fault that fits; see `Fault.deliver`."""
        order = self._take(server, request)
        if order is None:
            return Delivery(response=work())
        if not order.fault.changes:
            return order.fault.deliver(work, sleep)
        response = work()
        if order.fault.can_change(response):
            return order.fault.deliver(lambda: response, sleep)
        self._give_back(order)
        return Delivery(response=response)

    def _take(self, server: str, request: Request) -> _Order | None:
        """Use up the oldest order that is due, once. Every fitting order counts the request."""
        with self._lock:
            fitting = [order for order in self._orders if order.fits(server, request)]
            ready = next((each for each in fitting if each.times and not each.after), None)
            for order in fitting:
                order.after = max(order.after - 1, 0)
            if ready:
                ready.times -= 1
                if not ready.times and not ready.fault.changes:
                    self._orders.remove(ready)
        return ready

    def _give_back(self, order: _Order) -> None:
        # The order kept its place in the list: `_take` removes no order with a change.
        with self._lock:
            order.times += 1
