"""The sandbox's API: access tokens, pagination styles, error objects, limits."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

import pytest
import requests

from requests_iris.sandbox import Sandbox

from .support.paths import (
    ASSETS,
    EVENTS,
    EVENTS_BODY,
    FLEET,
    GRAPHQL,
    JSON,
    OPERATORS,
    PLANS,
    QUERY,
)
from .support.plain_client import PlainClient


@pytest.fixture
def client(sandbox: Sandbox):
    """A client that is signed in."""
    with PlainClient(sandbox) as client:
        client.sign_in()
        yield client


def ids(items) -> list[str]:
    return [item["id"] for item in items]


def violated(response: requests.Response) -> list[str]:
    assert response.status_code == 400
    return [violation["field"] for violation in response.json()["violations"]]


class TestBearer:
    @pytest.mark.parametrize(
        "path", [ASSETS, OPERATORS, f"{FLEET}/1", GRAPHQL, "/echo", "/redirect", "/nothing"]
    )
    def test_every_path_rejects_a_request_without_a_token(self, client, path):
        response = client.get(path, headers={"Authorization": None})
        assert response.status_code == 401
        assert response.json()["status"] == 401
        assert response.json()["code"] == "unauthorized"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="iris"'

    @pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "Basic eDp5", "nonsense"])
    def test_a_wrong_token_is_called_invalid(self, client, header):
        response = client.get("/echo", headers={"Authorization": header})
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]

    def test_a_token_in_the_query_does_not_count(self, sandbox, client):
        query = {"access_token": sandbox.issued[0]}
        response = client.get("/echo", params=query, headers={"Authorization": None})
        assert response.status_code == 401

    def test_a_refresh_token_does_not_count_as_an_access_token(self, sandbox, client):
        header = {"Authorization": f"Bearer {sandbox.refresh_token}"}
        assert client.get("/echo", headers=header).status_code == 401

    def test_a_token_without_the_scope_is_forbidden(self, client):
        client.sign_in(scope="offline_access")
        response = client.get(ASSETS)
        assert response.status_code == 403
        assert response.json()["code"] == "forbidden"


class TestPages:
    def test_a_page_has_twenty_items_by_default(self, sandbox, client):
        page = client.get(ASSETS).json()
        assert ids(page.pop("content")) == list(sandbox.asset_ids[:20])
        assert page == {
            "number": 0,
            "size": 20,
            "numberOfElements": 20,
            "totalElements": 250,
            "totalPages": 13,
        }

    def test_all_pages_together_are_the_fleet(self, sandbox, client):
        found = []
        for number in range(4):
            found += client.get(ASSETS, params={"size": 75, "page": number}).json()["content"]
        assert tuple(ids(found)) == sandbox.asset_ids

    def test_the_last_page_is_shorter_and_the_page_after_it_is_empty(self, client):
        last = client.get(ASSETS, params={"size": 75, "page": 3}).json()
        assert last["numberOfElements"] == len(last["content"]) == 25
        beyond = client.get(ASSETS, params={"size": 75, "page": 4}).json()
        assert beyond["content"] == []
        assert beyond["totalPages"] == 4

    def test_a_page_size_above_the_limit_is_cut_down(self):
        with Sandbox(machines=1001) as sandbox, PlainClient(sandbox) as client:
            client.sign_in()
            page = client.get(ASSETS, params={"size": 5000}).json()
        assert page["size"] == page["numberOfElements"] == 1000
        assert page["totalPages"] == 2

    def test_an_empty_fleet_has_no_pages(self):
        with Sandbox(machines=0) as sandbox, PlainClient(sandbox) as client:
            client.sign_in()
            page = client.get(ASSETS).json()
        assert (page["content"], page["totalPages"], page["totalElements"]) == ([], 0, 0)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("size=0", "size"),
            ("size=ten", "size"),
            ("page=-1", "page"),
            ("page=", "page"),
            ("sort=colour", "sort"),
            (f"size={'9' * 5000}", "size"),
        ],
    )
    def test_a_bad_argument_is_a_violation(self, client, query, field):
        response = client.get(f"{ASSETS}?{query}")
        assert response.json()["code"] == "constraint_violation"
        assert violated(response) == [field]

    def test_a_list_is_sorted_by_several_fields(self, client):
        found = client.get(ASSETS, params={"size": 250, "sort": "type,-name"}).json()["content"]
        names = [(asset["type"], asset["name"]) for asset in found]
        upwards = sorted({kind for kind, _ in names})
        assert names == [
            pair
            for kind in upwards
            for pair in sorted((p for p in names if p[0] == kind), reverse=True)
        ]

    def test_an_encoded_plus_sorts_upwards(self, client):
        upwards = client.get(f"{ASSETS}?sort=%2Bname").json()
        assert upwards == client.get(f"{ASSETS}?sort=name").json()
        assert violated(client.get(f"{ASSETS}?sort=+name")) == ["sort"]

    def test_the_fleet_is_the_same_every_time(self, sandbox):
        with Sandbox() as another:
            assert another.asset_ids == sandbox.asset_ids
        assert len(set(sandbox.asset_ids)) == 250

    def test_the_size_of_the_fleet_can_change_between_two_pages(self, sandbox, client):
        before = sandbox.asset_ids
        for machines in (251, 249, 0):
            sandbox.machines = machines
            assert client.get(ASSETS).json()["totalElements"] == sandbox.machines == machines
            assert sandbox.asset_ids[:249] == before[:machines][:249]
        assert client.get(OPERATORS).json()["content"] == []

    def test_a_fleet_is_not_smaller_than_empty(self, sandbox):
        with pytest.raises(ValueError, match="not -1"):
            sandbox.machines = -1
        assert sandbox.machines == 250


class TestCursors:
    def test_cursors_lead_through_the_list_to_an_empty_page(self, client):
        found, query = [], {"limit": 99}
        for _ in range(3):
            page = client.get(OPERATORS, params=query).json()
            found += page["content"]
            query["after"] = page["after"]
        end = client.get(OPERATORS, params=query).json()
        assert len(set(ids(found))) == 250
        assert end == {"content": [], "limit": 99}

    def test_a_page_of_cursors_does_not_say_whether_there_is_more(self, client):
        assert set(client.get(OPERATORS).json()) == {"content", "limit", "before", "after"}

    def test_cursors_lead_back(self, client):
        first = client.get(OPERATORS, params={"limit": 3}).json()
        second = client.get(OPERATORS, params={"limit": 2, "after": first["after"]}).json()
        back = client.get(OPERATORS, params={"limit": 3, "before": second["before"]}).json()
        assert ids(back["content"]) == ids(first["content"])
        assert client.get(OPERATORS, params={"before": back["before"]}).json()["content"] == []

    def test_cursors_need_encoding_in_a_query(self, client):
        page = client.get(OPERATORS).json()
        assert page["after"].endswith("=")
        assert "+" in page["after"]
        base64.b64decode(page["after"], validate=True)
        assert violated(client.get(f"{OPERATORS}?after={page['after']}")) == ["after"]

    def test_a_limit_of_one_and_a_limit_that_is_too_large(self, client):
        assert len(client.get(OPERATORS, params={"limit": 1}).json()["content"]) == 1
        assert client.get(OPERATORS, params={"limit": 10_000}).json()["limit"] == 1000

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("after=nonsense", "after"),
            ("before=AAAA", "before"),
            ("after=LTU=", "after"),  # -5
            (f"after={base64.b64encode(b'9' * 5000).decode()}", "after"),
            ("limit=0", "limit"),
            ("after=a&before=b", "before"),
        ],
    )
    def test_a_bad_argument_is_a_violation(self, client, query, field):
        assert violated(client.get(f"{OPERATORS}?{query}")) == [field]


class TestAemp:
    def test_a_snapshot_is_xml_unless_the_request_asks_for_json(self, client):
        response = client.get(f"{FLEET}/1")
        assert response.headers["Content-Type"].startswith("application/xml")
        names = {"": "http://standards.iso.org/iso/15143/-3"}
        fleet = ElementTree.fromstring(response.content)
        assert len(fleet.findall("Equipment", names)) == 100
        rels = {link.findtext("rel", None, names) for link in fleet.findall("Links", names)}
        assert rels == {"self", "next", "last"}
        assert fleet.findtext("Equipment/EquipmentHeader/OEMName", None, names)

    def test_the_links_of_snapshots_lead_through_the_fleet(self, sandbox, client):
        found, url = [], f"{FLEET}/1"
        while url:
            page = client.get(url, headers=JSON).json()
            found += [one["EquipmentHeader"]["EquipmentID"] for one in page["Equipment"]]
            url = {link["rel"]: link["href"] for link in page["Links"]}.get("next")
        assert tuple(found) == sandbox.asset_ids

    def test_the_links_of_snapshots_are_absolute(self, sandbox, client):
        page = client.get(f"{FLEET}/2", headers=JSON).json()
        base = sandbox.base_url + FLEET
        assert page["Links"] == [
            {"rel": rel, "href": f"{base}/{number}"}
            for rel, number in [("self", 2), ("prev", 1), ("next", 3), ("last", 3)]
        ]

    def test_next_can_be_missing_while_last_is_ahead(self, sandbox, client):
        sandbox.aemp.next_link = False
        page = client.get(f"{FLEET}/1", headers=JSON).json()
        assert [link["rel"] for link in page["Links"]] == ["self", "last"]

    def test_the_lists_of_snapshots_can_be_lower_case(self, sandbox, client):
        sandbox.aemp.lower_case = True
        page = client.get(f"{FLEET}/1", headers=JSON).json()
        assert {"links", "equipment"} < set(page)
        assert not {"Links", "Equipment"} & set(page)

    @pytest.mark.parametrize("number", ["0", "4", "x"])
    def test_a_snapshot_has_no_page_outside_its_range(self, client, number):
        response = client.get(f"{FLEET}/{number}", headers=JSON)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


class TestGraphql:
    def ask(self, client, query=QUERY, **variables) -> dict:
        return client.post(GRAPHQL, json={"query": query, "variables": variables}).json()

    def test_a_connection_leads_through_the_fleet(self, sandbox, client):
        found, after, more = [], None, True
        while more:
            connection = self.ask(client, first=100, after=after)["data"]["assets"]
            found += [edge["node"]["id"] for edge in connection["edges"]]
            after = connection["pageInfo"]["endCursor"]
            more = connection["pageInfo"]["hasNextPage"]
        assert tuple(found) == sandbox.asset_ids
        assert sandbox.count("api") == 3

    def test_a_node_has_the_selected_fields(self, client):
        edge = self.ask(client, first=1)["data"]["assets"]["edges"][0]
        assert set(edge["node"]) == {"id", "name"}

    @pytest.mark.parametrize(
        ("query", "variables"),
        [
            ("{ operators { id } }", {"first": 1}),
            (QUERY.replace("$first,", "5,"), {"first": 1}),
            (QUERY.replace("name", "colour"), {"first": 1}),
            (QUERY, {}),
            (QUERY, {"first": 0}),
            (QUERY, {"first": 101}),
            (QUERY, {"first": True}),
            (QUERY, {"first": "10"}),
            (QUERY, {"first": 1, "after": "nonsense"}),
            (QUERY, {"first": 1, "after": 7}),
        ],
    )
    def test_a_query_that_the_sandbox_does_not_know_is_an_error(self, client, query, variables):
        found = self.ask(client, query, **variables)
        assert found["data"] is None
        assert found["errors"][0]["message"]

    def test_the_default_of_a_variable_counts_when_the_variable_is_missing(self, client):
        query = QUERY.replace("$first: Int", "$first: Int = 3")
        for variables, count in (({}, 3), ({"first": 2}, 2), ({"after": None}, 3)):
            edges = self.ask(client, query, **variables)["data"]["assets"]["edges"]
            assert len(edges) == count

    @pytest.mark.parametrize("body", [b"nonsense", b"[]", b"{}", b"null", b"[" * 100_000])
    def test_a_body_that_is_no_query_is_an_error(self, client, body):
        assert client.post(GRAPHQL, data=body).json()["errors"]

    def test_the_slash_at_the_end_matters(self, client):
        response = client.post(GRAPHQL.rstrip("/"), json={}, allow_redirects=False)
        assert response.status_code == 404

    def test_graphql_reports_an_exceeded_limit_in_its_own_format(self, sandbox, client):
        sandbox.limit(GRAPHQL, requests=1, per=60)
        self.ask(client, first=1)
        extensions = self.ask(client, first=1)["errors"][0]["extensions"]
        assert extensions["code"] == "RATE_LIMITED"
        assert 50_000 < extensions["resetIn"] <= 60_000


class TestOtherForms:
    def test_events_are_a_page_list_by_post(self, client):
        query = {"size": 7, "page": 1}
        page = client.post(EVENTS, params=query, json=EVENTS_BODY).json()
        assert (page["numberOfElements"], page["number"], page["totalElements"]) == (7, 1, 250)

    def test_events_are_filtered_by_the_body(self, sandbox, client):
        wanted = sandbox.asset_ids[3]
        page = client.post(EVENTS, json={**EVENTS_BODY, "assetIds": [wanted]}).json()
        assert [event["assetId"] for event in page["content"]] == [wanted]

    def test_events_are_of_the_time_in_the_body(self, sandbox, client):
        for since, until, numbers in [
            ("2025-01-01T00:03:00Z", "2025-01-01T00:05:00Z", [3, 4]),
            ("2025-01-01T01:02:00.001+01:00", "2025-01-01T00:04:00.5Z", [3, 4]),
            ("2024-12-31T23:00:00Z", "2025-01-01T00:01Z", [0]),
            ("2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z", []),
            ("2025-01-01T04:09:00Z", "9999-12-31T00:00:00Z", [249]),
        ]:
            page = client.post(EVENTS, json={"fromTime": since, "toTime": until}).json()
            found = [event["assetId"] for event in page["content"]]
            assert found == [sandbox.asset_ids[number] for number in numbers]

    def test_the_event_log_requires_a_time_range_in_the_body(self, client):
        for body, fields in [
            (None, ["fromTime", "toTime"]),
            ({}, ["fromTime", "toTime"]),
            ({"fromTime": None, "toTime": None}, ["fromTime", "toTime"]),
            ({**EVENTS_BODY, "toTime": None}, ["toTime"]),
            ({**EVENTS_BODY, "fromTime": "2025-01-01"}, ["fromTime"]),
            ({**EVENTS_BODY, "toTime": "2025-01-01T00:00:00"}, ["toTime"]),
            ({**EVENTS_BODY, "toTime": "2025-02-30T00:00:00Z"}, ["toTime"]),
            ({**EVENTS_BODY, "fromTime": 0}, ["fromTime"]),
            ({**EVENTS_BODY, "assetIds": "x"}, ["assetIds"]),
        ]:
            response = client.post(EVENTS, json=body)
            assert violated(response) == fields
            assert response.json()["code"] == "constraint_violation"

    @pytest.mark.parametrize("body", [b"nonsense", b"7", b"[" * 100_000])
    def test_a_filter_must_be_an_object(self, client, body):
        response = client.post(EVENTS, data=body)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_body")

    def test_a_single_asset_is_the_same_as_in_the_list(self, client):
        listed = client.get(ASSETS, params={"size": 3}).json()["content"][2]
        assert client.get(f"{ASSETS}/{listed['id']}").json() == listed

    def test_an_unknown_asset_is_not_found(self, client):
        response = client.get(f"{ASSETS}/nobody")
        assert response.status_code == 404
        assert set(response.json()) == {"status", "code", "message"}
        assert response.json()["code"] == "asset_not_found"

    def test_service_plans_are_an_object_with_one_list(self, client):
        found = client.get(PLANS).json()
        assert list(found) == ["servicePlans"]
        assert len(set(ids(found["servicePlans"]))) == 12

    def test_a_series_is_what_prometheus_says(self, sandbox, client):
        path = f"/api/time-series/v1/assets/{sandbox.asset_ids[0]}/prometheus/api/v1/query_range"
        query = {"query": "hours", "start": 100, "end": 160, "step": 30}
        found = client.get(path, params=query).json()
        assert (found["status"], found["isPartial"]) == ("success", False)
        assert found["data"]["resultType"] == "matrix"
        (series,) = found["data"]["result"]
        assert series["metric"]["__name__"] == "hours"
        assert [moment for moment, _ in series["values"]] == [100, 130, 160]
        wrong = [{"step": 0}, {"step": 0.01}, {"start": "x"}, {"query": ""}]
        wrong += [{name: value} for name in ("start", "end", "step") for value in ("nan", "inf")]
        for bad in wrong:
            assert violated(client.get(path, params={**query, **bad})) == list(bad)

    def test_an_unknown_path_is_not_found(self, client):
        response = client.get("/api/asset/v1")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")

    def test_a_wrong_method_is_not_allowed(self, client):
        response = client.post(ASSETS)
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert "GET" in response.headers["Allow"]


class TestEcho:
    def test_echo_shows_the_request_that_arrived(self, client):
        body = "größe".encode()
        sent = {"X-Mine": "1"}
        found = client.patch("/echo?a=1&a=2&b=%2B", data=body, headers=sent).json()
        assert (found["method"], found["path"]) == ("PATCH", "/echo")
        assert found["args"] == {"a": ["1", "2"], "b": "+"}
        assert found["headers"]["X-Mine"] == "1"
        assert base64.b64decode(found["body"]) == body
        assert found["sha256"] == hashlib.sha256(body).hexdigest()
        assert found["size"] == len(body)

    def test_echo_accepts_any_method(self, client):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"):
            assert client.request(method, "/echo").json()["method"] == method

    def test_redirect_keeps_the_method_as_its_status_says(self, sandbox, client):
        response = client.post("/redirect?status=308", params={"to": "/echo"}, data=b"x")
        assert response.json()["method"] == "POST"
        assert [hop.status_code for hop in response.history] == [308]
        assert client.get("/redirect", params={"to": "/echo"}).history[0].status_code == 302


class TestLimits:
    def test_a_request_beyond_the_limit_gets_429(self, sandbox, client):
        sandbox.limit(OPERATORS, requests=2, per=60)
        statuses = [client.get(OPERATORS).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        response = client.get(OPERATORS)
        assert response.json()["code"] == "rate_limit_exceeded"
        assert "Retry-After" not in response.headers
        assert client.get(ASSETS).ok

    def test_a_limit_has_room_again_after_its_time(self, sandbox, client):
        sandbox.limit(ASSETS, requests=1, per=600)
        assert client.get(ASSETS).ok
        sandbox.clock.advance(500)
        assert client.get(ASSETS).status_code == 429
        sandbox.clock.advance(100)
        assert client.get(ASSETS).ok

    def test_a_rejected_request_does_not_count_towards_a_limit(self, sandbox, client):
        sandbox.limit(ASSETS, requests=1, per=60)
        client.get(ASSETS, headers={"Authorization": None})
        assert client.get(ASSETS).ok

    def test_paths_with_the_same_beginning_count_together(self, sandbox, client):
        sandbox.limit(ASSETS, requests=1, per=60)
        client.get(ASSETS)
        assert client.get(f"{ASSETS}/{sandbox.asset_ids[0]}").status_code == 429

    def test_a_limit_can_send_retry_after(self, sandbox, client):
        sandbox.limit(ASSETS, requests=0, per=30, retry_after="seconds")
        sandbox.limit(OPERATORS, requests=0, per=30, retry_after="date")
        assert client.get(ASSETS).headers["Retry-After"] == "30"
        when = parsedate_to_datetime(client.get(OPERATORS).headers["Retry-After"])
        assert 25 < (when - datetime.now(UTC)).total_seconds() < 35
