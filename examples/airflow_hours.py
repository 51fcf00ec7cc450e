"""Reads the operating hours of all machines, one day per run of a DAG of Airflow.

    pip install "./requests-iris[redis]" apache-airflow

Copy the file into the folder of DAGs. The workers need the TRACKUNIT_* variables: the credentials,
and TRACKUNIT_TOKEN_STORE, such as redis://localhost:6379/0.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from airflow.sdk import Variable, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

from requests_iris import IrisSession, ListError

DATA_POINT = "CumulativeOperatingHours"
#: Machines in dead spots send their data late: each run reads this time again.
LOOKBACK = timedelta(days=3)
#: Items per step. A task that is killed reads at most this number of items again.
BATCH = 100
DIRECTORY = Path(os.environ.get("IRIS_EXPORT", "."))


# "@daily" alone has an interval without length in Airflow 3.
@dag(
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["iris"],
)
def iris_hours() -> None:
    @task
    def pins() -> list[str]:
        """The serial numbers of all machines."""
        with IrisSession() as iris:
            return [asset["serialNumber"] for asset in iris.items("/api/asset/v1/assets")]

    @task(retries=3, retry_delay=timedelta(seconds=1))
    def hours(pin: str, data_interval_start: datetime, data_interval_end: datetime) -> int:
        """Writes the hours of one machine to a file, and returns the size of the file in bytes.

        A retry continues where the task stopped. The Variable holds the resume point and the size
        of the file at this point.

        Airflow deletes the XCom values of a task before a retry, so the resume point is a Variable.
        Late data can change the series during the break. The next retry then starts over.
        """
        name = f"iris_hours_{data_interval_start:%Y-%m-%d}_{quote(pin, safe='')}"
        saved = json.loads(Variable.get(name, default='{"resume": null, "size": 0}'))
        window = data_interval_start, data_interval_end
        with IrisSession() as iris, (DIRECTORY / f"{name}.jsonl").open("ab") as file:
            file.truncate(saved["size"])  # removes items after the resume point
            walk = iris.series(pin, DATA_POINT, *window, lookback=LOOKBACK, resume=saved["resume"])
            try:
                while items := list(islice(walk, BATCH)):
                    file.writelines(json.dumps(item).encode() + b"\n" for item in items)
                    file.flush()
                    os.fsync(file.fileno())
                    Variable.set(name, json.dumps({"resume": walk.resume, "size": file.tell()}))
            except ListError as error:
                if error.resume is None:
                    Variable.delete(name)
                raise
            read = file.tell()
        Variable.delete(name)
        return read

    hours.expand(pin=pins())


iris_hours()
