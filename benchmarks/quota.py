"""The cost of reserving slots: latency of each store, and a whole request."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from requests_iris import IrisSession
from requests_iris.quota import IRIS_RATE_LIMITS, Quota, owner_of

from . import peers
from .figure import Figure
from .overhead import Canned
from .turns import take_turns

THREADS = 12
#: An AEMP page matches a rule for 15 minutes. The paced rule of the customer is left out, because
#: a pause is no cost.
LIMITS = [rule for rule in IRIS_RATE_LIMITS if not rule.paced]
URL = "https://iris.trackunit.com/public/api/aemp/v2/15143/-3/Fleet/"
UNLIMITED = "https://iris.trackunit.com/api/asset/v1/assets?page="
OWNER = owner_of(username="user")


def measure(*, requests: int = 400) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        file = Quota(Path(directory) / "quota.db", LIMITS)
        yield _latency("SQLite, one thread", file, URL, 1, requests, at_most=1.0)
        yield _latency(f"SQLite, {THREADS} threads", file, f"{URL}9", THREADS, requests)
        del file
        yield _size(Path(directory) / "machines.db")
    memory = Quota("memory", LIMITS)
    yield _latency("memory, a limited URL", memory, URL, 1, requests)
    yield _latency("memory, a URL without a rule", memory, UNLIMITED, 1, requests)
    yield _whole_request()


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

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return Figure(
        name=f"milliseconds of a reservation: {name}",
        value=median(found),
        at_most=at_most,
        details={"p99": f"{quantiles(found, n=100)[98]:.3f} ms"},
    )


def _whole_request(*, rounds: int = 100, calls: int = 100) -> Figure:
    """The CPU time of a request with a quota, without the network, beside a session without."""
    token = peers.living_token()
    sessions = {
        name: IrisSession(token=token, client_id="client", quota=quota)
        for name, quota in (("without", False), ("memory", "memory"))
    }
    for session in sessions.values():
        session.mount("https://", Canned())
    gets = {
        name: lambda session=session: session.get(UNLIMITED) for name, session in sessions.items()
    }
    outcome = take_turns(gets, time.thread_time, rounds=rounds, calls=calls)
    return Figure(
        name='one request with quota="memory", of one without',
        value=outcome.ratio("memory", "without"),
        at_most=1.05,
        details={name: f"{outcome.median(name) * 1e6:.0f} us" for name in sessions},
    )


def _size(path: Path, machines: int = 3000, days: int = 3) -> Figure:
    """The size of a file after an export of every machine on each day, in MiB."""
    from requests_iris.sandbox import MovableClock

    quota, clock = Quota(path, LIMITS), MovableClock()
    for _ in range(days):
        for machine in range(machines):
            url = f"{URL}Equipment/ID/WNCE0405HPAL{machine:05}/CumulativeOperatingHours/a/b/1"
            quota.reserve(OWNER, "GET", url, clock=clock).settle()
        clock.advance(24 * 3600)
    quota.flush()
    return Figure(
        name="MiB of an SQLite file: a series of 3000 machines each day",
        value=os.path.getsize(path) / 2**20,
        at_most=1.0,
        details={"days": str(days)},
    )
