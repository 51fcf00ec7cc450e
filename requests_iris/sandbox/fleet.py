"""The fleet: the same made-up machines each time, or the user's own.

Each machine has an asset, a driver, an event, an entry in the AEMP snapshot, a site, and an item
per hour in each AEMP series.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from ..timespans import text_of_time
from . import checks

#: One item of a list, as in JSON.
Item = dict[str, Any]

#: The time of the first event and of the first item of every series.
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
#: The time between two items of a series, and between two events.
PERIOD, BETWEEN_EVENTS = timedelta(hours=1), timedelta(minutes=1)
#: The number of sites.
SITES = 9

_NAMESPACE = uuid.UUID("1a2b3c4d-0000-4000-8000-000000000000")
_TYPES = ("Excavator", "Wheel loader", "Telehandler", "Roller", "Scissor lift", "Dumper", "Crane")
_BRANDS = ("Nordgrav", "Tallhaven", "Bergmann & Søn", "Kraftverk")
_SURNAMES = ("Jensen", "Müller", "Rossi", "Nowak", "García", "Smith", "Virtanen", "Dubois")
#: The texts of a made-up fleet are the same each time. A test suite makes hundreds of fleets, and
#: making the texts takes longer than the rest of a fleet.
_for_the_next_fleet = lru_cache(maxsize=10_000)
_EVENTS = ("ENGINE_STARTED", "ENGINE_STOPPED", "ENTERED_SITE", "LEFT_SITE")


class Fleet:
    """`machines` made-up machines, or the machines of `assets`. A fleet does not change.

    Each list is made when a request asks for the list, because most tests use one list of their
    sandbox. Threads may ask at once: two lists made at once are equal.
    """

    def __init__(self, machines: int = 0, *, assets: Iterable[Mapping[str, Any]] | None = None):
        #: Whether the assets are the user's own.
        self.own = assets is not None
        if assets is None:
            checks.whole_number("machines", machines, least=0)
            self.assets = [_asset(number) for number in range(machines)]
        else:
            self.assets = _own_assets(assets)

    @cached_property
    def operators(self) -> list[Item]:
        return [_operator(number) for number in self._numbers]

    @cached_property
    def events(self) -> list[Item]:
        return [_event(number, asset["id"]) for number, asset in enumerate(self.assets)]

    @cached_property
    def equipment(self) -> list[Item]:
        return [_equipment(number, asset) for number, asset in enumerate(self.assets)]

    @cached_property
    def service_plans(self) -> list[Item]:
        return [_service_plan(number) for number in self._numbers[:12]]

    @cached_property
    def asset_fields(self) -> set[str]:
        """The names of all members that assets have."""
        return {name for asset in self.assets for name in asset}

    @cached_property
    def sites(self) -> list[Item]:
        """The sites of GraphQL, each with a ninth of the assets."""
        return [_site(number, self.assets[number::SITES]) for number in self._numbers[:SITES]]

    @property
    def _numbers(self) -> range:
        return range(len(self.assets))

    @cached_property
    def _assets_by_id(self) -> dict[str, Item]:
        return {asset["id"]: asset for asset in self.assets}

    @cached_property
    def _numbers_by_pin(self) -> dict[str, int]:
        """Of two machines with the same name, the first machine counts."""
        numbers: dict[str, int] = {}
        for number, each in enumerate(self.equipment):
            header = each["EquipmentHeader"]
            for name in ("SerialNumber", "EquipmentID"):
                if name in header:
                    numbers.setdefault(str(header[name]), number)
        return numbers

    @cached_property
    def _sites_by_asset(self) -> dict[str, Item]:
        return {asset["id"]: site for site in self.sites for asset in site["assets"]}

    def asset(self, asset_id: str) -> Item | None:
        return self._assets_by_id.get(asset_id)

    def events_between(self, since: datetime, until: datetime) -> list[Item]:
        """The events from `since` to just before `until`."""
        first, end = (-((EPOCH - time) // BETWEEN_EVENTS) for time in (since, until))
        return self.events[max(first, 0) : max(end, 0)]

    def number_of(self, pin: str) -> int | None:
        """The number of the machine with this `SerialNumber` or `EquipmentID`."""
        return self._numbers_by_pin.get(pin)

    def site_of(self, asset: Item) -> Item:
        """The site where an asset is."""
        return self._sites_by_asset[asset["id"]]


def measurement(machine: int, data_point: str, time: datetime) -> Item:
    """The item of a series at a time: the same item for the same arguments each time."""
    hours = (time - EPOCH) / PERIOD
    value = round(1000 * (machine + 1) + hours / 2, 3)
    members: dict[str, Item] = {
        "CumulativeOperatingHours": {"hour": value},
        "Distance": {"odometer": value, "odometerUnits": "kilometre"},
    }
    return {"datetime": text_of_time(time), **members.get(data_point, {"value": value})}


def measurement_times(start: datetime, end: datetime) -> list[datetime]:
    """The times of a series from `start` to `end`: each full hour from `EPOCH` on."""
    first = max(-((EPOCH - start) // PERIOD), 0)
    last = (end - EPOCH) // PERIOD
    return [EPOCH + number * PERIOD for number in range(first, last + 1)]


def _own_assets(assets: Iterable[Mapping[str, Any]]) -> list[Item]:
    """Copies of the user's assets as they look in JSON, with ids.

    :raises TypeError: for anything but a list of dicts that JSON can carry.
    :raises ValueError: for an id that two assets share, and for an empty id.
    """
    if isinstance(assets, (str, bytes, Mapping)) or not isinstance(assets, Iterable):
        raise TypeError(f"assets must be a list of dicts, not {assets!r}.")
    copies = [checks.json_object(f"assets[{n}]", asset) for n, asset in enumerate(assets)]
    numbers: dict[str, int] = {}
    for number, asset in enumerate(copies):
        asset_id = asset.setdefault("id", _id("asset", number))
        if not isinstance(asset_id, str):
            raise TypeError(f'assets[{number}]["id"] must be a str, not {asset_id!r}.')
        if not asset_id or "/" in asset_id:
            raise ValueError(f'assets[{number}]["id"] must be a part of a path, not {asset_id!r}.')
        if numbers.setdefault(asset_id, number) != number:
            raise ValueError(
                f"assets[{numbers[asset_id]}] and assets[{number}] have the same id {asset_id!r}."
            )
    return copies


def _asset(number: int) -> Item:
    kind = _TYPES[number % len(_TYPES)]
    return {
        "id": _id("asset", number),
        "name": f"{kind} {number + 1:05}",
        "description": f"Site {number % SITES + 1}",
        "type": kind,
        "brand": _BRANDS[number % len(_BRANDS)],
        "model": f"M{number % 23 + 100}",
        "serialNumber": f"SN{number + 1:08}",
        "createdAt": _time(number),
    }


def _operator(number: int) -> Item:
    return {
        "id": _id("operator", number),
        "name": f"{_SURNAMES[number % len(_SURNAMES)]} {number + 1:05}",
        "employeeNumber": f"E{number + 1:06}",
    }


def _event(number: int, asset_id: str) -> Item:
    return {
        "id": _id("event", number),
        "assetId": asset_id,
        "type": _EVENTS[number % len(_EVENTS)],
        "time": _time(number),
    }


def _equipment(number: int, asset: Item) -> Item:
    """The AEMP entry of an asset. Members that the asset does not have are left out."""
    header = {
        "OEMName": asset.get("brand"),
        "Model": asset.get("model"),
        "EquipmentID": asset["id"],
        "SerialNumber": asset.get("serialNumber"),
    }
    return {
        "EquipmentHeader": {name: value for name, value in header.items() if value is not None},
        "CumulativeOperatingHours": {"datetime": _time(number), "Hour": 1234.5},
    }


def _service_plan(number: int) -> Item:
    return {"id": _id("service-plan", number), "name": f"Every {(number + 1) * 250} hours"}


def _site(number: int, assets: list[Item]) -> Item:
    return {"id": _id("site", number), "name": f"Site {number + 1}", "assets": assets}


@_for_the_next_fleet
def _id(kind: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{number}"))


@_for_the_next_fleet
def _time(number: int) -> str:
    return text_of_time(EPOCH + number * BETWEEN_EVENTS)
