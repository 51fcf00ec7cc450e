"""Reads the details of all assets on a Dask cluster. All workers share one token.

    pip install "./requests-iris[redis]" distributed
    TRACKUNIT_TOKEN_STORE=redis://localhost:6379/0 python examples/dask_assets.py

Credentials come from the TRACKUNIT_* variables. The tasks contain a pickle of the session, with the
credentials.
"""

from __future__ import annotations

import sys
from typing import Any

from distributed import Client, LocalCluster

from requests_iris import IrisSession

#: Assets per task. Each task unpickles the session, and opens new connections.
BATCH = 100


def details(iris: IrisSession, ids: list[str]) -> list[dict[str, Any]]:
    """One task: the details of some assets."""
    with iris:
        responses = [iris.get(f"/api/asset/v1/assets/{asset}") for asset in ids]
    for response in responses:
        response.raise_for_status()
    return [response.json() for response in responses]


def all_ids(iris: IrisSession) -> list[str]:
    return [asset["id"] for asset in iris.items("/api/asset/v1/assets")]


def read_all(iris: IrisSession, client: Client) -> list[dict[str, Any]]:
    """The details of all assets, read by the workers of `client`."""
    ids = all_ids(iris)
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    tasks = [client.submit(details, iris, batch, pure=False) for batch in batches]
    return [asset for batch in client.gather(tasks) for asset in batch]


def main() -> None:
    with (
        LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        IrisSession() as iris,
    ):
        print(len(read_all(iris, client)), "assets", file=sys.stderr)


if __name__ == "__main__":
    main()
