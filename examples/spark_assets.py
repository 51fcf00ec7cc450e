"""Reads the details of all assets with Spark, with one token for all of its workers.

    pip install "requests-iris[redis]" pyspark
    TRACKUNIT_TOKEN_STORE=redis://localhost:6379/0 spark-submit examples/spark_assets.py

Credentials come from the TRACKUNIT_* variables. The workers of a cluster need them, too: set
spark.executorEnv.TRACKUNIT_TOKEN_STORE and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from requests_iris import IrisSession

#: Partitions, and so at most that many requests at once: each makes a session of its own.
PARTITIONS = 4
#: What to keep of an asset. With a schema Spark has no need to read some of them to find one.
SCHEMA = "id string, name string, brand string, model string, serialNumber string"


def details(ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One partition: the details of some assets."""
    with IrisSession() as iris:
        for asset in ids:
            reply = iris.get(f"/api/asset/v1/assets/{asset}")
            reply.raise_for_status()
            yield reply.json()


def read_all(spark: SparkSession) -> DataFrame:
    """The details of all assets. Spark reads them when they are written, and anew each time."""
    with IrisSession() as iris:
        ids = [asset["id"] for asset in iris.items("/api/asset/v1/assets")]
    return spark.sparkContext.parallelize(ids, PARTITIONS).mapPartitions(details).toDF(SCHEMA)


def main() -> None:
    with SparkSession.builder.getOrCreate() as spark:
        read_all(spark).write.parquet("assets.parquet")


if __name__ == "__main__":
    main()
