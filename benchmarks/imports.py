"""The CPU time to import the package, and to import the session.

The package imports a name at the first use only.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator

from .figure import Figure
from .turns import take_turns

PACKAGE, SESSION = "import requests_iris", "from requests_iris import IrisSession"
THEIRS = "import requests_oauthlib"


def measure(*, rounds: int = 20) -> Iterator[Figure]:
    contestants = {statement: _running(statement) for statement in (PACKAGE, SESSION, THEIRS)}
    outcome = take_turns(contestants, _cpu_of_children, rounds=rounds)
    for ours, at_most in ((PACKAGE, 1.05), (SESSION, None)):
        yield Figure(
            name=f"{ours}, of {THEIRS}",
            value=outcome.ratio(ours, THEIRS),
            at_most=at_most,
            details={each: f"{outcome.median(each) * 1e3:.0f} ms" for each in (ours, THEIRS)},
        )


def _running(statement: str) -> Callable[[], object]:
    """Each import runs in a new interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", statement], check=True)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
