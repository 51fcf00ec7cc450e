"""Forks and processes: no lock stays locked in a child, and nobody reads another's reply."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import socketserver
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox

from ..support.servers import serving

#: Seconds after which a child is taken for stuck.
STUCK = 30

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@contextmanager
def forked(work: Callable[[], bool]) -> Iterator[None]:
    """Runs `work` in a forked child beside the block; fails unless it returned true in time."""
    with warnings.catch_warnings():
        # Python 3.12 warns of what is tested here: a fork beside threads
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    try:
        yield
    finally:
        status = end_of(pid)
    assert status == 0


def end_of(pid: int) -> int:
    """The status that a child ends with; one that is stuck is ended."""
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


class OneConnectionAtATime(socketserver.StreamRequestHandler):
    """Answers with the path. A POST it answers when its body ends, or when another request comes.

    The other one is then answered when the body ends: the order is right, as HTTP/1.1 wants it.
    """

    def handle(self) -> None:
        waiting = b""
        for line in self.rfile:
            method, _, rest = line.partition(b" /")
            path = rest.partition(b" ")[0]
            if method == b"POST":
                waiting = path
            elif method == b"GET" and waiting:
                self._answer(waiting)
                waiting = path
            elif method == b"GET":
                self._answer(path)
            elif line == b"0\r\n":
                self._answer(waiting)
                waiting = b""

    def _answer(self, path: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))


@pytest.fixture
def in_clear() -> Iterator[str]:
    """The URL of such a server. Over TLS a connection that two use breaks, and mixes nothing."""
    with serving(
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), OneConnectionAtATime)
    ) as address:
        yield f"http://{address}"


def replies_to_parent_and_child(session: requests.Session, url: str) -> tuple[str, str]:
    """What each reads for a request of its own; the child's is sent in the middle of the parent's.

    Both have the session, with a connection that was alive at the fork.
    """
    session.get(f"{url}/first", timeout=STUCK)
    ours, childs = multiprocessing.Pipe()

    def child() -> bool:
        childs.recv()
        childs.send(session.get(f"{url}/child", timeout=STUCK).text)
        return True

    def body() -> Iterator[bytes]:
        ours.send("the head of the request is sent")
        assert ours.poll(STUCK)
        read.append(ours.recv())
        yield b""

    read: list[str] = []
    with forked(child):
        reply = session.post(f"{url}/parent", data=body(), timeout=STUCK).text
    return reply, *read


@needs_fork
def test_a_plain_session_gives_the_child_the_reply_to_its_parent(in_clear: str) -> None:
    """So the next test looks at something."""
    with requests.Session() as plain:
        assert replies_to_parent_and_child(plain, in_clear) == ("child", "parent")


@needs_fork
def test_ours_gives_each_its_own(sandbox: Sandbox, in_clear: str) -> None:
    with IrisSession(**sandbox.settings, allowed_hosts=[in_clear]) as iris:
        iris.verify = sandbox.ca_file
        assert replies_to_parent_and_child(iris, in_clear) == ("parent", "child")
        assert iris.authorized


def echoes(session: requests.Session, word: str) -> bool:
    return session.get("/echo", params={"word": word}, timeout=STUCK).json()["args"]["word"] == word


@needs_fork
def test_forks_in_the_middle_of_traffic(iris: IrisSession, sandbox: Sandbox) -> None:
    """Threads of the parent and of each child send all the while.

    The token is revoked between their turns: a request that met two revocations would rightly come
    back with a 401.
    """

    def traffic(name: str, over: threading.Event) -> bool:
        words = (f"{name}-{turn}" for turn in itertools.count())
        return all(echoes(iris, next(words)) for _ in iter(over.is_set, True))

    def child(name: str) -> bool:
        words = [f"{name}-{turn}" for turn in range(8)]
        with ThreadPoolExecutor(2) as pool:
            return all(pool.map(lambda word: echoes(iris, word), words))

    with ThreadPoolExecutor(4) as pool:
        for turn in range(6):
            sandbox.revoke_access_tokens()
            over = threading.Event()
            parents = [pool.submit(traffic, f"parent-{turn}-{each}", over) for each in "abcd"]
            try:
                with forked(lambda turn=turn: child(f"child-{turn}")):
                    assert echoes(iris, f"parent-{turn}")
            finally:
                over.set()
            assert all(parent.result(STUCK) for parent in parents)


@needs_fork
def test_a_fork_during_a_renewal_leaves_the_child_free(iris: IrisSession, sandbox: Sandbox) -> None:
    """The threads that renew, and hold the locks, do not exist in the child."""
    source = iris._source
    asked, let_go = threading.Event(), threading.Event()
    send = iris._send_token_request

    def held_back(request, timeout):
        with iris.cookies._cookies_lock:
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
            return echoes(iris, "child")

        with source._guard, forked(child):
            pass
    finally:
        let_go.set()
        leader.join(STUCK)
    assert echoes(iris, "parent")


def _get(iris: IrisSession) -> int:
    return iris.get("/echo").status_code


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(iris: IrisSession, sandbox: Sandbox, method: str) -> None:
    """The children go on with the token of the parent."""
    iris.get("/echo")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        assert pool.map_async(_get, [iris] * 4).get(STUCK) == [200] * 4
    pool.join()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)
