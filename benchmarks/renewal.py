"""Many threads start without a token, and many threads send requests while the token expires."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles

import requests

from requests_iris.sandbox import Fault

from . import peers
from .figure import Figure
from .iris import RemoteSandbox, remote_sandbox

#: Threads at a start without a token, and threads under load.
COLD, LOADED = 64, 16
#: Seconds: the delay of the token endpoint, the lifetime of a token, and the length of the load.
DELAY, LIFETIME, LOAD = 0.5, 8, 11
#: Seconds between two requests of a thread. With more requests the machine would be the limit.
PAUSE = 0.05
#: Windows in seconds after the issue of a token: no renewal; our early renewal; every renewal.
CALM, EXPIRING = (1.0, LIFETIME * 0.6), (LIFETIME * 0.75, LIFETIME * 0.75 + DELAY)
WHOLE = (4.0, LOAD)
FOREVER = 1_000_000


@dataclass
class Run:
    """The requests of a session: beginning and duration of each request, and the failures."""

    start: float = 0
    token_requests: int = 0
    failed: int = 0
    latencies: list[tuple[float, float]] = field(default_factory=list)

    def get(self, session: requests.Session, url: str) -> None:
        began = time.monotonic()
        try:
            ok = session.get(url).ok
        except Exception:  # every exception of a peer is a failed request
            ok = False
        self.failed += not ok
        self.latencies.append((began, time.monotonic() - began))

    def within(self, window: tuple[float, float]) -> list[float]:
        """The latencies of the requests that began in a window."""
        first, last = (self.start + moment for moment in window)
        return [took for began, took in self.latencies if first <= began < last]


def measure(*, rounds: int = 3) -> Iterator[Figure]:
    """The same work for IrisSession and for each peer."""
    with remote_sandbox(token_lifetime=LIFETIME) as sandbox:
        sandbox.call("inject", Fault(delay=DELAY), on="token", times=FOREVER)
        for name, peer in peers.ALL.items():
            yield from _cold_start(name, peer, sandbox)
        for name, peer in peers.ALL.items():
            # our figures include a p99, which needs more requests
            times = 2 * rounds if name == peers.OURS else rounds
            runs = [_cross_expiry(peer, sandbox) for _ in range(times)]
            yield from _expiry(name, runs)
            if name == peers.OURS:
                yield _stall(runs)


def _cold_start(name: str, peer: peers.Peer, sandbox: RemoteSandbox) -> Iterator[Figure]:
    session, run = _session(peer, sandbox), Run()
    url = _url(sandbox)
    sandbox.call("forget")
    peers.together(lambda _: run.get(session, url), COLD)
    run.token_requests = sandbox.call("count", "token")
    yield from _counts(f"{COLD} threads start cold", name, [run], {})


def _cross_expiry(peer: peers.Peer, sandbox: RemoteSandbox) -> Run:
    session, run = _session(peer, sandbox), Run()
    url = _url(sandbox)
    run.get(session, url)  # signs in
    run.failed, run.latencies = 0, []
    sandbox.call("forget")
    run.start = time.monotonic() - DELAY  # the lifetime begins with the token request

    def work(_: int) -> None:
        while time.monotonic() < run.start + LOAD:
            run.get(session, url)
            time.sleep(PAUSE)

    peers.together(work, LOADED)
    run.token_requests = sandbox.call("count", "token")
    return run


def _expiry(name: str, runs: list[Run]) -> Iterator[Figure]:
    details = {}
    for when, window in (("before", CALM), ("during", WHOLE)):
        p50, p99 = _p50_p99([took for run in runs for took in run.within(window)])
        details[when] = f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms"
    yield from _counts(f"a token expires under {LOADED} threads", name, runs, details)


def _counts(when: str, name: str, runs: list[Run], details: dict[str, str]) -> Iterator[Figure]:
    """The number of token requests, where a single request is enough, and of failed requests."""
    sent = sum(len(run.latencies) for run in runs)
    details = {**details, "requests": f"{sent} in {len(runs)} runs"}
    ours = name == peers.OURS
    yield Figure(
        name=f"{when}: token requests",
        whose=name,
        value=max(run.token_requests for run in runs),
        at_most=1 if ours else None,
        details=details,
    )
    yield Figure(
        name=f"{when}: requests that fail",
        whose=name,
        value=sum(run.failed for run in runs),
        at_most=0 if ours else None,
        details=details,
    )


def _stall(runs: list[Run]) -> Figure:
    """The slowest request beside the renewal, compared with the time of the renewal.

    A thread that waits for the renewal has a request of nearly the whole time. A p99 would measure
    the machine: a hiccup of 50 ms delays the requests of all threads, at any moment of the load.
    """
    slowest = max(sorted(run.within(EXPIRING))[-2] for run in runs)
    return Figure(
        name="the slowest request beside the renewal of an expiring token, of the renewal",
        value=slowest / DELAY,
        at_most=0.5,
        details={"slowest request": f"{slowest * 1e3:.0f} ms", "renewal": f"{DELAY * 1e3:.0f} ms"},
    )


def _p50_p99(times: list[float]) -> tuple[float, float]:
    cuts = quantiles(times, n=100)
    return cuts[49], cuts[98]


def _session(peer: peers.Peer, sandbox: RemoteSandbox) -> requests.Session:
    session = peer(sandbox.get("settings"), None)
    session.verify = sandbox.get("ca_file")
    return session


def _url(sandbox: RemoteSandbox) -> str:
    return str(sandbox.get("base_url")) + "/api/asset/v1/assets?size=1"
