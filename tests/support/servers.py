"""Servers beside the sandbox: an echo server with any certificate, and a proxy."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests_iris.sandbox.api import echo
from requests_iris.sandbox.server import Delivery, Server, hang_up


@contextmanager
def echo_server(tls: ssl.SSLContext) -> Iterator[str]:
    """The URL of a server whose response shows the request."""
    server = Server(
        lambda request: Delivery(response=echo(request)),
        name="echo",
        tls=tls,
        closing=threading.Event(),
    )
    server.start()
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[str]:
    """The host and port of `server`, while a thread serves requests."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            host, port = server.server_address[:2]
            yield f"{host}:{port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def proxy(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a proxy with CONNECT (RFC 9110 section 9.3.6), with or without TLS."""

    opened: list[socket.socket] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if tls:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def handle(self) -> None:
            host, port = self.rfile.readline().split()[1].decode().split(":")
            while self.rfile.readline().strip():
                pass
            with socket.create_connection((host, int(port))) as target:
                opened.extend((target, self.request))
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(target, self.request))
                back.start()
                _pump(self.request, target)
                back.join()

        def finish(self) -> None:
            super().finish()
            self.request.close()  # the TLS layer is unknown to the server

    class Proxy(socketserver.ThreadingTCPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing: a client may refuse the certificate."""

    with serving(Proxy(("127.0.0.1", 0), Tunnel)) as address:
        try:
            yield f"{'https' if tls else 'http'}://{address}"
        finally:
            # Before the server waits for its threads. If threads share a new session, requests
            # may make two managers for a proxy, and closes the connections of the last only.
            for each in opened:
                hang_up(each)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the source or the sink has hung up
