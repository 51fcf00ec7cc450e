"""Many threads on one session, against a local HTTPS server in another process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import requests
from requests.adapters import HTTPAdapter

from requests_iris import IrisSession

from . import peers
from .figure import Figure
from .turns import take_turns
from .web import Web, web

THREADS = 32
#: Requests of each thread in a round.
REQUESTS = 10
PLAIN, LARGE_POOL, OURS = "requests.Session", "requests.Session, pool of 32", peers.OURS


def measure(*, rounds: int = 7) -> Iterator[Figure]:
    with web() as server:
        yield from _connections(server, rounds)
        yield from _throughput(server, rounds, "in waves", 4)
        yield from _throughput(server, rounds, "in a closed loop", 1.5)
        yield _reuse(server)


def _connections(server: Web, rounds: int) -> Iterator[Figure]:
    """The CPU time of opening a connection in every thread at the same moment."""

    def opening(make: Callable[[Web], requests.Session]) -> Callable[[], None]:
        return lambda: _run(make(server), server, 1, waves=False)

    contestants = {OURS: opening(_ours), PLAIN: opening(_plain)}
    outcome = take_turns(contestants, time.process_time, rounds=rounds)
    yield Figure(
        name=f"CPU of opening {THREADS} connections at once",
        value=outcome.ratio(OURS, PLAIN),
        at_most=0.2,
        details={name: f"{outcome.median(name) * 1e3:.0f} ms" for name in contestants},
    )


def _throughput(server: Web, rounds: int, how: str, at_least: float) -> Iterator[Figure]:
    """Requests per second. Each round makes a new session, as a program does."""

    def running(make: Callable[[Web], requests.Session]) -> Callable[[], None]:
        return lambda: _run(make(server), server, REQUESTS, waves=how == "in waves")

    contestants = {OURS: running(_ours), PLAIN: running(_plain), LARGE_POOL: running(_large_pool)}
    outcome = take_turns(contestants, time.perf_counter, rounds=rounds)
    rates = {
        name: f"{THREADS * REQUESTS / outcome.median(name):.0f} requests/s" for name in contestants
    }
    for theirs, bound in ((PLAIN, at_least), (LARGE_POOL, 0.9)):
        yield Figure(
            name=f"{THREADS} threads {how}, requests per second, of {theirs}",
            value=outcome.ratio(theirs, OURS),  # requests per second are the inverse of the time
            at_least=bound,
            details={name: rates[name] for name in (OURS, theirs)},
        )


def _reuse(server: Web) -> Figure:
    server.connections()
    _run(_ours(server), server, REQUESTS, waves=True)
    opened = server.connections()
    return Figure(
        name="connections per thread, in waves",
        value=opened / THREADS,
        at_most=1,
        details={OURS: f"{opened} connections"},
    )


def _run(session: requests.Session, server: Web, requests_each: int, *, waves: bool) -> None:
    url = f"{server.url}/api/asset/v1/assets"
    wave = threading.Barrier(THREADS)
    failed: list[object] = []

    def work(_: int) -> None:
        for _ in range(requests_each):
            if waves:
                wave.wait()
            if not session.get(url).ok:
                failed.append(1)

    with session:
        peers.together(work, THREADS)
    if failed:
        raise AssertionError(f"{len(failed)} requests failed")


def _ours(server: Web) -> requests.Session:
    session = IrisSession(base_url=server.url, token=peers.living_token())
    session.verify = server.ca_file
    return session


def _plain(server: Web) -> requests.Session:
    session = peers.plain(peers.ACCOUNT, peers.living_token())
    session.verify = server.ca_file
    return session


def _large_pool(server: Web) -> requests.Session:
    session = _plain(server)
    session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
    return session
