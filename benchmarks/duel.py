"""Two ways to do the same work, timed side by side."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

Work = Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """Medians over the rounds: seconds that one call of each costs, and ours as a part of theirs.

    `spread`: the quartiles of the ratio.
    """

    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]


def duel(ours: Work, theirs: Work, *, rounds: int, calls: int) -> Outcome:
    """Times `calls` of each in turn, the first one changing from round to round.

    What counts is the time of this thread on the processor. The garbage collector is on, as in any
    program, and starts each turn with nothing to do: who leaves cycles behind pays for them.
    """
    _seconds(ours, calls), _seconds(theirs, calls)  # to warm up
    times = []
    for number in range(rounds):
        if number % 2:
            mine, other = _seconds(ours, calls), _seconds(theirs, calls)
        else:
            other, mine = _seconds(theirs, calls), _seconds(ours, calls)
        times.append((mine, other))
    ratios = [mine / other for mine, other in times]
    low, _, high = quantiles(ratios, n=4)
    return Outcome(
        ours=median(mine for mine, _ in times),
        theirs=median(other for _, other in times),
        ratio=median(ratios),
        spread=(low, high),
    )


def _seconds(work: Work, calls: int) -> float:
    gc.collect()
    start = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - start) / calls
