"""The made-up fleet: the same machines, drivers and events each time, as many as one likes."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

#: One element of a list, as it goes into JSON.
Element = dict[str, Any]

_NAMESPACE = uuid.UUID("1a2b3c4d-0000-4000-8000-000000000000")
_EPOCH = datetime(2025, 1, 1, tzinfo=timezone.utc)
_TYPES = ("Excavator", "Wheel loader", "Telehandler", "Roller", "Scissor lift", "Dumper", "Crane")
_BRANDS = ("Nordgrav", "Tallhaven", "Bergmann & Søn", "Kraftverk")
_SURNAMES = ("Jensen", "Müller", "Rossi", "Nowak", "García", "Smith", "Virtanen", "Dubois")
_EVENTS = ("ENGINE_STARTED", "ENGINE_STOPPED", "ENTERED_SITE", "LEFT_SITE")


class Fleet:
    """`machines` machines, and for each of them one driver and one event. It does not change."""

    def __init__(self, machines: int) -> None:
        if machines < 0:
            raise ValueError(f"A fleet has 0 machines or more, not {machines}.")
        numbers = range(machines)
        self.assets = [_asset(number) for number in numbers]
        self.operators = [_operator(number) for number in numbers]
        self.events = [_event(number) for number in numbers]
        self.equipment = [_equipment(asset) for asset in self.assets]
        self.service_plans = [_service_plan(number) for number in range(min(machines, 12))]
        self._assets_by_id = {asset["id"]: asset for asset in self.assets}

    def asset(self, asset_id: str) -> Element | None:
        return self._assets_by_id.get(asset_id)


def _asset(number: int) -> Element:
    kind = _TYPES[number % len(_TYPES)]
    return {
        "id": _id("asset", number),
        "name": f"{kind} {number + 1:05}",
        "description": f"Site {number % 9 + 1}",
        "type": kind,
        "brand": _BRANDS[number % len(_BRANDS)],
        "model": f"M{number % 23 + 100}",
        "serialNumber": f"SN{number + 1:08}",
        "createdAt": _time(number),
    }


def _operator(number: int) -> Element:
    return {
        "id": _id("operator", number),
        "name": f"{_SURNAMES[number % len(_SURNAMES)]} {number + 1:05}",
        "employeeNumber": f"E{number + 1:06}",
    }


def _event(number: int) -> Element:
    return {
        "id": _id("event", number),
        "assetId": _id("asset", number),
        "type": _EVENTS[number % len(_EVENTS)],
        "time": _time(number),
    }


def _equipment(asset: Element) -> Element:
    return {
        "EquipmentHeader": {
            "OEMName": asset["brand"],
            "Model": asset["model"],
            "EquipmentID": asset["id"],
            "SerialNumber": asset["serialNumber"],
        },
        "CumulativeOperatingHours": {"datetime": asset["createdAt"], "Hour": 1234.5},
    }


def _service_plan(number: int) -> Element:
    return {"id": _id("service-plan", number), "name": f"Every {(number + 1) * 250} hours"}


def _id(kind: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{number}"))


def _time(number: int) -> str:
    return (_EPOCH + timedelta(minutes=number)).isoformat().replace("+00:00", "Z")
