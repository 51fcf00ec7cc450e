"""The sandbox enforces IRIS's limits when asked, with a client that knows no quotas."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from requests_iris.quota import Pool, RateLimit
from requests_iris.sandbox import Fault, QuotaCount, Sandbox

from .support.paths import ASSETS, EVENTS, EVENTS_BODY, FLEET, GRAPHQL, OPERATORS
from .support.plain_client import PlainClient

QUARTER = 900
DAYS_30 = 30 * 86_400
SERIES = "/public/api/aemp/v2/15143/-3/Fleet/Equipment/ID/{}/Distance/{}/{}/{}"


@pytest.fixture
def limited():
    with Sandbox(quotas=True) as sandbox:
        yield sandbox


@pytest.fixture
def client(limited):
    with PlainClient(limited) as client:
        client.sign_in()
        yield client


def statuses(client: PlainClient, paths: list[str], method: str = "GET") -> list[int]:
    """The statuses of requests in turn, slow enough for the limits per second."""
    found = []
    for path in paths:
        client.sandbox.clock.advance(0.05)
        body = EVENTS_BODY if path == EVENTS else None
        found.append(client.request(method, path, json=body).status_code)
    return found


def token_of(client: PlainClient, kind: str) -> str:
    """A new access token of the sandbox's user, or of the API key."""
    if kind == "user":
        return client.ask_by_password().json()["access_token"]
    key = client.sandbox.key_settings
    form = {name: key[name] for name in ("client_id", "client_secret", "scope")}
    form["grant_type"] = "client_credentials"
    reply = client.post(client.sandbox.key_token_url, data=form, headers={"Authorization": None})
    return reply.json()["access_token"]


def test_an_aemp_page_is_served_51_times_and_again_after_15_minutes_and_after_30_days(
    client, limited
) -> None:
    page = f"{FLEET}/1"
    assert statuses(client, [page] * 52) == [200] * 51 + [429]
    limited.clock.advance(QUARTER + 1)
    client.sign_in()
    assert statuses(client, [page] * 2) == [200, 429]
    limited.clock.advance(DAYS_30)
    client.sign_in()
    assert statuses(client, [page] * 52) == [200] * 51 + [429]
    counts = {name: each for name, each in limited.quota_counts.items() if each.refused}
    assert list(counts.values()) == [QuotaCount(granted=103, from_pool=100, refused=3)]


def test_each_aemp_page_has_an_allowance_whatever_the_query(client) -> None:
    statuses(client, [f"{FLEET}/1"] * 51)
    assert statuses(client, [f"{FLEET}/1?x=2", f"{FLEET}/2"]) == [429, 200]


def test_all_pages_and_windows_of_a_series_share_one_allowance(client) -> None:
    same = [SERIES.format("A%2F1", n, n + 14, n % 3 + 1) for n in range(51)]
    assert 429 not in statuses(client, same)
    other = [SERIES.format("B", 1, 2, 1), same[0].replace("Distance", "FuelUsed")]
    assert 429 not in statuses(client, other)
    assert statuses(client, [SERIES.format("A%2F1", 99, 113, 2)]) == [429]


def test_asset_events_are_served_2_times_in_30_minutes_for_log_and_active_together(
    client, limited
) -> None:
    active = EVENTS.replace("/log", "/active")
    assert 429 not in statuses(client, [EVENTS, active], "POST")
    assert statuses(client, [EVENTS], "POST") == [429]
    limited.clock.advance(1801)
    assert statuses(client, [EVENTS], "POST") == [200]


def test_operators_are_served_60_times_in_a_minute(client, limited) -> None:
    assert statuses(client, [OPERATORS] * 61) == [200] * 60 + [429]
    limited.clock.advance(61)
    assert statuses(client, [OPERATORS]) == [200]


def test_the_api_user_and_the_api_key_share_a_limit_per_customer() -> None:
    rules = [RateLimit("both", 2, 600, "/echo", per="customer")]
    with Sandbox(quotas=rules) as sandbox, PlainClient(sandbox) as client:
        signed = [{"Authorization": f"Bearer {token_of(client, kind)}"} for kind in ("user", "key")]
        replies = [client.get("/echo", headers=signed[n % 2]).status_code for n in range(4)]
        assert replies == [200, 200, 429, 429]


def test_other_paths_have_no_limit(client) -> None:
    assert statuses(client, [ASSETS] * 60) == [200] * 60


def test_the_api_user_and_the_api_key_have_quotas_of_their_own(client, limited) -> None:
    token = token_of(client, "key")
    assert statuses(client, [f"{FLEET}/1"] * 52)[-1] == 429
    signed = {"Authorization": f"Bearer {token}"}
    assert client.get(f"{FLEET}/1", headers=signed).status_code == 200


def test_a_429_has_the_form_of_iris_and_no_retry_after(client) -> None:
    statuses(client, [f"{FLEET}/1"] * 51)
    response = client.get(f"{FLEET}/1")
    assert response.json()["status"] == 429
    assert response.json()["code"] == "rate_limit_exceeded"
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("style", ["seconds", "date"])
def test_a_429_has_a_retry_after_on_demand(style) -> None:
    rules = [RateLimit("echo", 1, 600, "/echo")]
    with Sandbox(quotas=rules, quota_retry_after=style) as sandbox, PlainClient(sandbox) as client:
        client.sign_in()
        assert statuses(client, ["/echo"] * 2) == [200, 429]
        sandbox.clock.advance(500)
        text = client.get("/echo").headers["Retry-After"]
        if style == "date":
            text = parsedate_to_datetime(text).timestamp() - sandbox.clock.time()
        assert 98 <= float(text) <= 102


def test_rules_of_a_test_replace_those_of_iris_and_a_refusal_takes_nothing_of_other_rules() -> None:
    rules = [
        RateLimit("any", 3, 600, "/echo"),
        RateLimit("post", 1, 60, "/echo", method="POST", pool=Pool(1, 1)),
    ]
    with Sandbox(quotas=rules) as sandbox, PlainClient(sandbox) as client:
        client.sign_in()
        assert statuses(client, ["/echo"] * 4, "POST") == [200, 200, 429, 429]
        assert statuses(client, ["/echo"] * 2) == [200, 429]
        assert sandbox.quota_counts == {
            "any": QuotaCount(granted=3, refused=1),
            "post": QuotaCount(granted=2, from_pool=1, refused=2),
        }


def test_requests_with_an_expired_token_and_faults_count_and_an_unknown_token_does_not() -> None:
    rules = [RateLimit("echo", 2, 600, "/echo")]
    with Sandbox(quotas=rules) as sandbox, PlainClient(sandbox) as client:
        assert statuses(client, ["/echo"] * 3) == [401] * 3
        client.sign_in()
        sandbox.inject(Fault(status=503), on="api")
        sandbox.expire_access_tokens()
        assert statuses(client, ["/echo"] * 3) == [503, 401, 429]
        assert sandbox.quota_counts["echo"] == QuotaCount(granted=2, refused=1)


def test_graphql_answers_in_its_own_form() -> None:
    rules = [RateLimit("points", 1, 600, GRAPHQL)]
    with Sandbox(quotas=rules) as sandbox, PlainClient(sandbox) as client:
        client.sign_in()
        replies = [client.post(GRAPHQL, json={"query": "{}"}) for _ in range(2)]
        assert replies[1].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"quotas": "yes"}, TypeError),
        ({"quotas": 1}, TypeError),
        ({"quotas": None}, TypeError),
        ({"quotas": ["aemp"]}, TypeError),
        ({"quota_retry_after": "minutes"}, ValueError),
        ({"quota_retry_after": 5}, ValueError),
        ({"quota": True}, TypeError),
    ],
)
def test_a_sandbox_refuses_wrong_options_of_quotas(options, error) -> None:
    with pytest.raises(error, match="quota"):
        Sandbox(**options)
