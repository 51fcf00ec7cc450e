"""pandas: a fleet as a DataFrame."""

from __future__ import annotations

import io

import pandas as pd

ASSETS = "/api/asset/v1/assets"
FLEET = "/public/api/aemp/v2/15143/-3/Fleet/1"


def test_a_fleet_becomes_one_frame(iris, sandbox) -> None:
    frame = pd.json_normalize(list(iris.items(ASSETS, params={"size": 100})))
    assert tuple(frame["id"]) == sandbox.asset_ids
    assert pd.to_datetime(frame["createdAt"]).dt.tz is not None


def test_nested_members_become_columns(iris) -> None:
    reply = iris.get(FLEET, headers={"Accept": "application/json"}).json()
    frame = pd.json_normalize(reply, record_path="Equipment")
    assert len(frame) == 100
    assert frame["CumulativeOperatingHours.Hour"].eq(1234.5).all()
    assert frame["EquipmentHeader.EquipmentID"].is_unique


def test_read_json_reads_a_response(iris) -> None:
    reply = iris.get(ASSETS, params={"size": 5})
    frame = pd.read_json(io.StringIO(reply.text))
    assert list(frame["number"]) == [0] * 5
    assert {"id", "serialNumber"} <= set(frame["content"][0])
