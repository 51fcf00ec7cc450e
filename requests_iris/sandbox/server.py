"""An HTTPS server on loopback: one thread per connection, keep-alive, and bounded requests.

The standard library's servers do the work. Three things are different here:

* The TLS handshake takes place in the connection's own thread.
* Requests and responses are Werkzeug's. The body of a request has at most `MAX_BODY` bytes; the
  standard library bounds a request's headers (100 lines of 64 KiB).
* Closing waits for no client. Every thread of a server blocks only on its own connection, so
  shutting down the connection ends the thread, whatever the client sends or fails to send.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import socketserver
import ssl
import string
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote

from werkzeug import Response
from werkzeug.datastructures import Headers
from werkzeug.sansio.request import Request as BareRequest

from .problems import Problem

#: The address that the sandbox listens on.
HOST = "127.0.0.1"

#: The most bytes that the body of a request may have.
MAX_BODY = 64 * 1024 * 1024

#: The most bytes of a line that begins a chunk (RFC 9112 section 7.1).
_MAX_CHUNK_LINE = 1024

_connection_ids = itertools.count(1)


class Request(BareRequest):
    """A whole request, and the number of the connection."""

    def __init__(
        self, *, method: str, target: str, headers: Headers, body: bytes, connection_id: int
    ) -> None:
        path, _, query = target.partition("?")
        super().__init__(
            method=method,
            scheme="https",
            server=None,
            root_path="",
            path=unquote(path),
            query_string=query.encode("latin-1"),
            headers=headers,
            remote_addr=HOST,
        )
        self.body = body
        self.connection_id = connection_id
        #: The path as the client sent the path, still encoded.
        self.encoded_path = path

    @property
    def segments(self) -> list[str]:
        """The decoded segments of the path. A segment can contain a slash."""
        return [unquote(segment) for segment in self.encoded_path.split("/")]

    @property
    def query(self) -> str:
        """The query as the client sent it, still encoded."""
        return self.query_string.decode("latin-1")

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form, decoded as UTF-8. Blank fields are kept."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON.

        :raises ValueError: if the body is not JSON, or is nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("The JSON is nested too deeply.") from None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A response and how the server sends the response: whole and at once by default.

    Without a response the server closes the connection.
    `trickle` is the number of seconds between two bytes of the body. `truncate` cuts the body as
    ``body[:truncate]`` does; after a cut the server closes the connection.
    """

    response: Response | None
    trickle: float = 0
    truncate: int | None = None


App = Callable[[Request], Delivery]


class Server(socketserver.TCPServer):
    """Serves `app` by HTTPS on `port` of loopback, or on a free port, until it is closed.

    The accepting thread and the closing thread share the list of connections; a lock guards it.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, app: App, *, name: str, tls: ssl.SSLContext, closing: threading.Event, port: int = 0
    ) -> None:
        super().__init__((HOST, port), _Connection)
        self.app = app
        self.closing = closing
        self._name = f"iris-sandbox-{name}"
        self._tls = tls
        self._lock = threading.Lock()
        self._connections: set[ssl.SSLSocket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = self._thread(self._accept)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.server_address[1]}"

    def start(self) -> None:
        self._accepting.start()

    def close(self, timeout: float = 2) -> None:
        """Stop, and wait up to `timeout` seconds for the threads to end."""
        self.stop()
        self.join(time.monotonic() + timeout)

    def stop(self) -> None:
        """Accept no more connections, and hang up on every client."""
        self.closing.set()
        with suppress(OSError), socket.create_connection((HOST, self.server_address[1]), 1):
            pass  # wakes the accepting thread, which waits for a client
        self._accepting.join(1)
        with self._lock:
            for connection in self._connections:
                hang_up(connection)
        self.server_close()

    def join(self, ends: float) -> None:
        """Wait until every thread has ended, or until `ends` by the monotonic clock.

        Only a long computation, such as sorting a million machines, can take longer. The thread of
        the computation is a daemon, and ends by itself.
        """
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0))

    def _thread(self, target: Callable[..., None], *args: object) -> threading.Thread:
        # A daemon: a sandbox that nobody closes must not keep the program alive.
        return threading.Thread(target=target, args=args, name=self._name, daemon=True)

    def _accept(self) -> None:
        while not self.closing.is_set():
            self.handle_request()

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        plain, address = super().get_request()
        return self._tls.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ), address

    def verify_request(self, *_: Any) -> bool:
        return not self.closing.is_set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a new thread."""
        thread = self._thread(self._serve, request, client_address)
        with self._lock:
            self._connections.add(request)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]

    def _serve(self, connection: ssl.SSLSocket, client_address: Any) -> None:
        try:
            connection.do_handshake()
            self.finish_request(connection, client_address)
        except Exception:
            self.handle_error(connection, client_address)
        finally:
            self.shutdown_request(connection)

    def shutdown_request(self, request: Any) -> None:
        # Off the list first: another connection may get the same file descriptor afterwards.
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client may hang up or refuse the certificate."""


def hang_up(connection: socket.socket) -> None:
    """End a connection in both directions, also while another thread reads or writes."""
    # The plain socket's method: SSLSocket's own takes the TLS layer away from under a reader.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    """One connection: reads a request whole, hands the request to the app, sends the response."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._id = next(_connection_ids)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def version_string(self) -> str:
        return "iris-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a sandbox is quiet."""

    def _exchange(self) -> None:
        try:
            request = self._read()
        except Problem as problem:
            self.close_connection = True  # the rest of the request was not read
            delivery = Delivery(response=problem.response)
        else:
            delivery = self.server.app(request)
        if delivery.response is None:
            self.close_connection = True
        else:
            self._send(delivery.response, delivery)

    def _read(self) -> Request:
        return Request(
            method=self.command,
            target=self.path,
            headers=Headers(self.headers.items()),
            body=self._read_body(),
            connection_id=self._id,
        )

    def _read_body(self) -> bytes:
        coding = self.headers.get("Transfer-Encoding")
        if coding is None:
            return self._read_exactly(self._content_length())
        if coding.strip().lower() != "chunked":
            raise Problem(501, "not_implemented", "The sandbox knows no coding but chunked.")
        return self._read_chunks()

    def _content_length(self) -> int:
        lengths = {length.strip() for length in self.headers.get_all("Content-Length", ["0"])}
        if len(lengths) > 1:
            raise _bad_request("The request has two lengths.")
        return _length(lengths.pop(), string.digits)

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            if len(body) + size > MAX_BODY:
                raise _too_large()
            body += self._read_exactly(size)
            if self._read_line().strip():
                raise _bad_request("A chunk is longer than announced.")
        self._skip_trailers()
        return bytes(body)

    def _chunk_size(self) -> int:
        size, _, _extension = self._read_line().partition(";")
        return _length(size.strip(), string.hexdigits)

    def _read_line(self) -> str:
        line = self.rfile.readline(_MAX_CHUNK_LINE)
        if not line.endswith(b"\n"):
            raise _bad_request("The line before a chunk does not end.")
        return line.decode("latin-1")

    def _skip_trailers(self) -> None:
        try:
            http.client.parse_headers(self.rfile)
        except http.client.HTTPException:
            raise Problem(431, "headers_too_large", "The trailers are too large.") from None

    def _read_exactly(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("The client hung up in the middle of its request.")
        return body

    def _send(self, response: Response, delivery: Delivery) -> None:
        body = response.get_data()
        if response.status_code not in (204, 304):
            response.headers.setdefault("Content-Length", str(len(body)))
        self.send_response_only(response.status_code)
        # `send_response` would add a Date beside the Date of a fault.
        response.headers.setdefault("Server", self.version_string())
        response.headers.setdefault("Date", self.date_time_string())
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:  # at the client's wish, or because the request was refused
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD" or response.status_code in (204, 304):
            return
        if delivery.truncate is not None:
            self.close_connection = True
            body = body[: delivery.truncate]
        self._send_body(body, delivery.trickle)

    def _send_body(self, body: bytes, trickle: float) -> None:
        if not trickle:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes((byte,)))
            if self.server.closing.wait(trickle):
                self.close_connection = True
                return


def _length(text: str, digits: str) -> int:
    """The number of bytes that a request announces, in decimal or hexadecimal `digits`."""
    if not text or text.strip(digits):
        raise _bad_request("A length must be a number of bytes.")
    significant = text.lstrip("0")
    if len(significant) > 16:  # int() may take long for a number of 60,000 digits
        raise _too_large()
    length = int(significant or "0", 16 if digits == string.hexdigits else 10)
    if length > MAX_BODY:
        raise _too_large()
    return length


def _bad_request(message: str) -> Problem:
    return Problem(400, "bad_request", message)


def _too_large() -> Problem:
    message = f"The body of a request may have at most {MAX_BODY} bytes."
    return Problem(413, "content_too_large", message)
