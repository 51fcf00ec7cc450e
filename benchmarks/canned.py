"""Adapters that answer at once, without a network: the cost is the cost of the session alone."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter

from requests_iris import IrisSession

#: A token that never expires.
TOKEN = {"access_token": "a-token", "token_type": "Bearer"}
URL = "https://iris.trackunit.com/api/asset/v1/assets?size=100"


class Canned(BaseAdapter):
    """Returns a minimal response."""

    def __init__(self, kind: type[requests.Response] = requests.Response) -> None:
        super().__init__()
        self._kind = kind

    def send(self, request: requests.PreparedRequest, **settings: object) -> requests.Response:
        response = self._kind()
        response.status_code, response.encoding = 200, "utf-8"
        response.request, response.url = request, request.url or ""
        response._content = self.content(request)
        return response

    def content(self, request: requests.PreparedRequest) -> bytes:
        return b"{}"

    def close(self) -> None:
        """Nothing is open."""


class Pages(Canned):
    """Returns the pages of a long list."""

    COUNT, SIZE = 20, 1000
    ITEMS = COUNT * SIZE

    def __init__(self, kind: type[requests.Response] = requests.Response) -> None:
        super().__init__(kind)
        self.bodies = [_body(number) for number in range(self.COUNT)]

    def content(self, request: requests.PreparedRequest) -> bytes:
        query = parse_qs(urlsplit(request.url or "").query)
        return self.bodies[int(query.get("page", ["0"])[0])]


def canned_session(adapter: BaseAdapter) -> IrisSession:
    """A session with a fresh token and without a network."""
    iris = IrisSession("client", token=TOKEN)
    iris.mount("https://", adapter)
    return iris


def _body(number: int) -> bytes:
    page = {
        "content": [_asset(number * Pages.SIZE + each) for each in range(Pages.SIZE)],
        "number": number,
        "size": Pages.SIZE,
        "numberOfElements": Pages.SIZE,
        "totalElements": Pages.ITEMS,
        "totalPages": Pages.COUNT,
    }
    return json.dumps(page, separators=(",", ":")).encode()


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
