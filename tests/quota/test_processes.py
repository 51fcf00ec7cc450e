"""Slots are exact across threads, processes, forks and kills."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from requests_iris import QuotaExceededError
from requests_iris.quota import IRIS_RATE_LIMITS, Pool, Quota, RateLimit, owner_of

from ..support.clocks import SkippingClock
from ..support.waiting import HUNG, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no fork here")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "redis"])

PROCESSES, THREADS, ATTEMPTS = 4, 4, 5
URL = "https://{}/public/api/aemp/v2/15143/-3/Fleet/1"
#: Without the paced rules: the processes have clocks that skip pauses.
LIMITS = [rule for rule in IRIS_RATE_LIMITS if not rule.paced]
KILLS = int(os.environ.get("KILLS", "10"))


def granted(quota: Quota, url: str, *, in_walk: bool = False, owner: str = "user:alice") -> bool:
    try:
        quota.reserve(owner, "GET", url, in_walk=in_walk, clock=SkippingClock()).settle()
    except QuotaExceededError:
        return False
    return True


def attempt(place: str, pool: str, url: str, begin: Any, results: Any) -> None:
    """Many attempts of several threads, each of them with a session of its own."""
    begin.wait(HUNG)
    with ThreadPoolExecutor(THREADS) as threads:
        found = threads.map(
            lambda _: granted(Quota(place, LIMITS, pool=pool), url), range(THREADS * ATTEMPTS)
        )
        results.put(sum(found))


def total(place: str, pool: str, url: str) -> int:
    """How many slots all processes were granted together."""
    begin, results = _context.Event(), _context.Queue()
    processes = [
        _context.Process(target=attempt, args=(place, pool, url, begin, results), daemon=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    begin.set()
    found = sum(results.get(timeout=HUNG) for _ in processes)
    for process in processes:
        process.join(HUNG)
    return found


@pytest.mark.parametrize("kind", ["file", "redis"])
@pytest.mark.parametrize(("pool", "slots"), [("always", 51), ("walk", 1), ("never", 1)])
def test_4_processes_with_4_threads_are_granted_exactly_the_slots(
    kind: str, pool: str, slots: int, tmp_path: Path, request: pytest.FixtureRequest, caplog
) -> None:
    place = str(tmp_path / "q.db") if kind == "file" else request.getfixturevalue("redis_url")
    assert total(place, pool, URL.format(f"{uuid4().hex}.example")) == slots
    assert caplog.text == ""


def reserve_forever(path: str, begun: Any) -> None:
    """Draws from a large pool until a kill, and writes down each slot that was granted."""
    limits = [RateLimit("r", 1, 900, "/", pool=Pool(10**6, 30))]
    quota, clock = Quota(path, limits=limits, pool="always"), SkippingClock()
    log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        os.write(log, b"b")
        reservation = quota.reserve("user:alice", "GET", "https://h/", clock=clock)
        os.write(log, b"e")
        begun.set()
        reservation.settle()


def test_kill_loses_at_most_the_slot_that_was_being_reserved(tmp_path: Path) -> None:
    path = str(tmp_path / "q.db")
    for kills in range(1, KILLS + 1):
        begun = _context.Event()
        process = _context.Process(target=reserve_forever, args=(path, begun), daemon=True)
        process.start()
        assert begun.wait(HUNG)
        time.sleep(random.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.join(HUNG)
        connection = sqlite3.connect(path)
        ((used,),) = connection.execute("SELECT count(*) FROM slots")
        connection.close()
        written = Path(f"{path}.log").read_bytes()
        assert written.count(b"e") <= used <= written.count(b"b") <= written.count(b"e") + kills
    assert {each.name for each in tmp_path.iterdir()} <= {
        "q.db",
        "q.db-wal",
        "q.db-shm",
        "q.db.log",
    }


def in_child(work: Any) -> bytes:
    """The result of `work` in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        found = file.read()
    os.waitpid(child, 0)
    return found


# Python 3.12 and later warn about a fork beside threads, which is what these tests are about.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_child_shares_the_slots_of_its_parent(place: str) -> None:
    quota, host = Quota(place, LIMITS), uuid4().hex
    page = URL.format(host)
    assert granted(quota, page)
    assert in_child(lambda: granted(quota, page)) == b"False"
    assert in_child(lambda: granted(quota, f"{page}2")) == b"True"
    # a process has its own memory
    assert granted(quota, f"{page}2") is (place == "memory")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_fork_while_other_threads_reserve_does_not_hang_the_child(place: str) -> None:
    """SQLite's own mutexes survive a fork locked."""
    quota, page, stop = Quota(place, LIMITS), URL.format(uuid4().hex), []

    def reserve() -> None:
        for number in range(100_000):
            if stop:
                return
            granted(quota, f"{page}{number}")

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(reserve) for _ in range(4)]
        try:
            for number in range(10):
                began = time.monotonic()
                assert in_child(lambda n=number: granted(quota, f"{page}000000{n}")) == b"True"
                assert time.monotonic() - began < HUNG / 10
        finally:
            stop.append(True)
        for each in running:
            each.result(HUNG)


def test_thread_that_ends_leaves_no_connection_behind(tmp_path: Path) -> None:
    quota, page = Quota(tmp_path / "q.db", LIMITS), URL.format("h")
    assert granted(quota, page)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for number in range(20):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(granted, quota, f"{page}{number}").result(HUNG)
    assert not before or len(os.listdir("/proc/self/fd")) <= before


def test_response_is_saved_when_the_process_ends_or_the_store_is_dropped(tmp_path: Path) -> None:
    """Until then another process counts the slot from a minute after its departure."""

    def stamp() -> float:
        connection = sqlite3.connect(tmp_path / "q.db")
        ((found,),) = connection.execute("SELECT stamp FROM slots")
        connection.close()
        return found - clock.time()

    quota, clock = Quota(tmp_path / "q.db"), SkippingClock()
    quota.reserve(owner_of(), "GET", URL.format("h"), clock=clock).settle()
    assert 50 < stamp() <= 60
    del quota
    wait_until(lambda: stamp() <= 0)
