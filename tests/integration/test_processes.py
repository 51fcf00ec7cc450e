"""Forks and processes: no lock stays locked in a child, and no process reads wrong responses."""

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
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_iris import FileTokenStore, IncompleteListError, IrisSession
from requests_iris.sandbox import Sandbox

from ..support.servers import serving
from ..support.waiting import wait_until

#: Seconds after which a child counts as stuck.
STUCK = 30

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@contextmanager
def forked(work: Callable[[], bool]) -> Iterator[None]:
    """Runs `work` in a forked child beside the block. Fails unless `work` returns true in time."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, which is the subject of these tests
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
    """The exit status of a child. Ends a stuck child."""
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


class OneConnectionAtATime(socketserver.StreamRequestHandler):
    """A server that returns the path of the request.

    The response to a POST comes when the body ends, or when the next request begins. The response
    to the next request comes when the body ends. The order is right, as in HTTP/1.1.
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
    """The URL of the server, without TLS. Over TLS a shared connection would break."""
    with serving(
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), OneConnectionAtATime)
    ) as address:
        yield f"http://{address}"


def responses_to_parent_and_child(session: requests.Session, url: str) -> tuple[str, str]:
    """The responses that parent and child read. Each sends a request.

    The child sends its request in the middle of the parent's request. Both use the same session,
    with a connection from before the fork.
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
def test_a_plain_session_mixes_up_the_responses_of_parent_and_child(in_clear: str) -> None:
    """Shows that the next test is able to fail."""
    with requests.Session() as plain:
        assert responses_to_parent_and_child(plain, in_clear) == ("child", "parent")


@needs_fork
def test_iris_session_gives_parent_and_child_their_own_responses(
    sandbox: Sandbox, in_clear: str
) -> None:
    with IrisSession(**sandbox.settings, allowed_hosts=[in_clear]) as iris:
        iris.verify = sandbox.ca_file
        assert responses_to_parent_and_child(iris, in_clear) == ("parent", "child")
        assert iris.authorized


def echoes(session: requests.Session, word: str) -> bool:
    return session.get("/echo", params={"word": word}, timeout=STUCK).json()["args"]["word"] == word


@needs_fork
def test_forks_during_traffic_leave_all_requests_correct(
    iris: IrisSession, sandbox: Sandbox
) -> None:
    """Threads of the parent and of each child send requests all the time.

    The token is revoked between two turns. A request during two revocations would rightly return a
    401.
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


@contextmanager
def held_by_a_thread(lock: Any) -> Iterator[None]:
    """Holds a lock in a thread that does not exist in a forked child."""
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert let_go.wait(STUCK)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(STUCK)
        yield
    finally:
        let_go.set()
        holder.join(STUCK)


@needs_fork
def test_child_forked_during_a_renewal_gets_a_token(iris: IrisSession, sandbox: Sandbox) -> None:
    """The child has no copy of the thread that renews or of the thread that locks the cookies."""
    parent, let_go = os.getpid(), threading.Event()

    class Holding(requests.adapters.HTTPAdapter):
        """Keeps the parent's connection busy: the body of the response is still unread."""

        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            response = super().send(*args, **kwargs)
            assert os.getpid() != parent or let_go.wait(STUCK)
            return response

    iris.mount(sandbox.token_url, Holding())
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(echoes, iris, "parent")
        wait_until(lambda: sandbox.count("token") == 1)
        try:
            with (
                held_by_a_thread(iris.cookies._cookies_lock),
                forked(lambda: echoes(iris, "child")),
            ):
                pass
            assert not renewing.done()
        finally:
            let_go.set()
        assert renewing.result(STUCK)
    assert sandbox.count("token") == 2


@needs_fork
def test_child_forked_while_the_parent_holds_a_lock_of_a_store_can_lock(tmp_path: Path) -> None:
    """The child inherits the parent's open files, and must not inherit the lock of the parent."""
    store = FileTokenStore(tmp_path / "token.json")

    def child() -> bool:
        try:
            with store.lock("", 0):
                return False
        except TimeoutError:
            released.set()
        with store.lock("", STUCK):
            return True

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        released = multiprocessing.get_context("fork").Event()
    with ExitStack() as stack:
        stack.enter_context(store.lock("", 5))
        with forked(child):
            assert released.wait(STUCK)
            stack.close()


def _get(iris: IrisSession) -> int:
    return iris.get("/echo").status_code


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing_children_use_the_token_of_the_parent(
    iris: IrisSession, sandbox: Sandbox, method: str
) -> None:
    iris.get("/echo")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        assert pool.map_async(_get, [iris] * 4).get(STUCK) == [200] * 4
    pool.join()
    assert iris.get("/echo").ok
    assert (sandbox.count("token"), sandbox.count("api", 401)) == (1, 0)


@needs_fork
@pytest.mark.parametrize("what", ["items", "series"])
def test_a_walk_with_workers_ends_in_a_forked_child_with_a_resume_point(what: str) -> None:
    """A fork copies no worker, so no page would come in the child."""
    with Sandbox(machines=600) as sandbox, IrisSession(**sandbox.settings) as iris:
        iris.verify = sandbox.ca_file
        sandbox.aemp.page_size = 500  # a page for each window, so the workers read windows
        year = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        read: Callable[..., Any] = {
            "items": partial(iris.items, "/api/asset/v1/assets", params={"size": 20}),
            "series": partial(iris.series, sandbox.asset_ids[0], "Distance", *year),
        }[what]
        whole = list(read())
        walk = read(max_workers=3)
        begun = [next(walk) for _ in range(370)]

        def child() -> bool:
            found = list(begun)
            with pytest.raises(IncompleteListError, match="a forked process has no workers"):
                found.extend(walk)
            found.extend(read(resume=walk.resume))
            return found == whole

        with forked(child):
            assert [*begun, *walk] == whole
