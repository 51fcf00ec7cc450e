"""The CPU time of an item in a long list, without a network: nearly all of it is JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests

from requests_iris import IrisSession

from . import peers
from .canned import Pages, canned_session
from .figure import Figure
from .overhead import signed_in
from .turns import take_turns

PATH = "/api/asset/v1/assets"
URL = f"https://iris.trackunit.com{PATH}"
BY_HAND, FAST, SLOW = "a loop by hand", "with msgspec", "without msgspec"


class SlowResponse(requests.Response):
    """A response with a `json` method of its own, which msgspec must not replace."""

    def json(self, **kwargs: Any) -> Any:
        return super().json(**kwargs)


def measure(*, rounds: int = 15) -> Iterator[Figure]:
    plain = signed_in(peers.plain)
    plain.mount("https://", Pages())
    fast, slow = canned_session(Pages()), canned_session(Pages(SlowResponse))
    contestants = {
        BY_HAND: lambda: _by_hand(plain),
        FAST: lambda: _walk(fast),
        SLOW: lambda: _walk(slow),
    }
    outcome = take_turns(contestants, time.thread_time, rounds=rounds)
    per_item = {name: outcome.median(name) / (Pages.ITEMS) * 1e6 for name in contestants}
    for name, at_most in ((FAST, 0.5), (SLOW, 1.02)):
        yield Figure(
            name=f"CPU time of an item {name}, of {BY_HAND}",
            value=outcome.ratio(name, BY_HAND),
            at_most=at_most,
            details={each: f"{per_item[each]:.2f} us" for each in (name, BY_HAND)},
        )
    yield Figure(
        name=f"microseconds per item that items() adds to {BY_HAND}",
        value=per_item[SLOW] - per_item[BY_HAND],
        at_most=0.15,
    )


def _walk(iris: IrisSession) -> None:
    _check(sum(1 for _ in iris.items(PATH)))


def _by_hand(session: requests.Session) -> None:
    found, number, pages = 0, 0, 1
    while number < pages:
        response = session.get(URL, params={"size": Pages.SIZE, "page": number}, timeout=60)
        response.raise_for_status()
        page = response.json()
        found += sum(1 for _ in page["content"])
        number, pages = number + 1, page["totalPages"]
    _check(found)


def _check(found: int) -> None:
    if found != Pages.ITEMS:
        raise AssertionError(f"{found} items")
