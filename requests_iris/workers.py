"""The worker threads of a reading."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from .clock import Interrupt, given_up
from .errors import IncompleteListError

_Result = TypeVar("_Result")


def check_process(process: int) -> None:
    """Checks whether the workers of a process are at work here.

    :raises IncompleteListError: in a forked child, which has a copy of the pool without threads.
    """
    if os.getpid() != process:
        raise IncompleteListError(
            "a forked process has no workers to read the next page. Continue with `resume=`",
            retryable=True,
        )


def result_of(call: Future[_Result], process: int) -> _Result:
    """The result of a call of a worker.

    :param process: the process of the worker.
    :raises IncompleteListError: in a forked child, if the result did not come before the fork.
    """
    if not call.done():
        check_process(process)
    return call.result()


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
