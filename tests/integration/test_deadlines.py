"""A deadline is a deadline: a token request ends in time, wherever the server dawdles."""

from __future__ import annotations

import gc
import socket
import socketserver
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from urllib3 import HTTPConnectionPool

from requests_iris import IrisSession, TokenError, TokenTimeoutError
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.source import TOKEN_TIMEOUT

from ..support.adapters import Before
from ..support.clocks import SkippingClock, advanced_after
from ..support.servers import serving
from ..support.waiting import HUNG, wait_until


@contextmanager
def dawdling(feed: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a token endpoint that reads each request, and then writes without an end."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                while not closing.is_set():
                    feed(connection)
            except OSError:
                hung_up.release()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    closing, hung_up = threading.Event(), threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token"
        assert hung_up.acquire(timeout=HUNG), "the connection is still open"
        closing.set()


def silently(connection: socket.socket) -> None:
    if not connection.recv(1):
        raise OSError("the client has hung up")


def slowly(piece: bytes) -> Callable[[socket.socket], None]:
    def feed(connection: socket.socket) -> None:
        time.sleep(0.05)  # as a slow server does; the test does not depend on the time
        connection.sendall(piece)

    return feed


def after(head: bytes, feed: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    sent: set[int] = set()

    def with_head(connection: socket.socket) -> None:
        if id(connection) not in sent:
            sent.add(id(connection))
            connection.sendall(head)
        feed(connection)

    return with_head


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EMPTY_BLOCK = zlib.compressobj(wbits=31)
DAWDLERS = {
    "silence": silently,
    "a head byte by byte": slowly(b"H"),
    "header lines": after(b"HTTP/1.1 200 OK\r\n", slowly(b"X-A: b")),
    "100 Continue": slowly(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body byte by byte": after(OK + b"Content-Length: 9999\r\n\r\n", slowly(b" ")),
    "a chunk-size line": after(OK + b"Transfer-Encoding: chunked\r\n\r\n", slowly(b"0")),
    "a chunk extension": after(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", slowly(b"a")),
    "small chunks": after(OK + b"Transfer-Encoding: chunked\r\n\r\n", slowly(b"1\r\n \r\n")),
    "trailers": after(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", slowly(b"X-A: b\r\n")),
    "a body until the server closes": after(OK + b"\r\n", slowly(b" ")),
    "a body with a length and Connection: close": after(
        OK + b"Connection: close\r\nContent-Length: 9999\r\n\r\n", slowly(b" ")
    ),
    "HTTP/1.0": after(b"HTTP/1.0 503 Busy\r\n\r\n", slowly(b" ")),
    "the body of a refusal": after(b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\n", slowly(b" ")),
    "the body of a redirect": after(
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n", slowly(b" ")
    ),
    "headers of 100 Continue": after(b"HTTP/1.1 100 Continue\r\n", slowly(b"X-A: b\r\n")),
    "a folded header line": after(b"HTTP/1.1 200 OK\r\nX-A: b\r\n", slowly(b" c\r\n")),
    "the name in a gzip header": after(
        OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", slowly(b"a")
    ),
    "deflate that inflates to nothing": after(
        OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compressobj().compress(b""),
        slowly(b"\x00\x00\x00\xff\xff"),
    ),
    "gzip that inflates to nothing": after(
        OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"a\r\n" + EMPTY_BLOCK.compress(b"") + b"\r\n",
        slowly(b"5\r\n\x00\x00\x00\xff\xff\r\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dawdler", DAWDLERS.values(), ids=DAWDLERS)
def test_the_deadline_ends_a_token_request_wherever_the_server_dawdles(dawdler) -> None:
    """All threads get an error soon after the deadline, and no thread or connection stays."""
    user = dict.fromkeys(("client_id", "client_secret", "username", "password"), "x")
    before = threading.active_count()
    with (
        dawdling(dawdler) as url,
        IrisSession(**user, token_url=url, token_timeout=0.2, base_url=url[:-6]) as iris,
        ThreadPoolExecutor(8) as pool,
    ):
        start = time.monotonic()
        errors = [pool.submit(iris.get, "/echo") for _ in range(8)]
        for error in errors:
            assert type(error.exception(HUNG)) is TokenTimeoutError
        assert time.monotonic() - start < 0.2 + 10  # a busy machine; without a deadline, for ever
    wait_until(lambda: threading.active_count() <= before + 20)


class OkThenDawdling(socketserver.StreamRequestHandler):
    """Says OK to the first request of a connection, and dawdles from the second request on."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.wfile.write(OK + b"Content-Length: 2\r\n\r\n{}")
        try:
            while self.request.recv(65536):
                self.server.dawdles.set()  # type: ignore[attr-defined]
                while True:
                    slowly(b"H")(self.request)
        except OSError:
            self.server.hung_up.set()  # type: ignore[attr-defined]


def test_the_deadline_ends_a_token_request_on_a_connection_that_is_used_again(
    clock: SkippingClock,
) -> None:
    """The API and the token endpoint share a host, so the API's connection is used again."""
    user = dict.fromkeys(("client_id", "client_secret", "username", "password"), "x")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OkThenDawdling) as server:
        server.daemon_threads = True
        server.dawdles, server.hung_up = threading.Event(), threading.Event()  # type: ignore[attr-defined]
        with serving(server) as address:
            url = f"http://{address}"
            with IrisSession(**user, token_url=f"{url}/token", base_url=url, clock=clock) as iris:
                assert iris.get("/", withhold_token=True).ok
                with (
                    advanced_after(server.dawdles.is_set, clock, TOKEN_TIMEOUT),  # type: ignore[attr-defined]
                    pytest.raises(TokenTimeoutError),
                ):
                    iris.get("/")
                assert server.hung_up.wait(HUNG)  # type: ignore[attr-defined]
                assert iris.get("/", withhold_token=True).ok


def all_pools() -> set[HTTPConnectionPool]:
    return {each for each in gc.get_objects() if isinstance(each, HTTPConnectionPool)}


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=400), Fault(drop="before")])
def test_a_closed_session_keeps_no_connection_after_a_failed_token_request(
    sandbox: Sandbox, clock, fault: Fault
) -> None:
    """No cycle of objects keeps a connection open until the next garbage collection."""
    gc.collect()
    gc.disable()
    before = all_pools()
    try:
        with IrisSession(**sandbox.settings, clock=clock) as iris:
            iris.verify = sandbox.ca_file
            sandbox.inject(fault, on="token", times=9)
            with pytest.raises(TokenError):
                iris.get("/echo")
            pools = weakref.WeakSet(all_pools() - before)
            assert pools
        assert list(pools) == []
    finally:
        gc.enable()


@pytest.mark.parametrize("dawdler", ["a head byte by byte", "silence"])
def test_the_deadline_holds_for_a_proxy_that_dawdles(sandbox: Sandbox, dawdler: str) -> None:
    with (
        dawdling(DAWDLERS[dawdler]) as url,
        IrisSession(**sandbox.settings, token_timeout=0.2) as iris,
    ):
        iris.verify, iris.trust_env = sandbox.ca_file, False
        iris.proxies = {"https": url[: -len("/token")]}
        with pytest.raises(TokenTimeoutError):
            iris.fetch_token()


def test_the_deadline_holds_for_an_adapter_that_hangs(sandbox: Sandbox) -> None:
    let_go = threading.Event()
    with IrisSession(**sandbox.settings, token_timeout=0.2) as iris:
        iris.verify = sandbox.ca_file
        iris.mount(sandbox.token_url, Before(lambda: let_go.wait(HUNG)))
        with pytest.raises(TokenTimeoutError):
            iris.fetch_token()
        let_go.set()


def test_a_token_endpoint_that_needs_12_seconds_works(sandbox: Sandbox, clock) -> None:
    """The deadline is that of the handed-in clock."""
    with IrisSession(**sandbox.settings, clock=clock) as iris:
        iris.verify = sandbox.ca_file
        iris.mount(sandbox.token_url, Before(lambda: clock.sleep(12)))
        assert iris.get("/echo").ok


def test_a_missing_thread_for_a_token_request_does_not_matter(iris, monkeypatch) -> None:
    """As at the interpreter's exit, where no thread can be started any more."""

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("_thread.start_new_thread", no_thread)
    assert iris.get("/echo").ok


def test_a_clock_that_jumps_does_not_end_a_wait_too_early(sandbox: Sandbox) -> None:
    """A waiting thread gets the token although the leader's pauses were skipped."""
    clock = SkippingClock()
    with IrisSession(**sandbox.settings, clock=clock) as iris, ThreadPoolExecutor(4) as pool:
        iris.verify = sandbox.ca_file
        fault = Fault(status=503, headers={"Retry-After": "25"}, body={})
        sandbox.inject(fault, on="token")
        assert all(each.ok for each in pool.map(iris.get, ["/echo"] * 4))
