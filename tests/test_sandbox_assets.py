"""A fleet of the user's own: each interface of the sandbox shows the same machines."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

import pytest

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox
from requests_iris.sandbox.fleet import Fleet

from .support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET, GRAPHQL, JSON, OPERATORS, PLANS
from .support.plain_client import PlainClient

MINE = [
    {"id": "digger", "name": "Digger", "brand": "Nordgrav", "model": "D1", "serialNumber": "7"},
    {"name": "Møller's crane", "tags": ["a", {"b": None}], "weight": 1.5},
    {"id": "roller", "brand": None, "weight": 12},
]
QUERY = """
query ($first: Int, $after: String) {
  assets(first: $first, after: $after) {
    edges { node { id name weight } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture
def own():
    with Sandbox(assets=MINE) as sandbox:
        yield sandbox


@pytest.fixture
def client(own: Sandbox):
    with PlainClient(own) as client:
        client.sign_in()
        yield client


def ids(items: list[dict]) -> list[str]:
    return [item["id"] for item in items]


def test_the_list_has_the_users_assets_and_no_other_members(own, client) -> None:
    page = client.get(ASSETS).json()
    assert page["totalElements"] == own.machines == 3
    assert page["content"] == own.assets
    assert page["content"] == [MINE[0], {**MINE[1], "id": own.asset_ids[1]}, MINE[2]]


def test_an_asset_without_an_id_gets_the_same_made_up_id_each_time(own) -> None:
    with Sandbox(assets=iter(MINE)) as another:
        assert another.asset_ids == own.asset_ids
    assert own.asset_ids == ("digger", Fleet(2).assets[1]["id"], "roller")


def test_each_asset_is_found_by_its_id(own, client) -> None:
    for asset in own.assets:
        assert client.get(f"{ASSETS}/{asset['id']}").json() == asset


def test_the_aemp_snapshot_has_an_entry_for_each_asset(own, client) -> None:
    page = client.get(f"{FLEET}/1", headers=JSON).json()
    headers = [item["EquipmentHeader"] for item in page["Equipment"]]
    assert tuple(header["EquipmentID"] for header in headers) == own.asset_ids
    assert headers[0]["OEMName"] == "Nordgrav"
    assert (headers[0]["Model"], headers[0]["SerialNumber"]) == ("D1", "7")
    assert set(headers[1]) == set(headers[2]) == {"EquipmentID"}
    xml = ElementTree.fromstring(client.get(f"{FLEET}/1").content)
    assert "None" not in ElementTree.tostring(xml, encoding="unicode")


def test_graphql_knows_every_member_and_says_null_for_a_missing_one(own, client) -> None:
    body = {"query": QUERY, "variables": {"first": 10}}
    edges = client.post(GRAPHQL, json=body).json()["data"]["assets"]["edges"]
    assert [edge["node"] for edge in edges] == [
        {"id": asset["id"], "name": asset.get("name"), "weight": asset.get("weight")}
        for asset in own.assets
    ]
    body["query"] = QUERY.replace("weight", "colour")
    assert "colour" in client.post(GRAPHQL, json=body).json()["errors"][0]["message"]


def test_operators_events_and_plans_are_made_up_for_each_asset(own, client) -> None:
    assert len(client.get(OPERATORS).json()["content"]) == 3
    events = client.post(EVENTS, json=EVENTS_BODY).json()["content"]
    assert tuple(event["assetId"] for event in events) == own.asset_ids
    assert len(client.get(PLANS).json()["servicePlans"]) == 3


@pytest.mark.parametrize(
    ("sort", "order"), [("weight", [1, 2, 0]), ("-weight", [0, 2, 1]), ("tags", [1, 0, 2])]
)
def test_a_list_is_sorted_by_a_member_that_some_assets_lack(own, client, sort, order) -> None:
    content = client.get(ASSETS, params={"sort": sort}).json()["content"]
    assert ids(content) == [own.asset_ids[number] for number in order]


def test_assets_with_members_of_several_types_can_be_sorted() -> None:
    values = [{}, [1], "b", "a", 2, 1.5, True, None]
    assets = [{"x": value} for value in values]
    with Sandbox(assets=assets) as sandbox, PlainClient(sandbox) as client:
        client.sign_in()
        content = client.get(ASSETS, params={"sort": "x"}).json()["content"]
    assert [item["x"] for item in content] == [True, 1.5, 2, "a", "b", [1], {}, None]


def test_a_session_reads_the_users_fleet(own) -> None:
    with IrisSession(**own.settings) as iris:
        iris.verify = own.ca_file
        assert list(iris.items(ASSETS)) == own.assets


def test_the_users_own_objects_are_neither_changed_nor_shared(own, client) -> None:
    mine = [{"name": "Digger", "tags": ["a"]}]
    own.assets = mine
    assert mine == [{"name": "Digger", "tags": ["a"]}]
    mine[0]["tags"].append("b")
    own.assets[0]["tags"].append("c")
    assert client.get(ASSETS).json()["content"][0]["tags"] == ["a"]


def test_other_assets_can_be_served_at_any_time(own, client) -> None:
    own.assets = own.assets[:1]
    assert ids(client.get(ASSETS).json()["content"]) == ["digger"]
    own.assets = []
    assert (own.machines, client.get(ASSETS).json()["totalPages"]) == (0, 0)


def test_the_number_of_machines_cannot_be_set_on_the_users_fleet(own) -> None:
    with pytest.raises(ValueError, match=r"set sandbox\.assets instead"):
        own.machines = 5
    assert own.machines == 3
    with pytest.raises(ValueError, match="machines or assets, not both"):
        Sandbox(machines=3, assets=MINE)


def test_a_made_up_fleet_can_be_replaced_by_the_users_fleet(sandbox) -> None:
    sandbox.assets = [*sandbox.assets[:2], {"id": "mine"}]
    assert sandbox.asset_ids == (*(asset["id"] for asset in Fleet(2).assets), "mine")


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ([{"id": "a"}, {"id": "b"}, {"id": "a"}], r"assets\[0\] and assets\[2\] .* id 'a'"),
        ([{}, {"id": Fleet(1).assets[0]["id"]}], r"assets\[0\] and assets\[1\] have the same id"),
        ([{"id": 7}], r"""assets\[0\]\["id"\] must be a str, not 7"""),
        ([{"id": None}], r"""assets\[0\]\["id"\] must be a str, not None"""),
        ([{"id": ""}], r"""assets\[0\]\["id"\] must be a part of a path"""),
        ([{"id": "a/b"}], r"""assets\[0\]\["id"\] must be a part of a path"""),
        ([{}, "digger"], r"assets\[1\] must be a dict, not 'digger'"),
        ([None], r"assets\[0\] must be a dict, not None"),
        ([{}, {"since": datetime(2025, 1, 1)}], r"assets\[1\] must hold JSON values only"),
        ([{"weight": float("nan")}], r"assets\[0\] must hold JSON values only"),
        ([{("a",): 1}], r"assets\[0\] must hold JSON values only"),
    ],
)
def test_assets_that_iris_could_not_have_are_refused(sandbox, assets, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Sandbox(assets=assets)
    before = sandbox.assets
    with pytest.raises((TypeError, ValueError), match=message):
        sandbox.assets = assets
    assert sandbox.assets == before
