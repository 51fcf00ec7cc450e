"""A real Redis server on a free port of loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis


class RedisServer:
    """A server that runs from `start` to `stop`, always on the same port, and stores nothing.

    :param tls: paths of the server's certificate with its key, and of the CA that clients trust.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        password: str = "redis-pass",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.port = port
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._command = ["redis-server", "--bind", "127.0.0.1", "--save", ""]
        self._command += ["--dir", str(directory), "--requirepass", password]
        if tls is None:
            self._command += ["--port", str(port)]
        else:
            certificate, ca = map(str, tls)
            self.url = self.url.replace("redis:", "rediss:") + f"?ssl_ca_certs={ca}"
            self._command += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
            self._command += ["--tls-cert-file", certificate, "--tls-key-file", certificate]
            self._command += ["--tls-ca-cert-file", ca]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        options = {"ssl_check_hostname": False} if self.url.startswith("rediss:") else {}
        with redis.Redis.from_url(self.url, **options) as client:
            while True:
                try:
                    client.ping()
                    return self
                except redis.exceptions.ConnectionError:
                    assert self._process.poll() is None
                    assert time.monotonic() < ends
                    time.sleep(0.02)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def free_port() -> Iterator[int]:
    """A port of loopback that the system gives to nobody else."""
    with socket.socket() as reserved:
        # Redis sets SO_REUSEADDR too, and may then bind the same port: on Linux, but not on BSD or
        # macOS
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        if sys.platform != "linux":
            reserved.close()
        yield port


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the system's package")
    with free_port() as port:
        server = RedisServer(tmp_path, port).start()
        yield server
        server.stop()
