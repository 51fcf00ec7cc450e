"""An HTTPS server on loopback: a thread a connection, kept alive, and gone at once when asked.

The standard library's servers do the work.
Theirs is changed in three places: the TLS handshake takes place in the connection's own thread,
requests and responses are Werkzeug's, and closing does not wait for a client to hang up.
"""

from __future__ import annotations

import itertools
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import IO, Any, cast
from urllib.parse import parse_qsl, unquote

from werkzeug import Response
from werkzeug.datastructures import Headers
from werkzeug.sansio.request import Request as BareRequest
from werkzeug.serving import DechunkedInput

#: The one address that the sandbox listens on.
HOST = "127.0.0.1"

_connection_ids = itertools.count(1)


class Request(BareRequest):
    """A request that has arrived whole, and the number of the connection that it came by."""

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

    @property
    def query(self) -> str:
        """The query as it travelled, still encoded."""
        return self.query_string.decode("latin-1")

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form, decoded as UTF-8; blank ones are kept."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A response and how it travels: whole and at once unless told otherwise.

    Without a response the connection is closed.
    `trickle` is the time between two bytes of the body in seconds, `truncate` the number of
    bytes after which the connection is closed.
    """

    response: Response | None
    trickle: float = 0
    truncate: int | None = None


App = Callable[[Request], Delivery]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves `app` by HTTPS on a free port of loopback, or on `port`, until it is closed."""

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = False

    def __init__(
        self, app: App, *, name: str, tls: ssl.SSLContext, closing: threading.Event, port: int = 0
    ) -> None:
        super().__init__((HOST, port), _Connection)
        self.app = app
        self.closing = closing
        self._tls = tls
        self._open: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, name=f"iris-sandbox-{name}")

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.server_address[1]}"

    def start(self) -> None:
        self._accepting.start()

    def close(self) -> None:
        """Stops accepting, hangs up on everyone, and returns when every thread has ended."""
        self.closing.set()
        with suppress(OSError), socket.create_connection((HOST, self.server_address[1])):
            pass  # wakes the accepting thread, which would wait for a client otherwise
        self._accepting.join()
        with self._lock:
            for connection in self._open:
                _hang_up(connection)
        self.server_close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            self.handle_request()

    def verify_request(self, *_: Any) -> bool:
        return not self.closing.is_set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shakes hands and serves one connection, in its own thread."""
        with (
            self._tls.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            ) as connection,
            self._listed(connection),
        ):
            connection.do_handshake()
            _Connection(connection, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that hangs up or refuses the certificate is no fault of ours."""

    @contextmanager
    def _listed(self, connection: ssl.SSLSocket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
            if self.closing.is_set():
                _hang_up(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def _hang_up(connection: ssl.SSLSocket) -> None:
    # The plain socket's method: SSLSocket's own takes the TLS layer away from under a reader.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    """One connection: reads a request whole, hands it to the app, delivers what comes back."""

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
        """Nothing: a sandbox is quiet."""

    def _exchange(self) -> None:
        delivery = self.server.app(self._read())
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
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return DechunkedInput(cast("IO[bytes]", self.rfile)).read() or b""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("The client hung up in the middle of its request.")
        return body

    def _send(self, response: Response, delivery: Delivery) -> None:
        body = response.get_data()
        if response.status_code not in (204, 304):
            response.headers.setdefault("Content-Length", str(len(body)))
        self.send_response_only(response.status_code)
        # not by `send_response`: a fault may set the date
        response.headers.setdefault("Server", self.version_string())
        response.headers.setdefault("Date", self.date_time_string())
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:  # the client has asked for it
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
