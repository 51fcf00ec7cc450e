"""The test suite of the requests that is installed: fetched from the package index, and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path

import pytest
import requests

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Seconds after which a test is taken for hanging, and the run given up; the longest takes 20.
PATIENCE = 120
#: Parts that run side by side: either takes half of the time, which both spend waiting.
PARTS = {
    "requests": ("tests/test_requests.py",),
    "others": ("tests", "--ignore=tests/test_requests.py"),
}
#: pytest's statuses if all tests of a part were found and run.
WHOLE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


@dataclass(frozen=True)
class Run:
    """The result of a run of the suite.

    `passed`: the ids of the tests that passed; `failed`: the tests that did not pass, with the
    reason.
    `asked`: token requests that the sandbox got; `sent`: requests with a token, by origin;
    `stray`: the origins that saw a token although no session allowed them.
    """

    passed: frozenset[str]
    failed: dict[str, str]
    asked: int
    sent: dict[str, int]
    stray: frozenset[str]

    def __add__(self, other: Run) -> Run:
        """The results of two parts of the suite together."""
        return Run(
            passed=self.passed | other.passed,
            failed=self.failed | other.failed,
            asked=self.asked + other.asked,
            sent=dict(Counter(self.sent) + Counter(other.sent)),
            stray=self.stray | other.stray,
        )


def fetch(directory: Path) -> Path:
    """The unpacked source distribution; git has the suite too, but not for certain the same one."""
    name = f"requests-{requests.__version__}"
    if not (directory / name).exists():
        options = ["--no-deps", "--no-binary", "requests", "--disable-pip-version-check", "--quiet"]
        wanted = f"requests=={requests.__version__}"
        pip = [sys.executable, "-m", "pip", "download", *options, "--dest", directory, wanted]
        subprocess.run(pip, check=True)
        with tarfile.open(directory / f"{name}.tar.gz") as archive:
            archive.extractall(directory, filter="data")
    return directory / name


def run(suite: Path, stand_in: str) -> Run:
    """Runs the suite with a class of `stand_in.py` in the place of requests.Session.

    :raises RuntimeError: if a part did not come to its end, or was not found, or could not be
        imported; the message contains the last lines of pytest.
    """
    with ThreadPoolExecutor(len(PARTS)) as pool:
        return reduce(add, pool.map(partial(_run_part, suite, stand_in), PARTS))


def _run_part(suite: Path, stand_in: str, part: str) -> Run:
    report, log = (suite.with_name(f"{stand_in}-{part}.{kind}") for kind in ("json", "log"))
    report.unlink(missing_ok=True)
    options = ["-p", "no:cacheprovider", "-o", f"faulthandler_timeout={PATIENCE}"]
    options += ["-o", "faulthandler_exit_on_timeout=true"]
    options += ["-p", "stand_in", "--stand-in", stand_in, "--stand-in-report", str(report)]
    with log.open("w") as output:
        command = [sys.executable, "-m", "pytest", *options, *PARTS[part]]
        ended = subprocess.run(command, cwd=suite, env=_environment(), stdout=output, stderr=output)
    if ended.returncode not in WHOLE or not report.exists():
        raise RuntimeError(f"{stand_in}: {part} did not run to the end:\n{log.read_text()[-4000:]}")
    return _read(report)


def _read(report: Path) -> Run:
    members = json.loads(report.read_text())
    return Run(
        passed=frozenset(members["passed"]),
        failed=members["failed"],
        asked=members["asked"],
        sent=members["sent"],
        stray=frozenset(members["stray"]),
    )


def _environment() -> dict[str, str]:
    """Ours, without anybody's credentials; the suite's directory comes first by itself."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TRACKUNIT_")}
    return {**environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(ROOT)))}
