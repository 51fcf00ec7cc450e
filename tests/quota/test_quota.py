"""A Quota over every kind of store, with a clock that the tests move."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from requests_iris import Clock, QuotaExceededError, QuotaState, SettingError
from requests_iris.clock import given_up
from requests_iris.quota import IRIS_RATE_LIMITS, Pool, Quota, RateLimit, owner_of, quota_of
from requests_iris.quota.memory import MemoryQuotaStore
from requests_iris.sandbox import MovableClock

from ..support.clocks import SkippingClock, StandingClock
from ..support.waiting import HUNG

FLEET = "/public/api/aemp/v2/15143/-3/Fleet"
LOG = "/public/api/eventlog/v3/asset-event/log"
PINS = f"{FLEET}/Equipment/ID"
SERIES = f"{PINS}/PIN-1/Distance/2026-01-01T00:00:00Z/2026-01-14T00:00:00Z"
#: Seconds for which Redis' clock may differ.
SLACK = 2.0


class User:
    """A user of a place, at a host that no other test uses."""

    def __init__(
        self, place: Any, name: str = "alice", clock: Clock | None = None, **settings: Any
    ):
        self.quota = Quota(place, **settings)
        self.owner = owner_of(username=name)
        self.clock = clock or StandingClock()
        self.base = f"https://{uuid4().hex}.example"

    def like(self, name: str, **settings: Any) -> User:
        """Another user of the same host, store and clock."""
        other = User(self.quota.store, name, self.clock, **settings)
        other.base = self.base
        return other

    def send(self, path: str = f"{FLEET}/1", *, in_walk: bool = False) -> float:
        """A request with a response at once. The seconds for which it waited."""
        reservation = self.quota.reserve(
            self.owner, "GET", self.base + path, in_walk=in_walk, clock=self.clock
        )
        reservation.settle()
        return reservation.waited

    def refused(self, path: str = f"{FLEET}/1", *, in_walk: bool = False) -> QuotaExceededError:
        began = self.clock.monotonic()
        with pytest.raises(QuotaExceededError) as caught:
            self.send(path, in_walk=in_walk)
        assert self.clock.monotonic() - began < 1, "a request that is refused does not wait"
        return caught.value

    def blocked(self, path: str = f"{FLEET}/1", retry_after: float | None = None) -> None:
        self.quota.blocked(
            self.owner, "GET", self.base + path, retry_after=retry_after, clock=self.clock
        )

    def state(self, path: str = f"{FLEET}/1") -> QuotaState | None:
        return self.quota.state(self.owner, self.base + path, clock=self.clock)


def almost(seconds: float) -> Any:
    return pytest.approx(seconds, abs=SLACK)


def test_second_request_to_an_aemp_url_is_refused_before_it_is_sent(place: str) -> None:
    user = User(place)
    assert user.send() == 0
    error = user.refused()
    assert error.retry_after == almost(900)
    assert (error.limit, error.remaining, error.pool_remaining) == (1, 0, 50)
    assert error.rule == "AEMP fleet page"
    assert error.reset_at.tzinfo is UTC
    now = datetime.fromtimestamp(user.clock.time(), UTC)
    assert (error.reset_at - now).total_seconds() == almost(900)
    assert error.retryable
    assert error.response is None
    assert isinstance(error, requests.RequestException)
    same = pickle.loads(pickle.dumps(error))
    assert (str(same), vars(same)) == (str(error), vars(error))


def test_request_waits_for_its_slot_up_to_max_wait(place: str) -> None:
    user = User(place, max_wait=120)
    user.send()
    user.clock.advance(770)
    user.refused()
    user.clock.advance(20)
    assert user.send() == almost(110)


def test_each_published_rule_holds_with_its_key(place: str) -> None:
    user = User(place)
    for first, same, other in (
        (f"{FLEET}/1", f"{FLEET}/1?addMetadata=true", f"{FLEET}/2"),
        (f"{PINS}/A", f"{PINS}/A/", f"{PINS}/B"),
        (f"{SERIES}/1", f"{SERIES}/2", SERIES.replace("PIN-1", "PIN-2") + "/1"),
    ):
        user.send(first)
        user.refused(same)
        user.send(other)
    user.send(LOG)
    user.send(LOG.replace("/log", "/active"))
    assert user.refused(LOG).retry_after == almost(1800)
    user.send("/api/asset/v1/assets")


def test_users_are_separate_and_sessions_of_one_user_share(place: str) -> None:
    user = User(place)
    user.send()
    user.like("bob").send()
    user.like("alice").refused()


def test_owner_is_the_user_name_or_the_client_id_or_common() -> None:
    owners = [owner_of(username="x"), owner_of(client_id="x"), owner_of()]
    assert len({*owners}) == 3
    assert owner_of(username="x", client_id="y") == owners[0]
    for owner in owners:
        user = User("memory")
        user.owner = owner
        user.send()
        user.refused()


@pytest.mark.parametrize(
    ("pool", "outside", "inside"), [("walk", 1, 51), ("always", 51, 51), ("never", 1, 1)]
)
def test_pool_mode_says_which_requests_may_draw(
    place: str, pool: str, outside: int, inside: int
) -> None:
    for in_walk, expected in ((False, outside), (True, inside)):
        user = User(place, pool=pool)
        for _ in range(expected):
            user.send(in_walk=in_walk)
        refused = user.refused(in_walk=in_walk)
        assert refused.pool_remaining == 51 - expected
        assert ("for requests that pool= of the Quota allows" in str(refused)) is (expected < 51)


def test_pool_is_not_drawn_from_if_the_slot_is_back_within_max_wait(place: str) -> None:
    user = User(place, pool="always", max_wait=120)
    user.send()
    user.clock.advance(800)
    assert user.send() == almost(100)
    assert user.state().pool_remaining == 50


def test_pool_slot_is_back_after_30_days(place: str) -> None:
    user = User(place, limits=[RateLimit("r", 1, 900, "/a", pool=Pool(1, 30))], pool="always")
    user.send("/a")
    user.send("/a")
    user.clock.advance(10 * 24 * 3600)
    user.send("/a")
    user.refused("/a")
    user.clock.advance(20 * 24 * 3600 + SLACK)
    user.send("/a")
    user.send("/a")


def test_draw_from_the_pool_is_logged_and_the_last_ten_are_warnings(caplog) -> None:
    user = User("memory", pool="always")
    caplog.set_level(logging.INFO, "requests_iris")
    for _ in range(51):
        user.send()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO"] * 40 + ["WARNING"] * 10
    assert "'AEMP fleet page'" in caplog.messages[0]
    assert caplog.messages[0].endswith("49 of 50 are left")
    assert caplog.messages[-1].endswith("0 of 50 are left")
    assert "alice" not in caplog.text


def test_a_wait_for_a_slot_is_logged_once(caplog) -> None:
    user = User("memory")
    caplog.set_level(logging.INFO, "requests_iris")
    user.send()
    user.clock.advance(800)
    user.send()
    assert [message[:7] for message in caplog.messages] == ["Waiting"]


def test_slot_counts_from_the_response(place: str) -> None:
    user = User(place)
    reservation = user.quota.reserve(user.owner, "GET", f"{user.base}{FLEET}/1", clock=user.clock)
    user.clock.advance(300)
    reservation.settle()
    reservation.give_back()  # the first call counts
    user.clock.advance(650)
    assert user.refused().retry_after == almost(250)


def test_slot_that_is_given_back_is_free(place: str) -> None:
    user = User(place)
    for _ in range(3):
        reservation = user.quota.reserve(
            user.owner, "GET", f"{user.base}{FLEET}/1", clock=user.clock
        )
        reservation.give_back()
        reservation.settle()
    user.send()
    user.refused()


def test_rule_that_refuses_takes_nothing_of_the_others(place: str) -> None:
    limits = [RateLimit("all", 5, 900, "/"), RateLimit("one", 1, 1800, "/a")]
    user = User(place, limits=limits)
    user.send("/a")
    for _ in range(3):
        user.refused("/a")
    assert user.state("/b") == QuotaState("all", 5, 4, 0, 0.0)


def test_retry_after_of_an_unforeseen_429_replaces_the_window(place: str) -> None:
    user = User(place, pool="always")
    user.send()
    user.blocked(retry_after=300)
    error = user.refused()
    assert (error.retry_after, error.pool_remaining) == (almost(300), 0)
    user.clock.advance(300 + SLACK)
    assert user.send() == 0


def test_429_without_retry_after_uses_up_each_window_and_closes_the_pool(place: str) -> None:
    user = User(place, pool="always")
    user.send()
    user.clock.advance(600)
    user.blocked()
    assert user.refused(in_walk=True).retry_after == almost(900)
    user.clock.advance(900 + SLACK)
    assert user.send() == 0


def test_429_of_a_url_without_a_rule_blocks_nothing(place: str) -> None:
    user = User(place)
    user.blocked("/api/asset/v1/assets")
    user.send("/api/asset/v1/assets")
    assert user.state("/api/asset/v1/assets") is None


@pytest.mark.parametrize("retry_after", [-1.0, 0.0, float("nan"), float("inf"), 1e30])
def test_retry_after_without_sense_blocks_for_31_days_at_most(retry_after: float) -> None:
    user = User("memory")
    user.blocked(retry_after=retry_after)
    user.clock.advance(31 * 24 * 3600 + 1)
    user.send()


def test_block_of_a_paced_rule_is_seen_by_all_that_share_the_store(place: str) -> None:
    limits = [RateLimit("paced", 5, 1, "/a", per="customer")]
    user = User(place, limits=limits)
    user.blocked("/a", retry_after=500)
    other = user.like("bob", limits=limits)
    assert other.refused("/a").retry_after == almost(500)


def test_state_says_what_is_left_and_takes_nothing(place: str) -> None:
    user = User(place)
    assert user.state() == QuotaState("AEMP fleet page", 1, 1, 50, 0.0)
    assert user.state() == QuotaState("AEMP fleet page", 1, 1, 50, 0.0)
    user.send()
    assert user.state() == QuotaState("AEMP fleet page", 1, 0, 50, almost(900))
    user.blocked(retry_after=60)
    assert user.state() == QuotaState("AEMP fleet page", 1, 0, 0, almost(60))
    assert user.state("/api/asset/v1/assets") is None


def test_entries_show_the_limits_of_the_owner_that_are_in_use(place: str) -> None:
    user = User(
        place, f"u-{uuid4().hex}", limits=[rule for rule in IRIS_RATE_LIMITS if not rule.paced]
    )
    assert user.quota.entries(user.owner, clock=user.clock) == []
    user.send(LOG)
    user.send(f"{FLEET}/2")
    user.send(f"{FLEET}/1")
    user.like("bob").send()
    entries = user.quota.entries(user.owner, clock=user.clock)
    assert [(each.label, each.state.rule, each.state.remaining) for each in entries] == [
        (f"{FLEET}/1", "AEMP fleet page", 0),
        (f"{FLEET}/2", "AEMP fleet page", 0),
        ("", "asset events", 1),
    ]
    user.clock.advance(1800 + SLACK)
    if place != "memory":  # keys in Redis expire by Redis' own time
        assert all(
            each.state.retry_after == 0 for each in user.quota.entries(user.owner, clock=user.clock)
        )


def urls(user: User, paths: list[str]) -> list[str]:
    return [user.base + path for path in paths]


def test_walk_is_affordable_if_every_page_has_a_slot(place: str) -> None:
    user = User(place)

    def check(*paths: str) -> None:
        user.quota.check(user.owner, "GET", urls(user, [*paths]), clock=user.clock)

    check(*(f"{FLEET}/{page}" for page in range(1, 200)))
    check("/api/asset/v1/assets")
    check(*(f"{SERIES}/{page}" for page in range(1, 52)))
    with pytest.raises(QuotaExceededError, match="needs 52 more requests"):
        check(*(f"{SERIES}/{page}" for page in range(1, 53)))
    user.send(f"{SERIES}/1")
    check(*(f"{SERIES}/{page}" for page in range(2, 52)))
    with pytest.raises(QuotaExceededError) as caught:
        check(*(f"{SERIES}/{page}" for page in range(2, 53)))
    assert caught.value.retry_after == almost(900)
    user.send(f"{SERIES}/1", in_walk=True)
    user.clock.advance(900)
    with pytest.raises(QuotaExceededError) as caught:
        check(*(f"{SERIES}/{page}" for page in range(2, 53)))
    assert caught.value.retry_after == almost(30 * 24 * 3600 - 900)
    user.blocked(f"{SERIES}/1", retry_after=500)
    with pytest.raises(QuotaExceededError, match="needs 1 more request of") as caught:
        check(f"{SERIES}/2")
    assert caught.value.retry_after == almost(500)
    assert caught.value.retryable
    assert f"Send these requests at {caught.value.reset_at:%Y-%m-%d %H:%M:%S} UTC" in str(
        caught.value
    )


def test_walk_is_affordable_without_the_pool_only_if_the_pool_is_off(place: str) -> None:
    user = User(place, pool="never")
    with pytest.raises(QuotaExceededError, match="needs 2 more requests") as caught:
        user.quota.check(user.owner, "GET", urls(user, [f"{SERIES}/1", f"{SERIES}/2"]))
    assert caught.value.retry_after == 900
    assert "never has so many free slots" in str(caught.value)
    assert "Read a shorter list" in str(caught.value)
    assert not caught.value.retryable


class Frozen(MovableClock):
    """A clock whose `sleep` waits for an event of the test, without a lock of the quota."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps, self.wakes = threading.Event(), threading.Event()

    def sleep(self, seconds: float) -> None:
        self.sleeps.set()
        assert self.wakes.wait(HUNG)
        self.advance(seconds)


def test_no_lock_is_held_during_a_wait(place: str) -> None:
    user = User(place, clock=Frozen())
    user.send()
    user.clock.advance(800)
    waiting = threading.Thread(target=user.send)
    waiting.start()
    assert user.clock.sleeps.wait(HUNG)
    user.send(f"{FLEET}/2")
    user.state()
    user.clock.wakes.set()
    waiting.join(HUNG)
    assert not waiting.is_alive()
    user.refused()


def test_closed_walk_ends_its_wait_and_takes_no_slot() -> None:
    user = User("memory", clock=Clock(), limits=[RateLimit("r", 1, 100, "/a")])
    user.send("/a")
    event, ended = threading.Event(), []

    def wait() -> None:
        given_up.set(event)
        with pytest.raises(CancelledError):
            user.send("/a")
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    event.set()
    thread.join(HUNG)
    assert ended == [True]


def test_interrupt_while_waiting_for_the_departure_gives_the_slots_back(place: str) -> None:
    class Interrupted(SkippingClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    paced = RateLimit("paced", 1, 20, "/", per="customer")
    user = User(place, limits=[RateLimit("r", 5, 900, "/"), paced])
    user.send("/a")
    clock, user.clock = user.clock, Interrupted()
    with pytest.raises(KeyboardInterrupt):
        user.send("/a")
    user.clock = clock
    assert user.quota.state(user.owner, f"{user.base}/b").remaining in (0, 4)
    user.clock.advance(60)
    assert user.state("/b") == QuotaState("r", 5, 4, 0, 0.0)


def test_pause_of_a_second_or_less_never_refuses(place: str) -> None:
    user = User(place, limits=[RateLimit("r", 5, 1, "/a")], max_wait=0)
    waits = [user.send("/a") for _ in range(10)]
    assert waits[0] == 0
    assert waits[1:] == pytest.approx([0.2] * 9, abs=0.1)


@pytest.mark.parametrize("jump", [-10 * 365 * 24 * 3600.0, -3600.0, 3600.0])
def test_clock_that_jumps_blocks_for_a_window_at_most(place: str, jump: float) -> None:
    class Jumping(SkippingClock):
        offset = 0.0

        def time(self) -> float:
            return super().time() + self.offset

    user = User(place, clock=Jumping(), limits=[RateLimit("r", 1, 900, "/a")])
    user.send("/a")
    user.blocked("/a", retry_after=600)
    for offset in (jump, 0.0):
        user.clock.offset = offset
        assert user.state("/a").retry_after <= 900
        user.clock.advance(900 + SLACK)
        assert user.send("/a") == 0


def test_quota_is_off_for_none_false_and_0() -> None:
    assert [quota_of(value) for value in (None, False, 0, 0.0)] == [None] * 4


def test_quota_of_a_quota_is_the_quota() -> None:
    quota = Quota("memory")
    assert quota_of(quota) is quota
    assert quota_of("memory").limits == IRIS_RATE_LIMITS


@pytest.mark.parametrize(
    ("value", "store"),
    [
        ("memory", "MemoryQuotaStore()"),
        (Path("/x/memory"), "SqliteQuotaStore('/x/memory')"),
        ("/x/q.db", "SqliteQuotaStore('/x/q.db')"),
        ("file:///x/q%20.db", "SqliteQuotaStore('/x/q .db')"),
        ("redis://:hunter2@h:1/0", "<RedisQuotaStore at h:1>"),
        ("rediss://h", "<RedisQuotaStore at h:6379>"),
    ],
)
def test_place_opens_the_right_store_and_shows_no_password(value: Any, store: str) -> None:
    assert repr(quota_of(value)) == f"Quota({store}, max_wait=120, pool='walk')"


def test_a_store_of_the_user_is_used_as_it_is() -> None:
    store = MemoryQuotaStore()
    assert quota_of(store).store is store


@pytest.mark.parametrize(
    "value",
    [
        *(3, True, "", [], b"", {}, object, "http://u:hunter2@x/", "file://host/x", "file://[::1"),
        *(
            "/",
            "a\0b",
            "redis://:hunter2@h:port/0",
            "redis:/h:1/0",
            "rediss:h",
            "file:x",
            "FILE:/x",
        ),
    ],
    ids=str,
)
def test_bad_value_is_refused_without_quoting_it(value: Any) -> None:
    with pytest.raises(SettingError, match="quota") as caught:
        quota_of(value)
    assert caught.value.setting == "quota"
    assert "hunter2" not in f"{caught.value!r}"


@pytest.mark.parametrize(
    "bad",
    [
        *({"max_wait": wait} for wait in (-1, float("nan"), float("inf"), None, "1", True)),
        *({"pool": pool} for pool in ("sometimes", None, True)),
        *({"limits": limits} for limits in (None, 3, ["x"], RateLimit)),
    ],
    ids=str,
)
def test_bad_argument_of_a_quota_is_refused(bad: dict) -> None:
    with pytest.raises(SettingError) as caught:
        Quota("memory", **bad)
    assert caught.value.setting == "quota"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copy_of_a_quota_shares_its_slots(place: str, duplicate: Callable[[Quota], Quota]) -> None:
    user = User(place)
    user.send()
    user.quota = duplicate(user.quota)
    user.refused()


def test_unpickled_quota_has_the_same_place_but_an_empty_memory(place: str) -> None:
    user = User(place, max_wait=5, pool="always", limits=[RateLimit("r", 1, 900, "/a")])
    user.send("/a")
    user.quota.flush()
    user.quota = pickle.loads(pickle.dumps(user.quota))
    assert (user.quota.max_wait, user.quota.pool) == (5, "always")
    user.send("/a") if place == "memory" else user.refused("/a")


def test_sessions_of_a_process_share_the_memory() -> None:
    user = User("memory")
    user.send()
    user.quota = Quota("memory")
    user.refused()
