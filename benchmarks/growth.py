"""Time and memory of a session after many requests and many renewals."""

from __future__ import annotations

import gc
import multiprocessing
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from requests_iris import IrisSession

from . import peers
from .canned import URL, canned_session
from .endless import LISTS
from .figure import Figure
from .iris import remote_sandbox
from .overhead import signed_in

#: Requests of a long session, and timed requests at the beginning and at the end.
LIFE, TIMED = 100_000, 2_000
#: Renewals of a long session, and calls before the first measurement of memory.
RENEWALS, WARM = 1_000, 100
#: Bytes per call at most. If each call keeps an object, each call keeps a reference of 8 bytes at
#: least. A dict that grows once, such as a cache of the interpreter, adds 4 bytes to each of 1,000
#: calls.
KEPT = 5


def measure() -> Iterator[Figure]:
    yield _time()
    yield _memory_of_requests()
    yield _memory_of_renewals()
    yield from _memory_of_pages()


def _time() -> Figure:
    """A new and a long session take turns, because the speed of a machine varies."""
    old = signed_in(peers.iris)
    for _ in range(LIFE):
        old.get(URL)
    ratios, costs = [], []
    for _ in range(TIMED // 100):
        young = signed_in(peers.iris)
        pair = [_cost(lambda session=session: session.get(URL)) for session in (old, young)]
        ratios.append(pair[0] / pair[1])
        costs.append(pair)
    aged, fresh = (median(column) * 1e6 for column in zip(*costs, strict=True))
    return Figure(
        name=f"CPU of request {LIFE:,}, of the first requests",
        value=median(ratios),
        at_most=1.05,
        details={"late": f"{aged:.0f} us", "early": f"{fresh:.0f} us"},
    )


def _cost(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.thread_time()
    for _ in range(100):
        work()
    return (time.thread_time() - start) / 100


def _memory_of_requests() -> Figure:
    tracemalloc.start()
    iris = signed_in(peers.iris)
    return _memory(f"{LIFE:,} requests", lambda: iris.get(URL), LIFE)


def _memory_of_renewals() -> Figure:
    """Real renewals. The sandbox runs in a separate process, with separate memory."""
    with remote_sandbox() as sandbox, IrisSession(**sandbox.get("settings")) as iris:
        tracemalloc.start()
        iris.verify = sandbox.get("ca_file")
        iris.fetch_token()
        return _memory(f"{RENEWALS:,} renewals", iris.refresh_token, RENEWALS)


def _memory(what: str, work: Callable[[], object], times: int) -> Figure:
    """The growth of memory per call, after a warm-up."""
    sizes = []
    for count in (WARM, times):
        for _ in range(count):
            work()
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    before, after = sizes
    return Figure(
        name=f"bytes of memory that each of {what} keeps",
        value=(after - before) / times,
        at_most=KEPT,
        details={"after": f"{after / 1024:.0f} KiB", "before": f"{before / 1024:.0f} KiB"},
    )


def _memory_of_pages() -> Iterator[Figure]:
    """The memory of a process after 100,000 pages of one list, in each pagination style.

    A page takes 1 to 2 ms of a processor, most of the time in requests, so a style takes minutes.
    The styles run at the same time: each has a process of its own, and no time is measured.
    """
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(len(LISTS), maxtasksperchild=1) as pool:
        peaks = {style: pool.apply_async(_peaks, (style, WARM, LIFE)) for style in LISTS}
        for style, result in peaks.items():
            yield _growth(style, *result.get())


def _growth(style: str, before: int, after: int) -> Figure:
    return Figure(
        name=f"memory after {LIFE:,} pages ({style}), of that after {WARM}",
        value=after / before,
        at_most=1.02,
        details={"after": f"{after / 1024:.0f} MiB", "before": f"{before / 1024:.0f} MiB"},
    )


def _peaks(style: str, few: int, many: int) -> list[int]:
    """The largest memory of this process in KiB: during `few` pages, and during all later pages."""
    found = LISTS[style]
    iris = canned_session(found.adapter(many))
    walk = iris.items(found.path, **found.arguments)
    peaks = []
    _forget_peak()  # the imports may have taken more memory than the list
    for number, _ in enumerate(walk, 1):
        if number in (few, many):
            peaks.append(_peak())
            _forget_peak()
    return peaks


def _peak() -> int:
    """The largest memory of this process since :func:`_forget_peak`, in KiB; on Linux only.

    ``resource.getrusage`` does not help: a child process starts with the peak of its parent.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
