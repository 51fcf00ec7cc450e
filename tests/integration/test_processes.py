"""Forks and processes: no lock stays locked in a child, and nobody reads another's reply."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable

import pytest
import requests

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox

#: Seconds after which a child is taken for stuck.
STUCK = 30

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_a_fork(work: Callable[[], bool]) -> bool:
    """Whether `work` returned true in a forked child; a child that is stuck is ended."""
    with warnings.catch_warnings():
        # Python 3.12 warns of what is tested here: a fork beside threads
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def echoes(session: requests.Session, url: str, word: str) -> bool:
    return word in session.get(url, params={"word": word}, timeout=5).text


@needs_fork
def test_a_plain_session_breaks_on_the_connection_it_shares(sandbox: Sandbox) -> None:
    """So the next test looks at something: one TLS connection cannot serve two processes."""
    url = sandbox.foreign_url + "/echo"
    with requests.Session() as plain:
        plain.verify = sandbox.ca_file
        plain.get(url)
        in_a_fork(lambda: echoes(plain, url, "child"))
        with pytest.raises(requests.ConnectionError):
            echoes(plain, url, "parent")


@needs_fork
def test_ours_gives_the_child_connections_of_its_own(iris: IrisSession) -> None:
    iris.get("/echo")
    for turn in range(3):
        assert in_a_fork(lambda turn=turn: echoes(iris, "/echo", f"child-{turn}"))
        assert echoes(iris, "/echo", f"parent-{turn}")


@needs_fork
def test_a_fork_during_a_renewal_leaves_the_child_free(iris: IrisSession, sandbox: Sandbox) -> None:
    """The thread that renews, and one that holds the lock, do not exist in the child."""
    source = iris._source
    asked, let_go = threading.Event(), threading.Event()
    send = iris._send_token_request

    def held_back(request, timeout):
        asked.set()
        assert let_go.wait(STUCK)
        return send(request, timeout)

    iris._send_token_request = held_back  # type: ignore[method-assign]
    leader = threading.Thread(target=iris.get, args=("/echo",))
    leader.start()
    try:
        assert asked.wait(STUCK)

        def child() -> bool:
            let_go.set()
            return echoes(iris, "/echo", "child")

        with source._guard:
            assert in_a_fork(child)
    finally:
        let_go.set()
        leader.join(STUCK)
    assert echoes(iris, "/echo", "parent")


def _get(iris: IrisSession) -> int:
    return iris.get("/echo").status_code


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(iris: IrisSession, method: str) -> None:
    iris.get("/echo")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        assert pool.map_async(_get, [iris] * 4).get(STUCK) == [200] * 4
    pool.join()
    assert iris.get("/echo").ok
