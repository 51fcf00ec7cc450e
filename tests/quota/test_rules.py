"""The rules: which requests they limit, and which requests share slots."""

from __future__ import annotations

import copy
import pickle

import pytest

from requests_iris import SettingError
from requests_iris.quota.rules import IRIS_RATE_LIMITS, Pool, RateLimit, Target, matching

HOST = "https://iris.trackunit.com"
AEMP = "/public/api/aemp/v2/15143/-3/Fleet"
TIMES = "2026-01-01T00:00:00Z/2026-01-14T00:00:00Z"
SERIES = f"{AEMP}/Equipment/ID/A/Distance/{TIMES}/1"


def slots(path: str, method: str = "GET") -> dict[str, str]:
    """The names of the rules for a URL, each with the key."""
    target = Target.of(HOST + path)
    return {rule.name: key for rule, key in matching(IRIS_RATE_LIMITS, method, target)}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (f"{AEMP}/1", {"AEMP fleet page", "AEMP fleet pages of a customer"}),
        ("/aemp/v2/123/-1/Fleet/7", {"AEMP fleet page", "AEMP fleet pages of a customer"}),
        (f"{AEMP}/Equipment/ID/A%2FB", {"AEMP machine", "AEMP machines of a customer"}),
        (SERIES, {"AEMP series", "AEMP series of a customer"}),
        ("/public/api/eventlog/v3/asset-event/log", {"asset events"}),
        ("/public/api/eventlog/v3/asset-event/active", {"asset events"}),
        ("/api/location/v1/locations?page=2", {"locations"}),
        ("/api/location/v1/locations/7a", {"location of an asset"}),
        ("/public/api/operator/operators?limit=5", {"operators"}),
        ("/public/api/access-management/operators/7/key-usage", {"key usage"}),
        ("/public/api/alerts/v1/configurations", {"alerts"}),
        ("/api/emissions/v2/daily", {"emissions"}),
        ("/api/time-series/v1/assets/7/prometheus/api/v1/query_range", {"time series queries"}),
        ("/api/time-series/v1/assets/7/metrics", {"time series metrics"}),
        ("/api/asset/v1/assets", set()),
        ("/api/graphql/", set()),
        ("/public/api/can-faults/faults", set()),
    ],
)
def test_published_rule_limits_its_paths_and_no_other_path(path: str, names: set[str]) -> None:
    assert {*slots(path)} == names


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ((1, 900, 50, 30), "AEMP fleet page"),
        ((1, 900, 50, 30), "AEMP machine"),
        ((1, 900, 50, 30), "AEMP series"),
        ((50, 1), "AEMP fleet pages of a customer"),
        ((500, 1), "AEMP machines of a customer"),
        ((500, 1), "AEMP series of a customer"),
        ((2, 1800), "asset events"),
        ((1, 1), "locations"),
        ((1, 1), "location of an asset"),
        ((60, 60), "operators"),
        ((1, 60), "key usage"),
        ((1000, 600), "alerts"),
        ((1000, 600), "emissions"),
        ((100, 1), "time series queries"),
        ((20, 1), "time series metrics"),
    ],
)
def test_published_rule_has_the_documented_numbers(limits: tuple[int, ...], name: str) -> None:
    (rule,) = (rule for rule in IRIS_RATE_LIMITS if rule.name == name)
    pool = (rule.pool.size, rule.pool.days) if rule.pool else ()
    assert (rule.limit, rule.window, *pool) == limits


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (f"{AEMP}/1", f"{AEMP}/1?includeOffRentAssets=true", True),
        (f"{AEMP}/1", f"{AEMP}/1/", True),
        (f"{AEMP}/1", f"{AEMP}/%31", True),
        (f"{AEMP}/1", f"{AEMP}/2", False),
        (f"{AEMP}/Equipment/ID/A", f"{AEMP}/Equipment/ID/B", False),
        (f"{AEMP}/Equipment/ID/A%2fB", f"{AEMP}/Equipment/ID/A%2FB", True),
        (SERIES, f"{AEMP}/Equipment/ID/A/Distance/{TIMES}/2", True),
        (SERIES, f"{AEMP}/Equipment/ID/A/Distance/x/y/1", True),
        (SERIES, f"{AEMP}/Equipment/ID/B/Distance/{TIMES}/1", False),
        (SERIES, f"{AEMP}/Equipment/ID/A/Faults/{TIMES}/1", False),
        ("/api/location/v1/locations", "/api/location/v1/locations?page=0&size=9", True),
        ("/api/location/v1/locations?page=1", "/api/location/v1/locations?page=01", True),
        ("/api/location/v1/locations?page=1", "/api/location/v1/locations?page=2", False),
        ("/api/location/v1/locations/a", "/api/location/v1/locations/b", False),
        (
            "/public/api/eventlog/v3/asset-event/log",
            "/public/api/eventlog/v3/asset-event/active",
            True,
        ),
    ],
)  # fmt: skip
def test_requests_share_a_slot_as_documented(one: str, other: str, shared: bool) -> None:
    first, second = (
        {(name, key) for name, key in slots(path).items() if "customer" not in name}
        for path in (one, other)
    )
    assert first
    assert second
    assert (first == second) is shared
    assert shared or not first & second


def test_rule_of_a_user_has_a_method_a_template_and_respects_case() -> None:
    rule = RateLimit("r", 1, 60, r"/X/(?P<id>\d+)/$", method="get", key="{id}-{page}{{}}")
    assert rule.key_of("GET", Target.of(f"{HOST}/X/7?page=3")) == "7-3{}"
    assert rule.key_of("POST", Target.of(f"{HOST}/X/7")) is None
    assert rule.key_of("GET", Target.of(f"{HOST}/x/7")) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://IRIS.trackunit.com:443/a", "iris.trackunit.com"),
        ("http://iris.trackunit.com:80", "iris.trackunit.com"),
        (b"https://user:pass@h:8443/a", "h:8443"),
        ("https://[::1]:9/a", "[::1]:9"),
        ("https://[::1", ""),
    ],
)
def test_host_is_compared_without_case_user_and_default_port(url: str, host: str) -> None:
    assert Target.of(url).host == host


_GOOD = {"name": "r", "limit": 1, "window": 60, "path": "/a"}


@pytest.mark.parametrize(
    "bad",
    [
        *({"name": name} for name in ("", " ", None, 3)),
        *({"limit": limit} for limit in (0, -1, 1.5, True, "3", None)),
        *({"window": each} for each in (0, -1, 1e12, float("inf"), float("nan"), "3", None, True)),
        *({"path": path} for path in ("", "(", None, b"/a")),
        *({"key": key} for key in ("{id}", "{", "{path.upper}", "{page!r}", "{page:>9}", "{}", 3)),
        *({"pool": pool} for pool in (50, (50, 30), True)),
        *({"method": 3}, {"per": "host"}),
    ],
    ids=str,
)
def test_unusable_rule_is_refused(bad: dict) -> None:
    with pytest.raises(SettingError) as caught:
        RateLimit(**{**_GOOD, **bad})
    assert isinstance(caught.value, ValueError)
    assert caught.value.setting == "quota"


@pytest.mark.parametrize(
    "bad", [(0, 30), (50, 0), (1.5, 30), (50, 1e7), (50, float("inf")), ("50", 30)]
)
def test_unusable_pool_is_refused(bad: tuple) -> None:
    with pytest.raises(SettingError):
        Pool(*bad)


def test_rules_are_values_that_pickle_and_copy() -> None:
    for rule in IRIS_RATE_LIMITS:
        for same in (pickle.loads(pickle.dumps(rule)), copy.deepcopy(rule)):
            assert same == rule
            assert hash(same) == hash(rule)
            assert same.key_of("GET", Target.of(HOST)) == rule.key_of("GET", Target.of(HOST))
    with pytest.raises(AttributeError):
        IRIS_RATE_LIMITS[0].limit = 2
