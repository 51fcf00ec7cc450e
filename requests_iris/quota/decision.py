"""The decision about a request with several claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .claim import Claim
from .store import Answer
from .usage import GRACE, Usage, Verdict, judge, left


@dataclass(frozen=True)
class Decision:
    """What happens to the slots.

    :ivar verdicts: one for each claim.
    :ivar granted: whether all claims get a slot.
    :ivar wait: as in :class:`Answer`.
    :ivar decisive: as in :class:`Answer`.
    :ivar departs: when the request may leave.
    """

    verdicts: tuple[Verdict, ...]
    granted: bool
    wait: float
    decisive: int
    departs: float

    def answer(self, claims: Sequence[Claim], usages: Sequence[Usage], now: float) -> Answer:
        """The answer of a store whose usages are now `usages`."""
        return Answer(
            self.granted,
            self.wait,
            self.decisive,
            tuple(left(claim, usage, now) for claim, usage in zip(claims, usages, strict=True)),
            tuple(verdict.pooled for verdict in self.verdicts),
        )

    @property
    def stamp(self) -> float:
        """The stamp of the new slots, until the response comes."""
        return self.departs + GRACE


def decide(
    claims: Sequence[Claim], usages: Sequence[Usage], now: float, longest: float, draw: bool
) -> Decision:
    """Decides about a request: all claims get a slot, or no claim does.

    :param usages: for each claim, after `current`.
    :param longest: seconds that the request may wait.
    :param draw: whether the request may draw from the pool.
    """
    verdicts = tuple(
        judge(claim, usage, now, longest, draw) for claim, usage in zip(claims, usages, strict=True)
    )
    decisive = max(range(len(verdicts)), key=lambda each: verdicts[each].wait, default=0)
    if verdicts and verdicts[decisive].wait > 0:
        return Decision(verdicts, False, verdicts[decisive].wait, decisive, now)
    departs = max((each.departs for each in verdicts), default=now)
    latest = max(range(len(verdicts)), key=lambda each: verdicts[each].departs, default=0)
    return Decision(verdicts, departs - now <= longest, departs - now, latest, departs)
