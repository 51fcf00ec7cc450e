"""Discarding a response takes little time and memory, even if the server sends for ever."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests
import trustme

from requests_iris import IrisSession
from requests_iris.discard import MAX_BYTES, discard
from requests_iris.sandbox import Fault, Sandbox

from .support.clocks import SkippingClock
from .support.servers import serving

#: Longest time of a retry or a resend on a busy machine, in seconds.
SOON = 20
PIECE = b"x" * 16384
#: An empty deflate block (RFC 1951 section 3.2.4).
NOTHING = b"\x00\x00\x00\xff\xff"
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

Send = Callable[[bytes], None]
Body = Callable[[Send], None]


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def chunks(send: Send) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(chunk(PIECE))


def tiny_chunks(send: Send) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(chunk(b"x") * 1000)


def chunk_extension(send: Send) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n1;")
    while True:
        send(PIECE)


def no_length(send: Send) -> None:
    send(b"Connection: close\r\n\r\n")
    while True:
        send(PIECE)


def huge_length(send: Send) -> None:
    send(b"Content-Length: 99999999999999\r\n\r\n")
    while True:
        send(PIECE)


def slow_bytes(send: Send) -> None:
    send(b"Content-Length: 20000\r\n\r\n")
    while True:
        send(b"x")
        time.sleep(0.05)


def slow_chunk_size(send: Send) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(b"0")
        time.sleep(0.05)


def slow_trailers(send: Send) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"x") + b"0\r\n")
    while True:
        send(b"X-More: 1\r\n")
        time.sleep(0.05)


def silence(send: Send) -> None:
    send(b"Content-Length: 20000\r\n\r\nx")
    time.sleep(3 * SOON)


def gzip_of_nothing(send: Send) -> None:
    send(b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(GZIP_HEADER))
    while True:
        send(chunk(NOTHING * 1000))


def gzip_bomb(send: Send) -> None:
    send(b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    press = zlib.compressobj(9, wbits=31)
    while True:
        send(chunk(press.compress(bytes(1_000_000)) + press.flush(zlib.Z_SYNC_FLUSH)))


def broken(send: Send) -> None:
    send(b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain")


BODIES = [
    *(
        chunks,
        tiny_chunks,
        chunk_extension,
        no_length,
        huge_length,
        slow_bytes,
        slow_chunk_size,
        slow_trailers,
        silence,
    ),
    *(gzip_of_nothing, gzip_bomb, broken),
]


#: The bodies that are also streamed.
STREAMED = (chunks, slow_trailers)
#: The bodies whose session has no retries.
WITHOUT_RETRIES = (huge_length, silence)
#: Each body, and whether the good response is streamed, by the path of the request.
CASES = {
    **{f"/{body.__name__}": (body, False) for body in BODIES},
    **{f"/{body.__name__}/streamed": (body, True) for body in STREAMED},
}


class BadOnce(socketserver.ThreadingTCPServer):
    """A server of the paths of `CASES`. On each path, the first response has `status` and the body
    of the case, later responses are good. `sent` has the number of bytes of each bad body.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, status: int, tls: ssl.SSLContext) -> None:
        self.status, self.tls = status, tls
        self.sent: Counter[str] = Counter()
        self.ends = time.monotonic() + 2 * SOON
        super().__init__(("127.0.0.1", 0), Connection)

    def handle_error(self, *_: object) -> None:
        """Ignores a client that closes the connection."""


class Connection(socketserver.StreamRequestHandler):
    server: BadOnce

    def setup(self) -> None:
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        while request := self.rfile.readline().strip():
            while self.rfile.readline().strip():
                pass
            path = request.decode().split()[1]
            if path in self.server.sent:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
                continue
            self.server.sent[path] = 0
            self.wfile.write(b"HTTP/1.1 %d Bad\r\n" % self.server.status)
            CASES[path][0](partial(self.send, path))

    def send(self, path: str, piece: bytes) -> None:
        if time.monotonic() > self.server.ends:
            raise ConnectionAbortedError("a failed test must end too")
        self.wfile.write(piece)
        self.server.sent[path] += len(piece)

    def finish(self) -> None:
        self.request.close()


class TestEndlessBodies:
    """All bodies at the same time, because a slow body takes a second."""

    @pytest.mark.parametrize("status", [503, 401], ids=["retry of a 503", "resend of a 401"])
    def test_each_body_is_discarded_soon_and_in_little_memory(
        self, sandbox: Sandbox, tmp_path: Path, status: int
    ) -> None:
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        ca_file = tmp_path / "bundle.pem"
        ca_file.write_bytes(Path(sandbox.ca_file).read_bytes() + authority.cert_pem.bytes())

        def check(path: str) -> None:
            body, stream = CASES[path]
            retry = 0 if status == 401 and body in WITHOUT_RETRIES else None
            settings = {**sandbox.settings, "base_url": url, "clock": SkippingClock()}
            with IrisSession(**settings, retry=retry) as iris:
                iris.verify = str(ca_file)
                iris.fetch_token()
                start = time.monotonic()
                with iris.get(path, stream=stream) as response:
                    assert response.text == "good"
                assert time.monotonic() - start < SOON
            if status == 503:
                assert [each.status for each in response.raw.retries.history] == [503]
            else:
                (rejected,) = response.history
                assert rejected.status_code == 401
                assert len(rejected.content) <= MAX_BYTES

        server = BadOnce(status, tls)
        with serving(server) as address, ThreadPoolExecutor(len(CASES)) as pool:
            url = f"https://{address}"
            tracemalloc.start()
            try:
                checks = {path: pool.submit(check, path) for path in CASES}
                failures = {path: each.exception() for path, each in checks.items()}
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert not {path: error for path, error in failures.items() if error}
        assert peak < 8_000_000, f"bytes that the server sent: {server.sent}"


class TestDiscardedResponses:
    @pytest.mark.parametrize("size", [0, 1, 1000, MAX_BYTES])
    def test_connection_of_a_short_body_is_used_again(self, iris, sandbox, size) -> None:
        sandbox.inject(Fault(status=401, body="x" * size), on="api")
        response = iris.get("/echo", stream=True)
        assert response.ok
        response.close()
        assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 1
        assert response.history[0].text == "x" * size

    def test_connection_of_a_long_body_is_closed(self, iris, sandbox) -> None:
        sandbox.inject(Fault(status=401, body="x" * 2 * MAX_BYTES), on="api")
        response = iris.get("/echo", stream=True)
        assert response.ok
        response.close()
        assert len({seen.connection_id for seen in sandbox.seen if seen.server == "api"}) == 2
        assert response.history[0].text == "x" * MAX_BYTES

    def test_body_that_was_read_is_kept_whole(self, sandbox) -> None:
        sandbox.inject(Fault(status=500, body="x" * 3 * MAX_BYTES), on="foreign")
        response = requests.get(f"{sandbox.foreign_url}/echo", verify=sandbox.ca_file)
        discard(response)
        assert len(response.content) == 3 * MAX_BYTES

    def test_response_without_a_connection_can_be_discarded(self) -> None:
        response = requests.Response()
        discard(response)
        assert response.content == b""

    def test_the_time_limit_of_a_discarded_body_ends_with_the_body(self, iris, sandbox) -> None:
        sandbox.inject(Fault(status=503), on="api", times=3)
        iris.get("/echo", stream=True).close()
        # The thread of a cancelled timer may take a moment to end on a busy machine.
        timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
        assert all(each.finished.is_set() for each in timers), "a timer waits out its second"


def test_the_last_response_of_a_retry_is_read_whole(iris, sandbox) -> None:
    """Only discarded responses are cut."""
    body = "x" * 5 * MAX_BYTES
    sandbox.inject(Fault(status=503, body=body), on="api", times=9)
    assert iris.get("/echo").text == body


def test_401_that_is_not_resent_is_read_whole(iris, sandbox) -> None:
    body = "x" * 5 * MAX_BYTES
    sandbox.inject(Fault(status=401, body=body), on="api", times=9)
    assert iris.get("/echo").text == body
    assert iris.get("/echo", auth=("my", "own")).text == body
