"""The three quota stores fulfil the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from requests_iris.quota.contract import QuotaStoreContract
from requests_iris.quota.memory import MemoryQuotaStore
from requests_iris.quota.redis import RedisQuotaStore
from requests_iris.quota.sqlite import SqliteQuotaStore


class TestMemory(QuotaStoreContract):
    shared = False

    def make_store(self, tmp_path: Path) -> MemoryQuotaStore:
        return MemoryQuotaStore()


class TestSqlite(QuotaStoreContract):
    def make_store(self, tmp_path: Path) -> SqliteQuotaStore:
        return SqliteQuotaStore(tmp_path / "made" / "quota.db")


class TestRedis(QuotaStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def make_store(self, tmp_path: Path) -> RedisQuotaStore:
        return RedisQuotaStore(self.url)
