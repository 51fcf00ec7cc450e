"""A quota store in the memory of a process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from .. import forks
from .claim import Claim
from .decision import Decision, decide
from .store import Answer, Record
from .usage import Block, Usage, block_of, blocked, current, ends, living

#: Reservations between two searches for old keys.
SWEEP = 1024


@dataclass
class _Slots:
    """The slots of one key: stamps by the number of the request."""

    claim: Claim
    window: dict[int, float] = field(default_factory=dict)
    pool: dict[int, float] = field(default_factory=dict)
    block: Block | None = None
    departed: float = float("-inf")

    def usage(self, claim: Claim, now: float) -> Usage:
        """The slots in use. Forgets old slots, and keeps repaired stamps."""
        self.claim = claim
        self.window = living(self.window, claim.rule.window, now)
        self.pool = living(self.pool, claim.pool_seconds, now)
        usage = current(claim, self._usage(), now)
        self.block, self.departed = usage.block, usage.departed
        return usage

    def take(self, slot: int, decision: Decision, pooled: bool) -> Usage:
        """Adds a slot. The result is the usage with the new slot."""
        (self.pool if pooled else self.window)[slot] = decision.stamp
        self.departed = decision.departs
        return self._usage()

    def _usage(self) -> Usage:
        window, pool = sorted(self.window.values()), sorted(self.pool.values())
        return Usage(tuple(window), tuple(pool), self.block, self.departed)

    @property
    def ends(self) -> float:
        return ends(self.claim, self._usage())


class MemoryQuotaStore:
    """Counts slots in this process only.

    The setting ``"memory"`` is one store for all sessions of the process. A pickle starts empty. A
    forked child starts with a copy.

    Threads may share a store: a lock guards each operation, and nothing inside waits.
    """

    paces = False
    is_prompt = True

    def __init__(self) -> None:
        self._slots: dict[str, _Slots] = {}
        self._until_sweep = SWEEP
        self.reset_after_fork()
        forks.register(self)

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[MemoryQuotaStore], tuple[()]]:
        return MemoryQuotaStore, ()

    def __repr__(self) -> str:
        return "MemoryQuotaStore()"

    def reserve(
        self, claims: Sequence[Claim], slot: int, now: float, *, longest: float, draw: bool
    ) -> Answer:
        with self._lock:
            found = [self._of(claim) for claim in claims]
            usages = [each.usage(claim, now) for each, claim in zip(found, claims, strict=True)]
            decision = decide(claims, usages, now, longest, draw)
            if decision.granted:
                for index, (slots, claim) in enumerate(zip(found, claims, strict=True)):
                    if claim.counted:
                        pooled = decision.verdicts[index].pooled
                        usages[index] = slots.take(slot, decision, pooled)
                self._sweep(now)
            return decision.answer(claims, usages, now)

    def settle(self, claims: Sequence[Claim], slot: int, now: float) -> None:
        with self._lock:
            for slots in self._known(claims):
                for stamps in (slots.window, slots.pool):
                    if slot in stamps:
                        stamps[slot] = now

    def give_back(self, claims: Sequence[Claim], slot: int) -> None:
        with self._lock:
            for slots in self._known(claims):
                slots.window.pop(slot, None)
                slots.pool.pop(slot, None)

    def block(
        self, claims: Sequence[Claim], seconds: Sequence[float], now: float, *, replace: bool
    ) -> None:
        with self._lock:
            for claim, lasts in zip(claims, seconds, strict=True):
                slots = self._of(claim)
                usage = slots.usage(claim, now)
                slots.block = blocked(usage, block_of(lasts, now), anew=replace).block
                if replace:
                    slots.window.clear()

    def usages(self, claims: Sequence[Claim], now: float) -> tuple[float, list[Usage]]:
        with self._lock:
            found = [self._slots.get(claim.key) or _Slots(claim) for claim in claims]
            return now, [each.usage(claim, now) for each, claim in zip(found, claims, strict=True)]

    def records(self, owner: str, now: float) -> list[Record]:
        with self._lock:
            return [
                Record(slots.claim.rule.name, slots.claim.label, key)
                for key, slots in self._slots.items()
                if slots.claim.owner == owner and slots.ends > now
            ]

    def flush(self) -> None:
        """Nothing is left for later."""

    def knows(self, claims: Sequence[Claim], now: float) -> bool:
        """Whether a slot or a block of the claims is in use here."""
        if not self._slots:
            return False
        with self._lock:
            return any(slots.ends > now for slots in self._known(claims))

    def _of(self, claim: Claim) -> _Slots:
        return self._slots.setdefault(claim.key, _Slots(claim))

    def _known(self, claims: Sequence[Claim]) -> list[_Slots]:
        return [self._slots[claim.key] for claim in claims if claim.key in self._slots]

    def _sweep(self, now: float) -> None:
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._until_sweep = SWEEP
            self._slots = {key: each for key, each in self._slots.items() if each.ends > now}
