"""The worker threads of a reading."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from .clock import Interrupt, given_up


@contextmanager
def workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of `count` threads, which end with the block.

    At the end of the block, waiting calls are dropped. The end waits for calls under way, but
    without retries and without their pauses.
    """
    over = Interrupt(given_up.get())  # closing the walk ends the pauses of the workers too
    pool = ThreadPoolExecutor(count, "iris-pages", initializer=given_up.set, initargs=(over,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # first: no call may begin any more
        over.set()
        # The garbage collector may close the reading in a worker, which cannot join itself.
        with suppress(RuntimeError):
            pool.shutdown()
