"""dlt: a list of IRIS loaded into a table of DuckDB, by dlt's own client and pager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

from examples import dlt_fleet
from requests_iris.sandbox import Fault

ASSETS = "/api/asset/v1/assets"


@pytest.fixture
def pipeline(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A pipeline that keeps to the test's directory, and tells nobody of itself."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    return dlt.pipeline(
        "fleet",
        pipelines_dir=str(tmp_path / "pipelines"),
        destination=dlt.destinations.duckdb(str(tmp_path / "fleet.duckdb")),
        dataset_name="iris",
    )


def rows(pipeline, column: str) -> list[str]:
    with pipeline.sql_client() as client, client.execute_query(f"SELECT {column} FROM assets") as c:
        return [row[0] for row in c.fetchall()]


def assets_of(client: RESTClient, size: int = 100):
    pager = PageNumberPaginator(base_page=0, total_path="totalPages")
    return client.paginate(ASSETS, params={"size": size}, paginator=pager, data_selector="content")


def test_dlt_loads_the_whole_fleet_although_a_token_expires_meanwhile(
    pipeline, iris, sandbox
) -> None:
    client = RESTClient(sandbox.base_url, session=iris)

    @dlt.resource(name="assets", primary_key="id", write_disposition="replace")
    def assets():
        for page in assets_of(client):
            yield page
            sandbox.expire_access_tokens()

    pipeline.run(assets()).raise_on_failed_jobs()
    assert sorted(rows(pipeline, "id")) == sorted(sandbox.asset_ids)
    assert sandbox.count("password") == 1
    assert sandbox.count("refresh_token") == 2


def test_a_failing_page_fails_the_load_of_dlt(pipeline, iris, sandbox) -> None:
    client = RESTClient(sandbox.base_url, session=iris)
    sandbox.inject(Fault(status=400, body="no"), on="api")
    with pytest.raises(PipelineStepFailed, match="400"):
        pipeline.run(dlt.resource(assets_of(client), name="assets"))


def test_dlt_loads_a_long_list_in_several_runs_and_repeats_nothing(pipeline, iris, sandbox) -> None:
    loads = []
    for _ in range(3):
        resource = dlt_fleet.assets(iris, most=100)
        pipeline.run(resource.with_name("assets")).raise_on_failed_jobs()
        loads.append(len(rows(pipeline, "id")))
    assert loads == [100, 200, 250]
    assert sorted(rows(pipeline, "id")) == sorted(sandbox.asset_ids)


def test_a_failed_run_of_dlt_changes_neither_the_rows_nor_the_resume_point(
    pipeline, iris, sandbox
) -> None:
    pipeline.run(dlt_fleet.assets(iris, most=100)).raise_on_failed_jobs()
    sandbox.inject(Fault(status=400, body="no"), on="api")
    with pytest.raises(PipelineStepFailed, match="400"):
        pipeline.run(dlt_fleet.assets(iris, most=100))
    pipeline.run(dlt_fleet.assets(iris, most=1000)).raise_on_failed_jobs()
    assert sorted(rows(pipeline, "id")) == sorted(sandbox.asset_ids)


def test_a_run_of_dlt_after_a_change_of_the_list_reads_the_list_from_the_beginning(
    pipeline, iris, sandbox
) -> None:
    pipeline.run(dlt_fleet.assets(iris, most=100)).raise_on_failed_jobs()
    sandbox.machines = 270
    for _ in range(3):
        pipeline.run(dlt_fleet.assets(iris, most=100)).raise_on_failed_jobs()
    assert sorted(rows(pipeline, "id")) == sorted(sandbox.asset_ids)


def test_dlt_reads_each_hour_once_and_late_data_in_the_next_run(pipeline, iris, sandbox) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    pins = [asset["serialNumber"] for asset in iris.items(ASSETS)][:2]

    def read_until(end: datetime) -> list[tuple[str, str]]:
        pipeline.run(dlt_fleet.hours(iris, pins, now=end)).raise_on_failed_jobs()
        with (
            pipeline.sql_client() as client,
            client.execute_query("SELECT pin, datetime FROM hours") as cursor,
        ):
            return cursor.fetchall()

    days_before = dlt_fleet.LOOKBACK.days
    hours = (2 + days_before) * 24 + 1  # the server includes both ends
    assert len(read_until(first + timedelta(days=2))) == 2 * hours
    late = first - timedelta(hours=5, minutes=30)
    sandbox.add_late_data(pins[0], "CumulativeOperatingHours", [late])
    found = read_until(first + timedelta(days=2, hours=6))
    assert len(found) == len(set(found)) == 2 * (hours + 6) + 1
    assert (pins[0], late) in found
