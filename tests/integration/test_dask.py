"""A Dask cluster of worker processes reads a fleet with one token."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from examples import dask_assets
from requests_iris import IrisSession
from requests_iris.sandbox import Sandbox
from requests_iris.sandbox.fleet import Fleet

from ..support.redis_server import RedisServer

WORKERS = 3


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # coverage would make the workers start slowly, and see no line that further tests do not see
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    with LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(tmp_path),
    ) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("assets", "signed_in"),
    [(2000, True), (200, False)],
    ids=["token in the pickle", "empty pickle"],
)
def test_dask_workers_read_a_fleet_with_one_token_request(
    redis_server: RedisServer, cluster: LocalCluster, monkeypatch, assets: int, signed_in: bool
) -> None:
    ids = [asset["id"] for asset in Fleet(assets).assets]
    if not signed_in:  # then the workers alone need a token, all at the same time
        monkeypatch.setattr(dask_assets, "all_ids", lambda _: ids)
    with (
        Sandbox(machines=assets) as sandbox,
        Client(cluster) as client,
        IrisSession(**sandbox.settings, token_store=redis_server.url) as iris,
    ):
        iris.verify = sandbox.ca_file
        found = dask_assets.read_all(iris, client)
        assert bool(iris.token) is signed_in
        assert [asset["id"] for asset in found] == ids
        assert sandbox.count("token") == 1
        assert sandbox.count("api", 401) == 0
        assert sandbox.count("api", 200) == assets + (2 if signed_in else 0)  # and the lists
