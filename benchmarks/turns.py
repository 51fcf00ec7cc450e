"""Times several ways to do the same work, in turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """The cost of each round, by the name of the contestant."""

    costs: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        return median(self.costs[name])

    def ratio(self, ours: str, theirs: str) -> float:
        """The median of the ratios of the rounds. A slow moment of the machine slows both sides."""
        return median(mine / other for mine, other in self._pairs(ours, theirs))

    def difference(self, ours: str, theirs: str) -> float:
        """The median of the differences of the rounds."""
        return median(mine - other for mine, other in self._pairs(ours, theirs))

    def _pairs(self, ours: str, theirs: str) -> Iterator[tuple[float, float]]:
        return zip(self.costs[ours], self.costs[theirs], strict=True)


def take_turns(
    contestants: Mapping[str, Work], clock: Callable[[], float], *, rounds: int, calls: int = 1
) -> Outcome:
    """Times `calls` calls of each contestant in each of the `rounds`, in changing order.

    The garbage collector is on, as in any program. Before each turn a full collection runs.
    Collecting the cycles of a contestant counts as cost of the contestant. A round before the first
    warms up, and is not counted.
    """
    names = list(contestants)
    costs: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            cost = _cost(contestants[name], clock, calls)
            if number:
                costs[name].append(cost)
    return Outcome(costs)


def _cost(work: Work, clock: Callable[[], float], calls: int) -> float:
    gc.collect()
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls
