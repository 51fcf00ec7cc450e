"""What it costs to import the session: the package alone imports nothing before it is used."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator

from .figure import Figure
from .turns import take_turns

OURS, THEIRS = "from requests_iris import IrisSession", "import requests_oauthlib"


def measure(*, rounds: int = 20) -> Iterator[Figure]:
    contestants = {name: _importing(name) for name in (OURS, THEIRS)}
    outcome = take_turns(contestants, _cpu_of_children, rounds=rounds)
    yield Figure(
        name=f"{OURS}, of {THEIRS}",
        value=outcome.ratio(OURS, THEIRS),
        at_most=1.05,
        details={name: f"{outcome.median(name) * 1e3:.0f} ms" for name in contestants},
    )


def _importing(statement: str) -> Callable[[], object]:
    """A whole interpreter, as each side would start one."""
    return lambda: subprocess.run([sys.executable, "-c", statement], check=True)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
