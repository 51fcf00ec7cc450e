"""The CPU time of an item in a long list, without a network: nearly all of it is JSON."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from requests_iris import IrisSession

from . import peers
from .figure import Figure
from .overhead import Canned, signed_in
from .turns import take_turns

PATH = "/api/asset/v1/assets"
URL = f"https://iris.trackunit.com{PATH}"
PAGES, SIZE = 20, 1000
BY_HAND, FAST, SLOW = "a loop by hand", "with msgspec", "without msgspec"


class SlowResponse(requests.Response):
    """A response with a `json` method of its own, which msgspec must not replace."""

    def json(self, **kwargs: Any) -> Any:
        return super().json(**kwargs)


class Pages(Canned):
    """Returns the pages of a long list at once."""

    def __init__(self, kind: type[requests.Response]) -> None:
        super().__init__()
        self._kind = kind
        self._bodies = [_body(number) for number in range(PAGES)]

    def send(self, request: requests.PreparedRequest, **settings: object) -> requests.Response:
        query = parse_qs(urlsplit(request.url or "").query)
        response = self._kind()
        response.status_code, response.encoding = 200, "utf-8"
        response.request, response.url = request, request.url or ""
        response._content = self._bodies[int(query.get("page", ["0"])[0])]
        return response


def measure(*, rounds: int = 15) -> Iterator[Figure]:
    plain = signed_in(peers.plain)
    plain.mount("https://", Pages(requests.Response))
    fast, slow = _ours(requests.Response), _ours(SlowResponse)
    contestants = {
        BY_HAND: lambda: _by_hand(plain),
        FAST: lambda: _walk(fast),
        SLOW: lambda: _walk(slow),
    }
    outcome = take_turns(contestants, time.thread_time, rounds=rounds)
    per_item = {name: outcome.median(name) / (PAGES * SIZE) * 1e6 for name in contestants}
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


def _ours(kind: type[requests.Response]) -> IrisSession:
    iris = signed_in(peers.iris)
    if not isinstance(iris, IrisSession):
        raise TypeError("not our session")
    iris.mount("https://", Pages(kind))
    return iris


def _walk(iris: IrisSession) -> None:
    _check(sum(1 for _ in iris.items(PATH)))


def _by_hand(session: requests.Session) -> None:
    found, number, pages = 0, 0, 1
    while number < pages:
        response = session.get(URL, params={"size": SIZE, "page": number}, timeout=60)
        response.raise_for_status()
        page = response.json()
        found += sum(1 for _ in page["content"])
        number, pages = number + 1, page["totalPages"]
    _check(found)


def _check(found: int) -> None:
    if found != PAGES * SIZE:
        raise AssertionError(f"{found} items")


def _asset(number: int) -> dict[str, Any]:
    """An asset with the members and the size of a typical asset of IRIS: 466 bytes as JSON."""
    return {
        "id": str(uuid.UUID(int=number)),
        "name": f"Excavator {number:06}",
        "brand": "Hitachi",
        "model": "ZX210LC-7",
        "type": "EXCAVATOR",
        "category": "Crawler excavators",
        "serialNumber": f"HCMDFS00{number:08}",
        "productionYear": 2021,
        "active": True,
        "owner": {"id": 4711, "name": "Nordic Rental"},
        "hours": 4812.75,
        "position": {"latitude": 55.676098, "longitude": 12.568337},
        "tags": ["rental", "tier-4"],
        "externalReference": None,
        "createdAt": "2024-03-01T08:15:30Z",
        "updatedAt": "2026-11-28T23:59:59Z",
    }


def _body(number: int) -> bytes:
    page = {
        "content": [_asset(number * SIZE + each) for each in range(SIZE)],
        "number": number,
        "size": SIZE,
        "numberOfElements": SIZE,
        "totalElements": PAGES * SIZE,
        "totalPages": PAGES,
    }
    return json.dumps(page, separators=(",", ":")).encode()
