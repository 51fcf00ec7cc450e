"""Workers read pages ahead, and their threads end with the walk."""

from __future__ import annotations

import gc
import itertools
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from requests_iris import IncompleteListError, IrisSession, pagination
from requests_iris.clock import Clock, given_up
from requests_iris.sandbox import Fault

from ..support.paths import ASSETS
from .lists import LISTS, walkers, walking


class TestWorkers:
    """Four workers on the 25 pages of a list."""

    def pages(self, iris, before):
        """A list that calls `before` in each of its threads before each request."""

        def request(method, url, **arguments):
            if threading.current_thread() is not threading.main_thread():
                before(url)
            return iris.request(method, url, **arguments)

        return pagination.begin(request, ASSETS, {"params": {"size": 10}}, max_workers=4).pages()

    def test_one_worker_is_the_callers_own_thread(self, iris) -> None:
        asked: list[threading.Thread] = []

        def request(*args, **arguments):
            asked.append(threading.current_thread())
            return iris.request(*args, **arguments)

        list(pagination.begin(request, ASSETS, {"params": {"size": 100}}, max_workers=1).pages())
        assert asked == [threading.current_thread()] * 3

    def test_four_workers_have_four_requests_under_way_and_not_five(self, iris) -> None:
        four, five = threading.Barrier(4, timeout=10), threading.Barrier(5, timeout=0.3)
        broken: list[str] = []

        def before(_: str) -> None:
            four.wait()
            with suppress(threading.BrokenBarrierError):
                five.wait()
                broken.append("five")

        assert len(list(self.pages(iris, before))) == 25
        assert broken == []

    def test_four_workers_read_eight_pages_ahead_and_no_more(self, iris) -> None:
        asked = threading.Semaphore(0)
        walk = self.pages(iris, lambda _: asked.release())
        for more in (8, 1, 1):
            next(walk)
            for _ in range(more):
                assert asked.acquire(timeout=10)
            assert not asked.acquire(timeout=0.3)
        walk.close()

    def test_workers_begin_no_request_after_the_list_is_closed(self, iris) -> None:
        begun, ended = threading.Semaphore(0), []

        def before(url: str) -> None:
            if not url.endswith("page=1"):
                begun.release()
                ended.append(given_up.get().wait(10))

        walk = self.pages(iris, before)
        assert len(list(itertools.islice(walk, 2))) == 2
        for _ in range(4):
            assert begun.acquire(timeout=10)
        walk.close()
        assert ended == [True] * 4
        assert walkers() == []

    def test_workers_cut_a_pause_short_when_the_list_fails(self, sandbox) -> None:
        """A Retry-After of minutes, while another page is an error."""
        asleep = threading.Semaphore(0)

        class Telling(Clock):
            def sleep(self, seconds: float) -> None:
                asleep.release()
                super().sleep(seconds)

        def before(url: str) -> None:
            if url.endswith("page=1"):
                for _ in range(3):
                    assert asleep.acquire(timeout=10)
                sandbox.inject(Fault(status=400), on="api")

        sandbox.inject(Fault(), on="api")
        sandbox.inject(Fault(status=429, headers={"Retry-After": "100"}), on="api", times=3)
        start = time.monotonic()
        with IrisSession(**sandbox.settings, clock=Telling()) as iris:
            iris.verify = sandbox.ca_file
            with pytest.raises(IncompleteListError, match=r"page 2 of .* 400"):
                list(self.pages(iris, before))
        assert walkers() == []
        assert time.monotonic() - start < 50


@pytest.mark.parametrize("workers", [1, 8])
def test_a_list_that_is_left_early_leaves_no_thread(iris, workers) -> None:
    walk = iris.items(ASSETS, params={"size": 10}, max_workers=workers)
    next(walk)
    walk.close()
    assert walkers() == []


class TestThreads:
    """The threads of a list end with the list, without a message, whatever ends the list."""

    @pytest.fixture(autouse=True)
    def _all_end(self) -> Iterator[None]:
        yield
        # a list does not wait for a thread that was interrupted while the thread began
        for thread in walking():
            thread.join(10)
        assert walkers() == []

    @pytest.mark.parametrize("name", LISTS)
    def test_worker_threads_end_after_an_interrupt_between_two_items(self, iris, name) -> None:
        def interrupt(_) -> None:
            raise KeyboardInterrupt

        url, arguments, _ = LISTS[name]
        with pytest.raises(KeyboardInterrupt):
            list(map(interrupt, iris.items(url, max_workers=8, **arguments)))
        assert walkers() == []

    def test_worker_threads_end_after_ctrl_c_during_a_request(self, sandbox, iris) -> None:
        def interrupt(response, **_) -> None:
            if response.json()["number"] == 12:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        walk = iris.items(ASSETS, params={"size": 10}, max_workers=8, hooks={"response": interrupt})
        with pytest.raises(KeyboardInterrupt):
            list(walk)

    @pytest.mark.parametrize("name", LISTS)
    def test_worker_threads_end_with_a_list_that_is_garbage(self, iris, name) -> None:
        url, arguments, _ = LISTS[name]
        walk = iris.items(url, max_workers=8, **arguments)
        next(walk)
        del walk
        gc.collect()
        assert walkers() == []

    def test_worker_threads_end_if_a_worker_collects_the_list(self, iris) -> None:
        """A thread cannot wait for itself."""
        left = threading.Event()

        def collect(response, **_) -> None:
            if response.json()["number"] > 1:
                assert left.wait(10)
                gc.collect()

        walk = iris.items(ASSETS, params={"size": 10}, max_workers=2, hooks={"response": collect})
        assert len(list(itertools.islice(walk, 11))) == 11
        gone = weakref.ref(walk)
        circle = [walk]
        circle.append(circle)
        gc.disable()  # or it may be collected here
        try:
            del walk, circle
            assert gone() is not None
            left.set()
            for thread in walking():
                thread.join(10)
            assert gone() is None
        finally:
            gc.enable()
