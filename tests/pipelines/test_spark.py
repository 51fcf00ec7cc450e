"""Spark: the job of the examples, its partitions in four worker processes at once."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from requests_iris.sandbox import Sandbox

from .conftest import EXAMPLES, assert_one_token_for_all, output_of


def test_spark_workers_share_one_token(
    fleet: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("there is no Java: install the system's package")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    submit = str(Path(sys.executable).with_name("spark-submit"))
    output = output_of(submit, "--master=local[4]", str(EXAMPLES / "spark_assets.py"), cwd=tmp_path)
    assets = parquet.read_table(tmp_path / "assets.parquet").to_pylist()
    assert sorted(asset["id"] for asset in assets) == sorted(fleet.asset_ids)
    assert_one_token_for_all(fleet, output)
