"""A real Redis server on a free port of loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis


class RedisServer:
    """It runs from `start` to `stop`, each time on the same port, and keeps nothing."""

    def __init__(self, directory: Path, port: int, password: str = "redis-pass") -> None:
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--dir", str(directory), "--requirepass", password]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        with redis.Redis.from_url(self.url) as client:
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


@pytest.fixture
def redis_server(tmp_path: Path):
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the system's package")
    with socket.socket() as reserved:
        # bound all the while, so that the system gives the port to nobody else meanwhile; Redis
        # sets SO_REUSEADDR, too, and may bind it besides: on Linux, but not on BSD or macOS
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        if sys.platform != "linux":
            reserved.close()
        server = RedisServer(tmp_path, port).start()
        yield server
        server.stop()
