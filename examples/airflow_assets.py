"""Counts the machines of each brand in an Airflow DAG. All tasks share one token.

    pip install "./requests-iris[redis]" apache-airflow

Copy this file into the folder of DAGs. Set the TRACKUNIT_* variables of the workers: the
credentials, and TRACKUNIT_TOKEN_STORE, for example redis://localhost:6379/0.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

from airflow.sdk import dag, task

from requests_iris import IrisSession

#: Assets per task. Each task runs in a separate process, with a new session and new connections.
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
        """Reads the details of some assets, and returns the brands."""
        with IrisSession() as iris:
            responses = [iris.get(f"/api/asset/v1/assets/{asset}") for asset in ids]
        for response in responses:
            response.raise_for_status()
        return [response.json()["brand"] for response in responses]

    @task
    def summary(found: list[list[str]]) -> dict[str, int]:
        """The number of machines of each brand."""
        return dict(Counter(chain.from_iterable(found)))

    summary(brands.expand(ids=batches()))


iris_assets()
