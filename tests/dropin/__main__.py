"""Runs requests' suite in each mode, compares the runs test by test, and prints a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import suite
from .suite import Run

#: The share of the suite that must pass in the reference. A smaller share would make the
#: comparison void.
REFERENCE_PASSES = 0.9


@dataclass(frozen=True, eq=False)
class Mode:
    """A stand-in, its description, and the checks of its run besides the tests that pass.

    `contrary`: tests that must fail, because IrisSession promises a different behaviour.
    """

    name: str
    meaning: str
    promises: dict[str, Callable[[Run], bool]]
    contrary: frozenset[str] = frozenset()
    broken: bool = False


NO_TOKEN = {
    "no token is asked for": lambda run: run.asked == 0,
    "no token is sent": lambda run: not run.sent,
}
TOKENS = {
    "tokens are asked for": lambda run: run.asked > 0,
    "tokens are sent": lambda run: bool(run.sent),
    "tokens are sent to allowed hosts only": lambda run: not run.stray,
}
# The test expects the credentials of netrc on a request to an allowed host.
NETRC = frozenset({"tests/test_requests.py::TestRequests::test_basicauth_with_netrc"})
CAUGHT = {"its leak is seen": lambda run: bool(run.stray)}

REFERENCE = Mode("reference", "requests.Session itself", NO_TOKEN)
MODES = (
    Mode("dropin", "IrisSession()", NO_TOKEN),
    Mode("armed", "credentials, no allowed host", NO_TOKEN),
    Mode("signing", "the suite's hosts are allowed", TOKENS, NETRC),
    Mode("expiring", "the same, tokens over at once", TOKENS, NETRC),
    Mode("forgetful", "broken: loses params", {}, broken=True),
    Mode("leaky", "broken: signs everything", CAUGHT, broken=True),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dropin", description=__doc__)
    parser.add_argument("directory", nargs="?", help="for the suite and the logs, to be kept there")
    at_once = len((REFERENCE, *MODES))
    parser.add_argument("--jobs", type=int, default=at_once, help="runs at once; they mostly wait")
    arguments = parser.parse_args()
    kept = arguments.directory
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as directory:
        source = suite.fetch(Path(directory))
        with ThreadPoolExecutor(arguments.jobs) as pool:
            runs = pool.map(partial(suite.run, source), [m.name for m in (REFERENCE, *MODES)])
            reference, *others = runs
    return report(reference, dict(zip(MODES, others, strict=True)))


def report(reference: Run, runs: dict[Mode, Run]) -> int:
    """Prints the table, what is wrong, and a closing line; the exit status says the same."""
    print(f"{'mode':<10} {'':<30} {'passed':>11} {'tokens asked':>13} {'tokens sent':>12}")
    for mode, run in {REFERENCE: reference, **runs}.items():
        score = f"{len(run.passed & reference.passed)} of {len(reference.passed)}"
        sent = sum(run.sent.values())
        print(f"{mode.name:<10} {mode.meaning:<30} {score:>11} {run.asked:>13} {sent:>12}")
    for mode in runs:
        for test in mode.contrary:
            print(f"{mode.name}: fails by design: {test}")
    results = list(compare(reference, runs))
    wrong = [sentence for sentence, holds in results if not holds]
    print(*wrong, sep="\n")
    print(f"{len(results) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def compare(reference: Run, runs: dict[Mode, Run]) -> Iterator[tuple[str, bool]]:
    """Every promise, and the result: each test in each mode is one."""
    ran = len(reference.passed) + len(reference.failed)
    yield "reference: the suite can be run here", len(reference.passed) > REFERENCE_PASSES * ran
    for mode, run in {REFERENCE: reference, **runs}.items():
        for promise, holds in mode.promises.items():
            yield f"{mode.name}: {promise}", holds(run)
        if mode.broken:
            yield f"{mode.name}: the suite finds it out", not reference.passed <= run.passed
            continue
        for test in sorted(mode.contrary):
            yield f"{mode.name}: {test}: it should have failed", test not in run.passed
        for test in sorted(reference.passed - mode.contrary):
            reason = run.failed.get(test, "did not run")
            yield f"{mode.name}: {test}: {reason}", test in run.passed


if __name__ == "__main__":
    sys.exit(main())
