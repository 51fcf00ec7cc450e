"""A test suite for pytest with the rules for every quota store.

::

    class TestMyStore(QuotaStoreContract):
        def make_store(self, tmp_path):
            return MyStore(tmp_path / "quota")
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from .claim import Claim, claims_of, owner_key
from .rules import DAY, Pool, RateLimit, Target
from .store import Answer, QuotaStore
from .usage import GRACE, left

#: Seconds for which the clock of a store may differ from `now`.
SLACK = 2.0

ONE = RateLimit("one", 1, 900, "/a", key="{path}", pool=Pool(3, 30))
TWO = RateLimit("two", 2, 1800, "/a")


class QuotaStoreContract:
    """A subclass defines `make_store`, and then has a test for each rule.

    Each test uses a new host, so a store need not be empty.
    """

    #: Whether other store objects, and a pickle, share the slots.
    shared = True

    def make_store(self, tmp_path: Path) -> QuotaStore:
        """A new store object. All objects of a test share their slots."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _start(self, tmp_path: Path) -> None:
        self.store = self.make_store(tmp_path)
        self.host = f"{uuid4().hex}.example"
        self.begins = time.time()
        self._slots = count(1)

    def claims(self, *rules: RateLimit, path: str = "/a", owner: str = "alice") -> Sequence[Claim]:
        return claims_of(rules or (ONE,), owner, "GET", Target.of(f"https://{self.host}{path}"))

    def reserve(
        self, claims: Sequence[Claim], at: float = 0, *, longest: float = 1, draw: bool = False
    ) -> tuple[Answer, int]:
        """An answer, and the number of the request. `at`: seconds after the start of the test."""
        slot = next(self._slots)
        now = self.begins + at
        return self.store.reserve(claims, slot, now, longest=longest, draw=draw), slot

    def use(self, claims: Sequence[Claim], at: float = 0, *, draw: bool = False) -> Answer:
        """A request whose response comes at once."""
        answer, slot = self.reserve(claims, at, draw=draw)
        if answer.granted:
            self.store.settle(claims, slot, self.begins + at)
        return answer

    def remaining(self, claims: Sequence[Claim], at: float = 0) -> list[tuple[int, int]]:
        """The free slots of window and pool, for each claim."""
        now, usages = self.store.usages(claims, self.begins + at)
        lefts = [left(claim, use, now) for claim, use in zip(claims, usages, strict=True)]
        return [(each.remaining, each.pooled) for each in lefts]

    def test_store_has_all_methods(self) -> None:
        assert isinstance(self.store, QuotaStore)

    def test_slot_comes_back_after_the_window(self) -> None:
        claims = self.claims()
        assert self.use(claims).granted
        for at, wait in ((0, 900), (300, 600), (890, 10)):
            answer = self.use(claims, at)
            assert not answer.granted
            assert answer.wait == pytest.approx(wait, abs=SLACK)
        assert self.use(claims, 900 + SLACK).granted

    def test_answer_says_what_is_left_after_the_request(self) -> None:
        claims = self.claims(ONE, TWO)
        answer = self.use(claims)
        assert [(each.remaining, each.pooled) for each in answer.left] == [(0, 3), (1, 0)]
        assert self.remaining(claims) == [(0, 3), (1, 0)]

    def test_slot_counts_from_the_response(self) -> None:
        claims = self.claims()
        _, slot = self.reserve(claims)
        self.store.settle(claims, slot, self.begins + 500)
        assert self.use(claims, 900 + SLACK).wait == pytest.approx(498, abs=2 * SLACK)
        assert self.use(claims, 1400 + SLACK).granted

    def test_request_on_its_way_counts_as_if_its_response_came_now(self) -> None:
        claims = self.claims()
        self.reserve(claims)
        assert self.use(claims, GRACE / 2).wait == pytest.approx(900, abs=SLACK)

    def test_slot_without_a_response_comes_back_a_minute_late(self) -> None:
        """The slot of a killed process: perhaps the request was sent."""
        claims = self.claims()
        self.reserve(claims)
        assert not self.use(claims, 900 + GRACE - SLACK).granted
        assert self.use(claims, 900 + GRACE + SLACK).granted

    def test_slot_that_is_given_back_is_free(self) -> None:
        claims = self.claims(ONE, TWO)
        _, slot = self.reserve(claims)
        self.store.give_back(claims, slot)
        self.store.give_back(claims, slot)
        self.store.settle(claims, slot, self.begins)
        assert self.remaining(claims) == [(1, 3), (2, 0)]

    def test_slot_that_is_given_back_after_the_clock_moved_changes_no_other_slot(self) -> None:
        claims = self.claims(TWO)
        self.use(claims, 5000)
        _, slot = self.reserve(claims, 5000)
        self.store.give_back(claims, slot)
        assert self.remaining(claims, 6000) == [(1, 0)]

    def test_rule_that_refuses_takes_nothing_of_the_other_rules(self) -> None:
        self.use(self.claims(ONE))
        both = self.claims(TWO, ONE)
        answer, _ = self.reserve(both)
        assert (answer.granted, answer.decisive) == (False, 1)
        assert self.remaining(both) == [(2, 0), (0, 3)]

    def test_wait_is_the_longest_wait_of_all_rules(self) -> None:
        both = self.claims(ONE, RateLimit("short", 1, 100, "/a"))
        self.use(both)
        assert self.use(both, 50).wait == pytest.approx(850, abs=SLACK)

    def test_pool_is_drawn_from_only_if_allowed_and_if_the_wait_is_too_long(self) -> None:
        claims = self.claims()
        self.use(claims)
        refused, _ = self.reserve(claims)
        waiting, _ = self.reserve(claims, 800, longest=120, draw=True)
        assert (refused.granted, waiting.granted) == (False, False)
        drawn, _ = self.reserve(claims, longest=120, draw=True)
        assert (drawn.granted, drawn.pooled, drawn.left[0].pooled) == (True, (True,), 2)

    def test_pool_slots_come_back_after_their_days_and_the_window_is_not_affected(self) -> None:
        claims = self.claims()
        assert [self.use(claims, at, draw=True).granted for at in range(6)] == [True] * 4 + [
            False
        ] * 2
        assert self.use(claims, 900 + SLACK).granted
        assert self.remaining(claims, 30 * DAY - SLACK) == [(1, 0)]
        assert self.remaining(claims, 30 * DAY + 2 * SLACK) == [(1, 3)]

    def test_pool_is_not_drawn_from_while_another_rule_refuses(self) -> None:
        self.use(self.claims(RateLimit("full", 1, 900, "/a")))
        both = self.claims(ONE, RateLimit("full", 1, 900, "/a"))
        self.use(self.claims(ONE))
        assert not self.reserve(both, draw=True)[0].granted
        assert self.remaining(both) == [(0, 3), (0, 0)]

    def test_owners_hosts_and_keys_are_separate(self) -> None:
        assert self.use(self.claims()).granted
        assert self.use(self.claims(owner="bob")).granted
        assert self.use(self.claims(path="/a/b")).granted
        other = claims_of((ONE,), "alice", "GET", Target.of(f"https://{self.host}:8443/a"))
        assert self.use(other).granted
        assert not self.use(self.claims()).granted

    @pytest.mark.parametrize("replace", [True, False])
    def test_block_refuses_every_request_and_closes_the_pool_until_its_end(
        self, replace: bool
    ) -> None:
        both = self.claims(ONE, TWO)
        self.use(both)
        self.store.block(both, [300, 300], self.begins, replace=replace)
        answer, _ = self.reserve(both, 100, draw=True)
        assert not answer.granted
        assert answer.wait == pytest.approx(200, abs=SLACK)
        assert self.remaining(both, 100) == [(0, 0), (0, 0)]
        assert self.use(both, 300 + SLACK).granted is replace
        assert self.use(both, 1000, draw=True).granted

    def test_retry_after_replaces_an_earlier_block_and_a_block_without_it_does_not(self) -> None:
        claims = self.claims()
        self.store.block(claims, [5000], self.begins, replace=True)
        self.store.block(claims, [900], self.begins, replace=False)
        assert self.use(claims, 1000).wait == pytest.approx(4000, abs=SLACK)
        self.store.block(claims, [10], self.begins + 1000, replace=True)
        assert self.use(claims, 1010 + SLACK).granted

    def test_block_of_a_paced_rule_is_seen(self) -> None:
        (claim,) = self.claims(RateLimit("paced", 1, 1, "/a"))
        claims = (Claim(claim.key, claim.owner, claim.rule, claim.label, counted=False),)
        assert self.use(claims).granted
        self.store.block(claims, [300], self.begins, replace=True)
        assert self.use(claims, 100).wait == pytest.approx(200, abs=SLACK)
        assert self.use(claims, 300 + SLACK).granted

    @pytest.mark.parametrize("jump", [3600, 10 * 365 * DAY])
    def test_clock_that_was_ahead_blocks_for_a_window_at_most(self, jump: float) -> None:
        claims = self.claims()
        self.use(claims, jump)
        self.use(claims, jump, draw=True)
        assert not self.use(claims, 0).granted
        assert self.use(claims, 900 + SLACK).granted
        assert self.remaining(claims, 30 * DAY + SLACK) == [(1, 3)]

    def test_block_of_a_clock_that_was_ahead_lasts_no_longer(self) -> None:
        claims = self.claims()
        self.store.block(claims, [300], self.begins + 10 * 365 * DAY, replace=True)
        assert not self.use(claims, 0).granted
        assert self.use(claims, 300 + SLACK).granted

    def test_blocks_without_a_sensible_length_are_bounded(self) -> None:
        claims = self.claims()
        self.store.block(claims, [-5], self.begins, replace=True)
        assert self.use(claims, SLACK).granted
        self.store.block(claims, [1e12], self.begins, replace=True)
        assert self.use(claims, 32 * DAY).granted

    def test_threads_are_granted_exactly_the_slots_of_window_and_pool(self) -> None:
        claims, at_once = self.claims(RateLimit("r", 5, 900, "/a", pool=Pool(20, 30))), 8
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda _: self.use(claims, draw=True), range(40)))
        assert sum(answer.granted for answer in answers) == 25
        assert sorted(each.left[0].pooled for each in answers if each.pooled[0]) == [*range(20)]

    def test_records_name_each_key_of_an_owner_without_the_owner(self) -> None:
        for path in ("/a", "/a/alice/7", "/a/ALIC%45"):
            self.use(self.claims(path=path))
        self.use(self.claims(path="/a/other", owner="bob"))
        records = self.store.records(owner_key("alice"), self.begins)
        mine = {
            each.key
            for path in ("/a", "/a/alice/7", "/a/ALIC%45")
            for each in self.claims(path=path)
        }
        found = [each for each in records if each.key in mine]
        assert {each.rule for each in found} == {"one"}
        assert sorted(each.label for each in found) == ["/a", "/a/[secret]", "/a/[secret]/7"]

    def test_other_store_objects_and_pickles_share_the_slots_or_start_empty(
        self, tmp_path: Path
    ) -> None:
        claims = self.claims()
        self.use(claims)
        self.store.flush()
        others = [self.make_store(tmp_path)] if self.shared else []
        for other in (*others, pickle.loads(pickle.dumps(self.store))):  # noqa: S301
            answer = other.reserve(claims, 77, self.begins, longest=1, draw=False)
            assert answer.granted is not self.shared

    def test_store_that_paces_spaces_the_requests_evenly(self) -> None:
        if not self.store.paces:
            pytest.skip("each process paces its own requests")
        claims = self.claims(RateLimit("paced", 5, 10, "/a"))
        answers = [self.reserve(claims, longest=60)[0] for _ in range(7)]
        waits = [answer.wait for answer in answers]
        assert waits[:5] == pytest.approx([0, 2, 4, 6, 8], abs=SLACK)
        # the response to the first request is missing
        assert [answer.granted for answer in answers] == [True] * 5 + [False] * 2
        assert waits[5:] == pytest.approx([10, 10], abs=SLACK)
