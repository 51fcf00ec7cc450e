"""Whole lists: against a loop by hand, against the limit that latency sets, and in memory."""

from __future__ import annotations

import math
import socket
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests

from requests_iris import IrisSession, Walk
from requests_iris.known_styles import first_call
from requests_iris.resume import Point
from requests_iris.walk import Portion

from . import peers
from .figure import Figure
from .turns import take_turns
from .web import Web, web

PAGES, SIZE, WORKERS = 100, 10, 8
#: Seconds that the server waits before each page.
LATENCY = 0.02
#: Pages that a bare socket reads to measure the time of a page.
BARE_PAGES = 25
PATH = "/api/asset/v1/assets"
WARM, FEW, MANY = 4_000, 10_000, 1_000_000
#: Items per page in the measurement of memory.
LARGE = 1000


def measure(*, rounds: int = 5) -> Iterator[Figure]:
    with web(delay=LATENCY, items=PAGES * SIZE) as server:
        yield _one_by_one(server, rounds)
        yield from _by_workers(server, 6 * rounds)
    yield from _per_item(4 * rounds)
    yield _memory()


def _one_by_one(server: Web, rounds: int) -> Figure:
    iris, plain = _ours(server), _plain(server)
    contestants = {
        "one by one": lambda: _walk(iris, max_workers=1),
        "by hand": lambda: _walk_by_hand(plain, server),
    }
    outcome = take_turns(contestants, time.perf_counter, rounds=rounds)
    return Figure(
        name=f"{PAGES} pages one by one, of a loop by hand",
        value=outcome.ratio("one by one", "by hand"),
        at_most=1.02,
        details={name: f"{outcome.median(name) * 1e3:.0f} ms" for name in contestants},
    )


def _by_workers(server: Web, rounds: int) -> Iterator[Figure]:
    """Against the limit of latency, and against threads by hand with plain requests.

    No walk reaches the limit, for two reasons, and the details have the figures of both. The first
    page is read alone, because only the first page tells how many pages follow. The other 99 pages
    are 12 rounds of 8 pages, and a round of 3 pages. And the threads share one interpreter lock:
    the processor time of a page is added to each round, and if 8 pages take longer than the
    latency, the processor is the limit. Workers do not wait for the caller: the next page
    of a worker begins 0.1 ms after the page before.
    """
    iris, plain, bare = _ours(server), _plain(server), _socket(server)
    workers, threads = f"{WORKERS} workers", f"{WORKERS} threads by hand"
    contestants = {
        workers: lambda: _walk(iris, max_workers=WORKERS),
        threads: lambda: _walk_in_threads(plain, server),
        "a bare socket": lambda: _read_by_socket(bare),
    }
    outcome = take_turns(contestants, time.perf_counter, rounds=rounds)
    bare.close()
    once = take_turns({workers: contestants[workers]}, time.process_time, rounds=3)
    details = {name: f"{outcome.median(name) * 1e3:.0f} ms" for name in (workers, threads)}
    latency = f"{outcome.median('a bare socket') / BARE_PAGES * 1e3:.1f} ms"
    rounds_alone = 1 + math.ceil((PAGES - 1) / WORKERS)
    yield Figure(
        name=f"{PAGES} pages by {workers}, of the limit (latency x pages / workers)",
        value=outcome.ratio(workers, "a bare socket") * BARE_PAGES * WORKERS / PAGES,
        at_most=1.2,
        details={
            workers: details[workers],
            "latency": latency,
            "the first page and the rounds alone": f"{rounds_alone * WORKERS / PAGES:.2f}",
            "CPU time of a page": f"{once.median(workers) / PAGES * 1e3:.1f} ms",
        },
    )
    yield Figure(
        name=f"{PAGES} pages by {workers}, of {threads}",
        value=outcome.ratio(workers, threads),
        details=details,
    )


def _per_item(rounds: int) -> Iterator[Figure]:
    """A walk beside a generator with `yield from`, over the same pages in memory."""
    content, pages = list(range(LARGE)), 200
    contestants = {
        "walk": lambda: _drain(_walk_over(content, pages)),
        "generator": lambda: _drain(_generator_over(content, pages)),
        "reading resume": lambda: _read_resume(_walk_over(content, 1)),
    }
    outcome = take_turns(contestants, time.perf_counter, rounds=rounds)
    each = {name: outcome.median(name) / pages / LARGE * 1e6 for name in ("walk", "generator")}
    yield Figure(
        name="an item of a walk, of an item of a generator",
        value=outcome.ratio("walk", "generator"),
        at_most=1.0,
        details={name: f"{cost:.3f} us" for name, cost in each.items()},
    )
    yield Figure(
        name="microseconds to read walk.resume after an item",
        value=outcome.median("reading resume") / LARGE * 1e6,
        at_most=10,
    )


def _walk_over(content: list[int], pages: int) -> Walk[int]:
    call = first_call("GET", PATH, {})
    page = {"size": LARGE, "total": LARGE * pages}
    points = (Point(call, {**page, "page": number}) for number in range(pages))
    return Walk.over(
        Portion(list(content), len(content), LARGE * pages, point.at) for point in points
    )


def _generator_over(content: list[int], pages: int) -> Iterator[int]:
    for _ in range(pages):
        yield from list(content)


def _drain(items: Iterator[int]) -> None:
    for _ in items:
        pass


def _read_resume(walk: Walk[int]) -> None:
    for _ in walk:
        walk.resume  # noqa: B018 - the property is measured


def _memory() -> Figure:
    """In a process that has read many pages before.

    After many pages, the caches of the standard library and the free lists of the interpreter are
    full, and no longer grow.
    """
    tracemalloc.start()
    with web(items=WARM) as server, _ours(server) as iris:
        for _ in iris.items(PATH, params={"size": 1}):
            pass
    with web(items=FEW) as server:
        few = _peak(server, FEW)
    with web(items=MANY) as server:
        many = _peak(server, MANY)
    tracemalloc.stop()
    return Figure(
        name=f"peak memory of {MANY:,} items, of that of {FEW:,}",
        value=many / few,
        at_most=1.1,
        details={f"{MANY:,}": f"{many / 1024:.0f} KiB", f"{FEW:,}": f"{few / 1024:.0f} KiB"},
    )


def _peak(server: Web, expected: int) -> int:
    """The largest memory of the list, in bytes above the memory before the list."""
    with _ours(server) as iris:
        iris.get(PATH)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        found = sum(1 for _ in iris.items(PATH, params={"size": LARGE}))
        if found != expected:
            raise AssertionError(f"{found} items")
    return tracemalloc.get_traced_memory()[1] - before


def _walk(iris: IrisSession, *, max_workers: int) -> None:
    found = sum(1 for _ in iris.items(PATH, params={"size": SIZE}, max_workers=max_workers))
    if found != PAGES * SIZE:
        raise AssertionError(f"{found} items")


def _walk_by_hand(session: requests.Session, server: Web) -> None:
    found, number, pages = 0, 0, 1
    while number < pages:
        page = _page_by_hand(session, server, number)
        found += sum(1 for _ in page["content"])
        number, pages = number + 1, page["totalPages"]
    if found != PAGES * SIZE:
        raise AssertionError(f"{found} items")


def _walk_in_threads(session: requests.Session, server: Web) -> None:
    first = _page_by_hand(session, server, 0)
    with ThreadPoolExecutor(WORKERS) as pool:
        others = pool.map(partial(_page_by_hand, session, server), range(1, first["totalPages"]))
        found = sum(1 for page in (first, *others) for _ in page["content"])
    if found != PAGES * SIZE:
        raise AssertionError(f"{found} items")


def _page_by_hand(session: requests.Session, server: Web, number: int) -> Any:
    response = session.get(server.url + PATH, params={"size": SIZE, "page": number}, timeout=60)
    response.raise_for_status()
    return response.json()


def _read_by_socket(connection: ssl.SSLSocket) -> None:
    """Latency and nothing else: what pages take one by one if the client has no work at all."""
    for number in range(BARE_PAGES):
        target = f"{PATH}?size={SIZE}&page={number}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if not connection.recv(65536).endswith(b"}"):  # a page comes as one TLS record
            raise AssertionError("half a page")


def _socket(server: Web) -> ssl.SSLSocket:
    there = urlsplit(server.url)
    tls = ssl.create_default_context(cafile=server.ca_file)
    connection = socket.create_connection((there.hostname, there.port))
    return tls.wrap_socket(connection, server_hostname=there.hostname)


def _ours(server: Web) -> IrisSession:
    iris = IrisSession(base_url=server.url, token=peers.living_token())
    iris.verify = server.ca_file
    return iris


def _plain(server: Web) -> requests.Session:
    session = peers.plain(peers.ACCOUNT, peers.living_token())
    session.verify = server.ca_file
    return session
