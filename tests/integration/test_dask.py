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

#: Machines for a task of each worker.
WORKERS, MACHINES = 3, 3 * dask_assets.BATCH


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # coverage would make the workers start slowly, and see no line that further tests do not see
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    with LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None is port 8787, which a second run may have
        local_directory=str(tmp_path),
    ) as cluster:
        yield cluster


def test_dask_workers_read_a_fleet_with_one_token_request(
    redis_server: RedisServer, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both with a token in the pickle and with an empty pickle. A cluster takes long to start."""
    with Client(cluster) as client:
        read_fleet(redis_server, client, lists=1)
        # without the list, the workers alone need a token, all at the same time
        ids = [asset["id"] for asset in Fleet(MACHINES).assets]
        monkeypatch.setattr(dask_assets, "all_ids", lambda _: ids)
        read_fleet(redis_server, client, lists=0)


def read_fleet(redis_server: RedisServer, client: Client, *, lists: int) -> None:
    """Reads a new fleet, with a token of its own. `lists`: the requests for pages of the list."""
    with (
        Sandbox(machines=MACHINES) as sandbox,
        IrisSession(**sandbox.settings, token_store=redis_server.url) as iris,
    ):
        iris.verify = sandbox.ca_file
        found = dask_assets.read_all(iris, client)
        assert bool(iris.token) is bool(lists)
        assert [asset["id"] for asset in found] == list(sandbox.asset_ids)
        assert sandbox.count("token") == 1
        assert sandbox.count("api", 401) == 0
        assert sandbox.count("api", 200) == MACHINES + lists
