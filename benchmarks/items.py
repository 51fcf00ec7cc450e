"""The CPU time of an item in a long list, without a network: nearly all of the time is JSON.

A walk cannot be faster than the decoder of JSON. Two measurements of the same run tell how far the
extra ``fast`` can reach: the decoders alone, and a loop by hand with msgspec. If the decoder alone
takes half of the time of the standard library, a walk cannot take half of the time of a loop by
hand, because requests takes the same time in both loops.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
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
FAST_BY_HAND = "a loop by hand with msgspec"
#: The decoders, each alone with the pages.
MSGSPEC, JSON = "msgspec alone", "json alone"


class SlowResponse(requests.Response):
    """A response with a `json` method of its own, which msgspec must not replace."""

    def json(self, **kwargs: Any) -> Any:
        return super().json(**kwargs)


def measure(*, rounds: int = 15) -> Iterator[Figure]:
    plain = signed_in(peers.plain)
    pages = Pages()
    plain.mount("https://", pages)
    fast, slow = canned_session(Pages()), canned_session(Pages(SlowResponse))
    contestants = {
        BY_HAND: lambda: _by_hand(plain, requests.Response.json),
        FAST_BY_HAND: lambda: _by_hand(plain, _json_by_msgspec),
        FAST: lambda: _walk(fast),
        SLOW: lambda: _walk(slow),
        MSGSPEC: lambda: _decode(pages, msgspec.json.decode),
        JSON: lambda: _decode(pages, json.loads),
    }
    outcome = take_turns(contestants, time.thread_time, rounds=rounds)
    per_item = {name: outcome.median(name) / (Pages.ITEMS) * 1e6 for name in contestants}
    floor = {
        f"{ours}, of {theirs}": f"{outcome.ratio(ours, theirs):.3f}"
        for ours, theirs in ((MSGSPEC, JSON), (FAST_BY_HAND, BY_HAND))
    }
    for name, theirs, at_most, known in (
        (FAST, BY_HAND, 0.5, floor),
        (FAST, FAST_BY_HAND, 1.02, {}),
        (SLOW, BY_HAND, 1.02, {}),
    ):
        costs = {each: f"{per_item[each]:.2f} us" for each in (name, theirs)}
        yield Figure(
            name=f"CPU time of an item {name}, of {theirs}",
            value=outcome.ratio(name, theirs),
            at_most=at_most,
            details={**costs, **known},
        )
    yield Figure(
        name=f"microseconds per item that items() adds to {BY_HAND}",
        value=outcome.difference(SLOW, BY_HAND) / Pages.ITEMS * 1e6,
        at_most=0.15,
    )


def _walk(iris: IrisSession) -> None:
    _check(sum(1 for _ in iris.items(PATH)))


def _decode(pages: Pages, decode: Callable[[bytes], object]) -> None:
    for body in pages.bodies:
        decode(body)


def _json_by_msgspec(response: requests.Response) -> Any:
    return msgspec.json.decode(response.content)


def _by_hand(session: requests.Session, decode: Callable[[requests.Response], Any]) -> None:
    found, number, pages = 0, 0, 1
    while number < pages:
        response = session.get(URL, params={"size": Pages.SIZE, "page": number}, timeout=60)
        response.raise_for_status()
        page = decode(response)
        found += sum(1 for _ in page["content"])
        number, pages = number + 1, page["totalPages"]
    _check(found)


def _check(found: int) -> None:
    if found != Pages.ITEMS:
        raise AssertionError(f"{found} items")
