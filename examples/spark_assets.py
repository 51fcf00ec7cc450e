"""Reads the details of all assets with Spark. All workers share one token.

    pip install "./requests-iris[redis]" pyspark
    TRACKUNIT_TOKEN_STORE=redis://localhost:6379/0 spark-submit examples/spark_assets.py

Credentials come from the TRACKUNIT_* variables. The workers of a cluster need the same
variables: set spark.executorEnv.TRACKUNIT_TOKEN_STORE and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from requests_iris import IrisSession

#: Partitions. Each partition has a session, and sends one request at a time.
PARTITIONS = 4
#: The columns. Without a schema, Spark would read some assets first to guess a schema.
SCHEMA = "id string, name string, brand string, model string, serialNumber string"


def details(ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One partition: the details of some assets."""
    with IrisSession() as iris:
        for asset in ids:
            response = iris.get(f"/api/asset/v1/assets/{asset}")
            response.raise_for_status()
            yield response.json()


def read_all(spark: SparkSession) -> DataFrame:
    """The details of all assets. Spark sends the requests at each use of the DataFrame."""
    with IrisSession() as iris:
        ids = [asset["id"] for asset in iris.items("/api/asset/v1/assets")]
    return spark.sparkContext.parallelize(ids, PARTITIONS).mapPartitions(details).toDF(SCHEMA)


def main() -> None:
    with SparkSession.builder.getOrCreate() as spark:
        read_all(spark).write.parquet("assets.parquet")


if __name__ == "__main__":
    main()
