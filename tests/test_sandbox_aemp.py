"""The sandbox's AEMP series, and AEMP paths of every account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from requests_iris.sandbox import Sandbox

from .support.paths import FLEET, JSON
from .support.plain_client import PlainClient

UTC = UTC
START, END = "2025-01-01T00:00:00Z", "2025-01-15T00:00:00Z"
#: Serial numbers that break programs that do not quote the path.
PINS = ["A/B", "A%2FB", "50%", "Ø 7", "?x=1", "#1", "a b+c", "..x", "&;,=", "\\", "C/D/12"]


@pytest.fixture(scope="module")
def odd():
    """A sandbox with a machine for each of `PINS`. No test changes the fleet."""
    assets = [{"id": f"m{number}", "serialNumber": pin} for number, pin in enumerate(PINS)]
    with Sandbox(assets=assets) as sandbox, PlainClient(sandbox) as client:
        client.sign_in()
        yield client


@pytest.fixture(scope="module")
def usual():
    """A sandbox that no test changes."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(usual: Sandbox):
    with PlainClient(usual) as client:
        client.sign_in()
        yield client


def series(client, pin="SN00000001", point="Distance", start=START, end=END, page=1, **kwargs):
    segments = "/".join(quote(str(each), safe="") for each in (pin, point, start, end, page))
    base = kwargs.pop("base", FLEET)
    return client.get(f"{base}/Equipment/ID/{segments}", **{"headers": JSON, **kwargs})


def test_a_series_is_a_list_under_the_name_of_the_data_point_with_a_small_letter(client) -> None:
    page = series(client, point="CumulativeOperatingHours").json()
    items = page["cumulativeOperatingHours"]
    assert len(items) == 100
    assert items[1] == {"datetime": "2025-01-01T01:00:00Z", "hour": 1000.5}
    assert [link["rel"] for link in page["Links"]] == ["self", "next", "last"]


def test_the_links_of_a_series_lead_through_both_ends_of_the_time_range(client) -> None:
    found, url = [], f"{FLEET}/Equipment/ID/SN00000001/Distance/{START}/{END}/1"
    while url:
        page = client.get(url, headers=JSON).json()
        found += [item["datetime"] for item in page["distance"]]
        url = {link["rel"]: link["href"] for link in page["Links"]}.get("next")
    assert (len(found), found[0], found[-1]) == (14 * 24 + 1, START, END)
    assert found == sorted(set(found))


def test_a_series_is_the_same_each_time_and_different_for_each_machine(client) -> None:
    first, again = (series(client).json()["distance"] for _ in range(2))
    assert first == again
    assert series(client, "SN00000002").json()["distance"] != first


def test_a_machine_has_the_same_series_by_its_serial_number_and_by_its_id(usual, client) -> None:
    by_id = series(client, usual.asset_ids[2]).json()["distance"]
    assert by_id == series(client, "SN00000003").json()["distance"]


def test_a_series_is_xml_unless_the_request_asks_for_json(client) -> None:
    response = series(client, headers={})
    assert response.headers["Content-Type"].startswith("application/xml")
    names = {"": "http://standards.iso.org/iso/15143/-3"}
    root = ElementTree.fromstring(response.content)
    assert len(root.findall("distance", names)) == 100
    assert root.findtext("distance/odometer", None, names) == "1000.0"


@pytest.mark.parametrize(
    ("start", "end", "status", "field"),
    [
        (START, END, 200, None),
        (START, START, 200, None),
        ("2025-01-01T02:00:00+02:00", END, 200, None),
        (START, "2025-01-15T00:00:00.000001Z", 400, "end"),
        (END, START, 400, "end"),
        (START, "2025-01-02", 400, "end"),
        ("yesterday", END, 400, "start"),
        ("2025-01-01T00:00:00", END, 400, "start"),
        ("0001-01-01T00:00:00+02:00", END, 400, "start"),
    ],
)
def test_a_series_takes_at_most_14_days_of_real_time(client, start, end, status, field) -> None:
    response = series(client, start=start, end=end)
    assert response.status_code == status
    if field:
        assert [each["field"] for each in response.json()["violations"]] == [field]


def test_a_series_before_its_first_item_is_an_empty_list(client) -> None:
    page = series(client, start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00Z").json()
    assert page["distance"] == []
    assert [link["rel"] for link in page["Links"]] == ["self", "last"]


@pytest.mark.parametrize(
    "change", [{"pin": "nobody"}, {"point": "no name"}, {"page": 0}, {"page": 5}, {"page": "x"}]
)
def test_an_unknown_machine_data_point_or_page_is_not_found(client, change) -> None:
    response = series(client, **change)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("number", range(len(PINS)))
def test_a_pin_with_any_character_is_found_if_the_path_has_the_pin_quoted(odd, number) -> None:
    page = series(odd, PINS[number]).json()
    assert page["distance"][0]["odometer"] == 1000 * (number + 1)
    following = {link["rel"]: link["href"] for link in page["Links"]}["next"]
    assert odd.get(following, headers=JSON).json()["distance"]


def test_a_pin_with_a_slash_is_not_found_if_the_path_has_the_pin_unquoted(odd) -> None:
    assert odd.get(f"{FLEET}/Equipment/ID/A/B/Distance/{START}/{END}/1").status_code == 404


@pytest.mark.parametrize("base", ["/aemp/v2/123/-1/Fleet", "/public/api/aemp/v2/9/-2/Fleet"])
def test_the_aemp_paths_of_every_account_are_served(usual, client, base) -> None:
    page = client.get(f"{base}/1", headers=JSON).json()
    assert len(page["Equipment"]) == 100
    assert page["Links"][0]["href"] == f"{usual.base_url}{base}/1"
    assert len(series(client, base=base).json()["distance"]) == 100


def test_late_data_appears_in_the_order_of_time(sandbox) -> None:
    late = [datetime(2025, 1, 1, 2, 30, tzinfo=UTC), datetime(2025, 1, 1, 0, 15, tzinfo=UTC)]
    with PlainClient(sandbox) as client:
        client.sign_in()
        before = series(client).json()["distance"]
        sandbox.add_late_data("SN00000001", "Distance", late)
        after = series(client).json()["distance"]
        others = series(client, "SN00000002"), series(client, point="FuelUsed")
    new = [item["datetime"] for item in after if item not in before]
    assert new == ["2025-01-01T00:15:00Z", "2025-01-01T02:30:00Z"]
    assert [item for item in after if item in before] == before[:98]
    assert not any(new[0] in other.text for other in others)


def test_wrong_late_data_is_refused() -> None:
    sandbox, pin = Sandbox(), "SN00000001"
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    for arguments, error, message in [
        (("nobody", "Distance", []), ValueError, "pin"),
        ((7, "Distance", []), TypeError, "pin"),
        ((pin, "no name", []), ValueError, "data_point"),
        ((pin, None, []), TypeError, "data_point"),
        ((pin, "Distance", early), TypeError, "times"),
        ((pin, "Distance", [START]), TypeError, "each of times"),
        ((pin, "Distance", [datetime(2025, 1, 1)]), ValueError, "each of times"),
        ((pin, "Distance", [early]), ValueError, "each of times"),
    ]:
        with pytest.raises(error, match=message):
            sandbox.add_late_data(*arguments)


def test_a_series_needs_the_scope_for_time_series(usual) -> None:
    form = {"grant_type": "client_credentials", "scope": "api.iso15143.snapshot"}
    form |= {name: usual.key_settings[name] for name in ("client_id", "client_secret")}
    with PlainClient(usual) as client:
        token = client.post(usual.key_token_url, data=form).json()["access_token"]
        headers = {**JSON, "Authorization": f"Bearer {token}"}
        assert client.get(f"{FLEET}/1", headers=headers).ok
        assert series(client, headers=headers).status_code == 403
