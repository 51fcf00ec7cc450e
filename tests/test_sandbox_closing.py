"""Closing the sandbox: it never waits for a client, and no request is without bounds."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from requests_iris.sandbox import Fault, Sandbox
from requests_iris.sandbox.server import MAX_BODY

from .support.waiting import HUNG, wait_until

HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

#: The bytes that a client sends over TLS before falling silent with an open connection.
UNFINISHED = {
    "nothing after the handshake": b"",
    "half a request line": b"POST /ec",
    "a header that does not end": HEAD + b"X-Long: " + b"x" * 1000,
    "headers without end": HEAD + b"X-One: 1\r\n",
    "a body that does not come": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 100\r\n\r\nhalf",
    "chunks that do not come": CHUNKED,
    "half a chunk's length": CHUNKED + b"ff",
    "half a chunk": CHUNKED + b"ff\r\nhalf",
    "a chunk without an end of line": CHUNKED + b"4\r\nhalf",
    "trailers without end": CHUNKED + b"0\r\nX-One: 1\r\n",
    "a keep-alive connection": GET,
}
#: The work of the server while a client does not read the response.
UNREAD = {
    "a large response": Fault(status=200, body="x" * 50_000_000),
    "a delay": Fault(delay=HUNG),
    "a trickle": Fault(status=200, body="xx", trickle=HUNG),
}
#: Requests that the sandbox refuses before reading to the end, and the status.
REFUSED = {
    "a length beyond the bound": (HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
    "an absurd length": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a length that is no number": (HEAD + b"Content-Length: ten\r\n\r\n", 400),
    "a length with an underscore": (HEAD + b"Content-Length: 1_0\r\n\r\n", 400),
    "no length": (HEAD + b"Content-Length: \r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "another coding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "a chunk of 2^60 bytes": (CHUNKED + b"fffffffffffffff\r\nxx", 413),
    "a chunk of 2^400 bytes": (CHUNKED + b"f" * 100 + b"\r\nxx", 413),
    "chunks that exceed the bound together": (CHUNKED + b"1\r\nx\r\n%x\r\n" % MAX_BODY, 413),
    "a negative chunk": (CHUNKED + b"-1\r\n", 400),
    "a chunk without a length": (CHUNKED + b"\r\n", 400),
    "a chunk longer than announced": (CHUNKED + b"1\r\nxxxxx\r\n", 400),
    "an endless line before a chunk": (CHUNKED + b"1" * 100_000, 400),
    "too many trailers": (CHUNKED + b"0\r\n" + b"X-One: 1\r\n" * 200, 431),
    "too many headers": (HEAD + b"X-One: 1\r\n" * 200, 431),
    "an endless header": (HEAD + b"X: " + b"x" * 100_000, 431),
}


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


@contextmanager
def connection(sandbox: Sandbox) -> Iterator[ssl.SSLSocket]:
    """A connection to the foreign server, which needs no token, after the handshake."""
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    plain = socket.create_connection(address(sandbox.foreign_url), timeout=HUNG)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        yield secure


def sandbox_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("iris-sandbox")]


def assert_closes_at_once(sandbox: Sandbox) -> None:
    """The bound is for a busy machine; a close that waited for the client would wait for ever."""
    started = time.monotonic()
    sandbox.close()
    assert time.monotonic() - started < 10
    assert sandbox_threads() == []


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_closing_does_not_wait_for_the_rest_of_a_request(sent: bytes) -> None:
    with Sandbox() as sandbox, connection(sandbox) as client:
        client.sendall(sent)
        wait_until(lambda: len(sandbox_threads()) == 4)
        if sent == GET:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert_closes_at_once(sandbox)


@pytest.mark.parametrize("fault", UNREAD.values(), ids=UNREAD)
def test_closing_does_not_wait_for_a_client_that_reads_nothing(fault: Fault) -> None:
    with Sandbox() as sandbox, connection(sandbox) as client:
        sandbox.inject(fault, on="foreign")
        client.sendall(GET)
        wait_until(lambda: sandbox.count("foreign") == 1)
        assert_closes_at_once(sandbox)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half"])
def test_closing_does_not_wait_for_a_tls_handshake(sent: bytes) -> None:
    with (
        Sandbox() as sandbox,
        socket.create_connection(address(sandbox.foreign_url), timeout=HUNG) as client,
    ):
        client.sendall(sent)
        wait_until(lambda: len(sandbox_threads()) == 4)
        assert_closes_at_once(sandbox)


def test_closing_hangs_up_on_a_hundred_clients_at_once() -> None:
    with Sandbox() as sandbox:
        clients = [socket.create_connection(address(sandbox.base_url)) for _ in range(100)]
        wait_until(lambda: len(sandbox_threads()) == 103)
        assert_closes_at_once(sandbox)
        for client in clients:
            client.close()


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
def test_a_request_without_bounds_is_refused_unread(sandbox, sent: bytes, status: int) -> None:
    with connection(sandbox) as client:
        with suppress(OSError):  # the server may refuse before everything is sent
            client.sendall(sent)
        assert client.recv(4096).startswith(b"HTTP/1.1 %d " % status)
    assert sandbox.seen == ()


@pytest.mark.parametrize("size", ["4", "0004", "4;name=value", "00000000000000000000004"])
def test_the_ways_to_write_a_chunk_are_understood(sandbox, size: str) -> None:
    body = f"{size}\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n".encode()
    with connection(sandbox) as client:
        client.sendall(CHUNKED + body + GET)
        wait_until(lambda: len(sandbox.seen) == 2)
    assert [seen.body for seen in sandbox.seen] == [b"body", b""]


class TestPrograms:
    """Programs without a call of `close`."""

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=HUNG,
        )

    @pytest.mark.parametrize(
        ("last_words", "status"), [("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1)]
    )
    def test_a_program_ends_without_close_and_leaves_no_file(self, last_words, status) -> None:
        result = self.run(
            f"""
import socket, sys
from urllib.parse import urlsplit
from requests_iris.sandbox import Sandbox
sandbox = Sandbox().start()
url = urlsplit(sandbox.base_url)
client = socket.create_connection((url.hostname, url.port)).detach()  # open until the end
print(sandbox.ca_file, flush=True)
{last_words}
"""
        )
        assert result.returncode == status
        assert "Warning" not in result.stderr
        assert not os.path.exists(os.path.dirname(result.stdout.strip()))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_a_forked_child_does_not_close_the_sandbox_of_its_parent(self) -> None:
        result = self.run(
            """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork in a program with threads
import requests
from requests_iris.sandbox import Sandbox
with Sandbox() as sandbox:
    child = os.fork()
    if not child:
        sandbox.close()
        sys.exit()  # runs the exit handlers, unlike os._exit
    os.waitpid(child, 0)
    assert requests.get(sandbox.foreign_url, verify=sandbox.ca_file, timeout=30).ok
    print("served")
"""
        )
        assert result.stdout == "served\n", result.stderr
