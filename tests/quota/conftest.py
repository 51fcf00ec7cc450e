"""Fixtures for the tests of quotas: a place for each kind of store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.redis_server import RedisServer, free_port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis for all tests of quotas. Each test uses a host or an owner of its own."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the system's package")
    with free_port() as port:
        server = RedisServer(tmp_path_factory.mktemp("redis"), port).start()
        yield server.url
        server.stop()


@pytest.fixture(params=["memory", "file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `quota` for each kind of store."""
    if request.param == "redis":
        return request.getfixturevalue("redis_url")
    return "memory" if request.param == "memory" else str(tmp_path / "made" / "quota.db")
