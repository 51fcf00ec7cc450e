"""The cost of reserving slots: latency of each store, and a whole request."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from requests import PreparedRequest, Response

from requests_iris import IrisSession
from requests_iris.quota import Quota, Reservation

from . import peers, year
from .canned import Canned
from .figure import Figure
from .turns import take_turns
from .year import LIMITS, MIB, OWNER

THREADS = 12
#: Seconds until a response, at least and at most. With equal seconds, all threads would send at the
#: same moment, again and again.
LATENCY = (0.02, 0.1)
#: A page that matches a rule for 15 minutes.
URL = f"{year.FLEET}/"
UNLIMITED = "https://iris.trackunit.com/api/asset/v1/assets?page="


def measure(*, requests: int = 400) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        file = Quota(Path(directory) / "quota.db", LIMITS)
        yield _latency("SQLite, one thread", file, URL, 1, requests, at_most=1.0)
        yield _latency(f"SQLite, {THREADS} threads, no pauses", file, f"{URL}9", THREADS, requests)
        yield from _sends(file, requests // 4)
        del file
        yield _size(Path(directory) / "machines.db")
    memory = Quota("memory", LIMITS)
    yield _latency("memory, a limited URL", memory, URL, 1, requests)
    yield _latency("memory, a URL without a rule", memory, UNLIMITED, 1, requests)
    pages = count()
    yield _whole_request("a URL without a rule", lambda: UNLIMITED, at_most=1.05)
    yield _whole_request("a URL with a rule", lambda: f"{URL}{next(pages)}")


def _latency(
    name: str, quota: Quota, base: str, threads: int, requests: int, at_most: float | None = None
) -> Figure:
    """The time of a reservation with its response, in milliseconds."""
    found: list[float] = []

    def run(number: int) -> None:
        for page in range(requests):
            url = f"{base}{number}{page:05}"
            began = time.perf_counter()
            quota.reserve(OWNER, "GET", url).settle()
            found.append(1e3 * (time.perf_counter() - began))

    _run_all(run, threads)
    return Figure(
        name=f"milliseconds of a reservation: {name}",
        value=median(found),
        at_most=at_most,
        details={"p99": f"{quantiles(found, n=100)[98]:.3f} ms"},
    )


class Slow(Canned):
    """Returns each response late, as IRIS does."""

    def send(self, request: PreparedRequest, **settings: object) -> Response:
        time.sleep(random.uniform(*LATENCY))
        return super().send(request, **settings)


class TimedQuota(Quota):
    """Notes the milliseconds of each reservation."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.found: list[float] = []

    def reserve(self, *arguments: Any, **settings: Any) -> Reservation:
        began = time.perf_counter()
        reservation = super().reserve(*arguments, **settings)
        self.found.append(1e3 * (time.perf_counter() - began))
        return reservation


def _sends(file: Quota, requests: int) -> Iterator[Figure]:
    """The time of a reservation if threads send requests, as a program does."""
    quota = TimedQuota(file.store, LIMITS)

    def run(number: int) -> None:
        for page in range(requests):
            iris.get(f"{URL}8{number}{page:05}")

    with _session(quota, Slow()) as iris:
        _run_all(run, THREADS)
    least, most = (round(1e3 * each) for each in LATENCY)
    name = f"{THREADS} threads that send requests of {least} to {most} ms"
    p50, p99 = median(quota.found), quantiles(quota.found, n=100)[98]
    yield Figure(name=f"milliseconds of a reservation: SQLite, {name}", value=p50, at_most=1.0)
    yield Figure(name="p99 of these milliseconds", value=p99, at_most=20.0)


def _session(quota: Quota | bool, adapter: Canned) -> IrisSession:
    iris = IrisSession(token=peers.living_token(), client_id="client", quota=quota)
    iris.mount("https://", adapter)
    return iris


def _run_all(run: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _whole_request(
    which: str,
    url: Callable[[], str],
    at_most: float | None = None,
    *,
    rounds: int = 100,
    calls: int = 100,
) -> Figure:
    """The CPU time of a request with a quota, without the network, beside a session without."""
    quotas = {"without": False, "memory": Quota("memory", LIMITS)}
    sessions = {name: _session(quota, Canned()) for name, quota in quotas.items()}
    gets = {name: lambda session=session: session.get(url()) for name, session in sessions.items()}
    outcome = take_turns(gets, time.thread_time, rounds=rounds, calls=calls)
    return Figure(
        name=f'one request with quota="memory", of one without: {which}',
        value=outcome.ratio("memory", "without"),
        at_most=at_most,
        details={name: f"{outcome.median(name) * 1e6:.0f} us" for name in sessions},
    )


def _size(path: Path, days: int = 10) -> Figure:
    """The largest size of a file in `days` exports. ``benchmarks.year`` simulates a year."""
    *_, size = year.sizes(path, days)
    return Figure(
        name=f"MiB of an SQLite file: a series of {year.MACHINES} machines each day",
        value=size.file / MIB,
        at_most=1.0,
        details={"days": str(days), "with its log": f"{size.files / MIB:.2f} MiB"},
    )
