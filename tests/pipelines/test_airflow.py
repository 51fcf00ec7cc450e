"""Airflow: the DAG of the examples, each of its tasks in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_iris import IrisSession
from requests_iris.sandbox import Fault, Sandbox
from requests_iris.sandbox.fleet import Fleet

from .conftest import EXAMPLES, STUCK, assert_one_token_for_all, output_of

AIRFLOW = (sys.executable, "-m", "airflow")
DAG = "iris_assets"
#: Airflow's own warnings are not ours to mend; those of our code, and about the DAG, are errors.
#: Every process of Airflow loads this file.
LOCAL_SETTINGS = r"""
import warnings
warnings.filterwarnings("error", module=r"requests_iris\b|.*airflow_assets")
"""


@pytest.fixture
def airflow(fleet: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an Airflow with a home and a database of its own."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        settings = {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        output_of(*AIRFLOW, "db", "migrate", cwd=tmp_path)
        with api_server(port, tmp_path):
            yield url


@contextmanager
def reserved_port() -> Iterator[int]:
    """A free port that nobody else gets in the seconds until a server takes it.

    Linux lets a server have it beside this socket, which does not listen.
    """
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@contextmanager
def api_server(port: int, home: Path) -> Iterator[None]:
    """Airflow's API server, which tasks need."""
    command = [*AIRFLOW, "api-server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, cwd=home)
    try:
        wait_for(server, f"http://127.0.0.1:{port}/api/v2/version")
        yield
    finally:
        server.terminate()
        server.wait(STUCK)


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    ends = time.monotonic() + STUCK
    while True:
        try:
            requests.get(url, timeout=STUCK).raise_for_status()
            return
        except requests.ConnectionError:
            assert server.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.1)


def tasks_of(airflow: str) -> tuple[list[dict[str, Any]], Any]:
    """The tasks of the only run, and the return value of the last task."""
    with requests.Session() as session:
        token = session.get(f"{airflow}/auth/token", timeout=STUCK).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        runs = f"{airflow}/api/v2/dags/{DAG}/dagRuns"
        tasks = session.get(f"{runs}/~/taskInstances", timeout=STUCK).json()["task_instances"]
        last = f"{runs}/{tasks[0]['dag_run_id']}/taskInstances/summary"
        value = session.get(f"{last}/xcomEntries/return_value", timeout=STUCK).json()["value"]
    return tasks, value


def test_airflow_tasks_in_separate_processes_share_one_token(
    airflow: str, fleet: Sandbox, tmp_path: Path
) -> None:
    output = output_of(*AIRFLOW, "dags", "test", "--use-executor", DAG, cwd=tmp_path)
    tasks, summary = tasks_of(airflow)
    assert Counter(task["task_id"] for task in tasks) == {"batches": 1, "brands": 3, "summary": 1}
    assert {task["state"] for task in tasks} == {"success"}
    assert len({task["pid"] for task in tasks}) == len(tasks)
    brands = Counter(asset["brand"] for asset in Fleet(len(fleet.asset_ids)).assets)
    assert summary == brands
    assert_one_token_for_all(fleet, output)


def test_a_retry_of_an_airflow_task_continues_its_series(
    airflow: str, fleet: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.machines = 2
    monkeypatch.setenv("IRIS_EXPORT", str(tmp_path))
    start = datetime(2026, 1, 2, tzinfo=UTC)
    day_before = start - timedelta(days=1)
    late = [day_before + timedelta(minutes=minute) for minute in range(1, 11)]  # a second page
    fleet.add_late_data("SN00000001", "CumulativeOperatingHours", late)
    series = "/public/api/aemp/v2/15143/-3/Fleet/Equipment/ID/SN00000001"
    fleet.inject(Fault(status=400, body="no"), on="api", path=series, after=1)
    output_of(*AIRFLOW, "dags", "test", "iris_hours", start.isoformat(), cwd=tmp_path)
    files = sorted(tmp_path.glob("iris_hours_*.jsonl"))
    found = {path.name: path.read_text().splitlines() for path in files}
    assert [len(lines) for lines in found.values()] == [107, 97]
    assert all(len(set(lines)) == len(lines) for lines in found.values())
    assert fleet.count("api", 400) == 1


def test_an_airflow_task_whose_series_has_changed_starts_over_in_the_next_retry(
    airflow: str, fleet: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.machines = 1
    monkeypatch.setenv("IRIS_EXPORT", str(tmp_path))
    pin, data_point = "SN00000001", "CumulativeOperatingHours"
    until = datetime(2026, 1, 2, tzinfo=UTC)
    since, lookback = until - timedelta(days=1), timedelta(days=3)
    with IrisSession() as iris:
        iris.verify = fleet.ca_file
        walk = iris.series(pin, data_point, since, until, lookback=lookback)
        lines = [json.dumps(next(walk)) + "\n" for _ in range(50)]
    broken_off = tmp_path / f"iris_hours_{since:%Y-%m-%d}_{pin}.jsonl"
    broken_off.write_text("".join(lines))
    state = json.dumps({"resume": walk.resume, "size": broken_off.stat().st_size})
    output_of(*AIRFLOW, "variables", "set", broken_off.stem, state, cwd=tmp_path)

    fleet.add_late_data(pin, data_point, [since - timedelta(hours=50, minutes=30)])
    output_of(*AIRFLOW, "dags", "test", "iris_hours", until.isoformat(), cwd=tmp_path)
    found = broken_off.read_text().splitlines()
    assert len(found) == len(set(found)) == 98
    # the list of machines, the broken-off read, the refused read and the new read
    assert fleet.count("api") == 4
