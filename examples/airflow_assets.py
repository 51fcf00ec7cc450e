"""Counts the machines of each brand in a DAG of Airflow, with one token for all of its tasks.

    pip install "requests-iris[redis]" apache-airflow

Put a copy into the folder of DAGs, and give the workers the TRACKUNIT_* variables: the credentials,
and TRACKUNIT_TOKEN_STORE, such as redis://localhost:6379/0.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

from airflow.sdk import dag, task

from requests_iris import IrisSession

#: Assets a task: each task is a process, and makes a session and connections of its own.
BATCH = 100


@dag(schedule="@daily", tags=["iris"])
def iris_assets() -> None:
    @task
    def batches() -> list[list[str]]:
        """The ids of all assets."""
        with IrisSession() as iris:
            ids = [asset["id"] for asset in iris.items("/api/asset/v1/assets")]
        return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]

    @task
    def brands(ids: list[str]) -> list[str]:
        """Reads the details of some assets, and hands on what is needed of them."""
        with IrisSession() as iris:
            replies = [iris.get(f"/api/asset/v1/assets/{asset}") for asset in ids]
        for reply in replies:
            reply.raise_for_status()
        return [reply.json()["brand"] for reply in replies]

    @task
    def summary(found: list[list[str]]) -> dict[str, int]:
        """How many machines there are of each brand."""
        return dict(Counter(chain.from_iterable(found)))

    summary(brands.expand(ids=batches()))


iris_assets()
